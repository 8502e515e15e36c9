"""BitFit (arXiv:2106.10199): of the network, only its biases are trained."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from penjing.changes import change
from penjing.changes.paths import parameters_matching


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of BitFit. A network without biases (Llama, T5) has nothing to train: P-CHANGE-002."""

    where: Annotated[str, Field(description="paths of biases, or of the modules that have them; `.*`: all")] = ".*"

    name: ClassVar[str] = "bitfit"

    def trains(self, network: nn.Module) -> set[str]:
        return parameters_matching(network, self.where, ending="bias")
