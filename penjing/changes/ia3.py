"""IA3 (arXiv:2205.05638): learned factors on keys, values and what the MLP's last product reads. Ones at the start.

Shapes: I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, ClassVar

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import OptionError
from penjing.changes import change
from penjing.changes.edits import Edit
from penjing.changes.paths import matching


class ScaledOutput(Edit):
    """A factor O on what a product says."""

    def __init__(self, module: nn.Linear):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(module.out_features))

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        return inner(x) * self.factor

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight * self.factor[:, None], None if bias is None else bias * self.factor


class ScaledInput(Edit):
    """A factor I on what a product reads."""

    def __init__(self, module: nn.Linear):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(module.in_features))

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        return inner(x * self.factor)

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight * self.factor, bias


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of IA3."""

    where: Annotated[
        str, Field(description="paths of products whose outputs are scaled; usual: keys and values (LSTM: gates)")
    ] = r"(attention|cross)\.(key|value)|(ahead|back)\.(input|recurrent)"
    inputs: Annotated[
        str | None,
        Field(description="paths of products whose inputs are scaled; left out: the MLPs' last ones, if any"),
    ] = None

    name: ClassVar[str] = "ia3"

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        outputs = matching(network, self.where, (nn.Linear,))
        inputs = matching(network, self.inputs or r"mlp\.down", (nn.Linear,), "inputs", needed=self.inputs is not None)
        if both := outputs.keys() & inputs.keys():
            raise OptionError("P-CHANGE-009", field="inputs", given=self.inputs, paths=", ".join(sorted(both)))
        found: dict[str, Edit] = {path: ScaledOutput(module) for path, module in outputs.items()}
        return found | {path: ScaledInput(module) for path, module in inputs.items()}
