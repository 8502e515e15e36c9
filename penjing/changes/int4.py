"""Four bits: each group of a row's inputs has its own scale, and may have its own zero; an eighth of the size and a bit.

`nearest` takes the scales of the least error in each group; `gptq` (arXiv:2210.17323) then rounds input by input and
makes up for each error at the inputs that are still to come, as the data show that they go together. Tables of tokens
and the vocabulary's head are of eight bits, if not said otherwise: four cost them the most.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from penjing.base.errors import OptionError, PenjingError
from penjing.changes import change
from penjing.changes.calibration import second_moments
from penjing.changes.edits import Edit
from penjing.changes.gptq import gptq
from penjing.changes.quantizing import USUAL, Activations, QuantizedMatrix, matrices, products, tables
from penjing.model.quantized import Int4, Int8


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of four bits."""

    where: Annotated[str, Field(description="paths of products; usual: all of the blocks (LSTM: gates)")] = USUAL
    group: Annotated[Literal[32, 64, 128], Field(description="inputs that share a scale")] = 32
    asymmetric: Annotated[bool, Field(description="groups also have a zero of their own: 1/4 bit more at 32")] = False
    method: Annotated[
        Literal["nearest", "gptq"], Field(description="gptq: errors are made up for, as calibration data show (`data`)")
    ] = "nearest"
    embeddings: Annotated[bool, Field(description="also the table of tokens and the vocabulary's head")] = True
    tables: Annotated[Literal[8, 4], Field(description="bits of these two: four save more, and cost them the most")] = 8
    activations: Annotated[
        Activations, Field(description="what is multiplied is rounded to 8 bits as well (dynamic), or as good as not")
    ] = "dynamic"

    name: ClassVar[str] = "int4"
    silent: ClassVar[bool] = False
    adapts: ClassVar[bool] = False

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        wide = self.activations == "none"
        make = partial(Int4, group=self.group, wide=wide, asymmetric=self.asymmetric)
        rows = make if self.tables == 4 else partial(Int8, wide=wide)
        return products(network, self.where, make) | (tables(network, rows) if self.embeddings else {})

    def problems(self) -> list[PenjingError]:
        idle = self.tables == 4 and not self.embeddings
        return [OptionError("P-CHANGE-129", field="tables", given=self.tables)] if idle else []

    def chosen(self, network: Any, batches: change.Batches, loss: change.Loss | None = None) -> Change:
        if self.method == "gptq" and batches is None:
            raise OptionError("P-CHANGE-080", field="method", given=self.method)
        return self

    def fit(
        self, network: Any, edits: Mapping[str, Edit], generator: torch.Generator, batches: change.Batches = None
    ) -> None:
        for some in in_turn(edits) if self.method == "gptq" else [edits]:
            few = {
                path
                for path, edit in some.items()
                if type(edit) is QuantizedMatrix and path.split(".")[0] != "embedding"
            }
            read = {path: network.get_submodule(path) for path in few} if self.method == "gptq" else {}
            moments = second_moments(network, read, batches) if read else {}
            for path, matrix, weight in matrices(network, some):
                if path in moments:
                    gptq(matrix, weight.float(), moments[path].to(weight.device))  # type: ignore[arg-type]
                else:
                    matrix.round(weight)  # type: ignore[operator]
            for edit in some.values():
                edit.awake = True  # what comes after it sees what it made


def in_turn(edits: Mapping[str, Edit]) -> Iterator[dict[str, Edit]]:
    """The edits block by block, those of no block first."""
    turns: dict[str, dict[str, Edit]] = {"": {}}
    for path, edit in edits.items():
        block = re.match(r".*?\bblocks\.\d+\.|", path)
        turns.setdefault(block[0] if block else "", {})[path] = edit
    yield from (some for some in turns.values() if some)
