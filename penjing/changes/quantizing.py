"""What stands in for matrices in few bits: of products, of tables, and of the vocabulary's head.

Shapes: I inputs, J inputs with their filling, O outputs, G groups of inputs, V rows of a table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal

import torch
from torch import Tensor, nn

from penjing.base.errors import ModelError, raise_all
from penjing.changes.edits import Edit, StandIn, edits_at, kind_of, stand_ins
from penjing.changes.paths import holders
from penjing.model.embedding import Embedding
from penjing.model.quantized import LANES, Int4, Int8, Quantized

USUAL = r"(attention|cross)\.(query|key|value|output)|mlp\.(up|gate|down)|(ahead|back)\.(input|recurrent)"
Activations = Literal["dynamic", "none"]
Make = Callable[[int, int], Quantized]  # of O and I


class QuantizedMatrix(StandIn):
    """A product's matrix, and the module's own bias."""

    verbs = ("forward",)

    def __init__(self, matrix: Quantized):
        super().__init__()
        self.matrix = matrix

    def dense(self, name: str) -> Tensor:
        return self.matrix.dense()

    def forward(self, host: nn.Linear, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        return self.matrix(x, host.bias)


class QuantizedTable(QuantizedMatrix):
    """A table, whose rows are taken by number."""

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], numbers: Tensor) -> Tensor:  # type: ignore[override]
        return picked(self.matrix, numbers)


class QuantizedHead(QuantizedMatrix):
    """The vocabulary's head. A later edit of what it multiplies (an adapter) gets the rows as numbers."""

    def forward(self, host: Any, inner: Callable[..., Tensor], hidden: Tensor, tied: nn.Module) -> Tensor:  # type: ignore[override]
        if len(edits_at(host)) > 1:
            return inner(hidden, tied)
        return self.matrix(host.states(hidden), host.bias)


class TiedHead(StandIn):
    """A head that is tied to such a table reads it as it is. It holds nothing itself."""

    verbs, takes = ("forward",), ()

    def __init__(self, table: nn.Module):
        super().__init__()
        self.tables = (table,)  # a tuple, so that it is no part of this one

    @property
    def matrix(self) -> Quantized | None:
        """What stands in for the table, whatever edits are around it."""
        edit = next((one for one in edits_at(self.tables[0]).values() if isinstance(one, QuantizedTable)), None)
        return edit.matrix if edit is not None and edit.awake else None

    def forward(self, host: Any, inner: Callable[..., Tensor], hidden: Tensor, tied: nn.Module) -> Tensor:  # type: ignore[override]
        matrix = self.matrix
        if matrix is None or len(edits_at(host)) > 1:
            return inner(hidden, tied)
        return matrix(host.states(hidden), host.bias)


def picked(matrix: Quantized, numbers: Tensor) -> Tensor:
    """Rows of a table by number, ... to ... I: only what they are made of is read."""
    if isinstance(matrix, Int8):
        return matrix.rows(numbers)
    assert isinstance(matrix, Int4)
    block, lane = numbers // LANES, numbers % LANES
    codes = matrix.codes[block, :, :, lane]  # ... G J/2G/4 4
    whole = torch.stack([codes & 15, codes >> 4], -3).flatten(-3).float()  # ... G J/G
    whole -= matrix.middle if matrix.zeros is None else matrix.zeros[block, :, lane, None].float()
    whole *= matrix.shares[block, :, lane, None].float()
    whole *= matrix.scales[numbers].float()[..., None, None]
    return whole.flatten(-2)[..., : matrix.inputs].to(matrix.scales.dtype)


def products(network: nn.Module, where: str, make: Make) -> dict[str, Edit]:
    """Edits of the products at matching paths."""
    found = holders(network, where, (nn.Linear,))
    return {path: QuantizedMatrix(make(one.out_features, one.in_features)) for path, one in found.items()}  # type: ignore[arg-type]


def tables(network: Any, make: Make) -> dict[str, Edit]:
    """Edits of the table of tokens and of the vocabulary's head."""
    found: dict[str, Edit] = {}
    for path, module in holders(network, "embedding", (Embedding,), "embeddings").items():
        kind = QuantizedTable if issubclass(kind_of(module), nn.Embedding) else QuantizedMatrix
        found[path] = kind(make(*module.weight.shape))  # type: ignore[misc, union-attr]
    output = network.output
    if output is None or stand_ins(output):
        return found
    if output.weight is not None:
        return found | {"output": QuantizedHead(make(*output.weight.shape))}
    return found | ({"output": TiedHead(network.embedding)} if "embedding" in found else {})


def matrices(network: nn.Module, edits: Mapping[str, Edit]) -> Iterator[tuple[str, Quantized, Tensor]]:
    """Of each edit with a matrix of its own its path, the matrix, and the numbers that it is to be; all are sound."""
    found = [(path, edit.matrix, network.get_submodule(path).weight.detach())
             for path, edit in edits.items() if isinstance(edit, QuantizedMatrix)]  # fmt: skip
    raise_all([ModelError("P-CHANGE-081", field=path) for path, _, weight in found if not weight.isfinite().all()])
    yield from found
