"""Eight bits: each row of a matrix as whole numbers times a scale, a quarter of the size (arXiv:2208.07339, section 2).

What is multiplied is rounded too while the model answers, by groups of 64 inputs of each row, so that the product is one
of whole numbers; norms, softmax and the residual stream stay as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from penjing.changes import change
from penjing.changes.edits import Edit
from penjing.changes.quantizing import USUAL, Activations, matrices, products, tables
from penjing.model.quantized import Int8


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of eight bits."""

    where: Annotated[str, Field(description="paths of products; usual: all of the blocks (LSTM: gates)")] = USUAL
    embeddings: Annotated[bool, Field(description="also the table of tokens and the vocabulary's head")] = True
    activations: Annotated[
        Activations, Field(description="what is multiplied is rounded to 8 bits as well (dynamic), or as good as not")
    ] = "dynamic"

    name: ClassVar[str] = "int8"
    silent: ClassVar[bool] = False
    adapts: ClassVar[bool] = False

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        wide = self.activations == "none"
        found = products(network, self.where, partial(Int8, wide=wide))
        return found | (tables(network, partial(Int8, wide=wide)) if self.embeddings else {})

    def fit(
        self, network: Any, edits: Mapping[str, Edit], generator: torch.Generator, batches: change.Batches = None
    ) -> None:
        for _, matrix, weight in matrices(network, edits):
            matrix.round(weight)  # type: ignore[operator]
