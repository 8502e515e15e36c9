"""A matrix times few rows, as decoding asks for it again and again: bound by reading the matrix once.

Libraries are made for many rows. On a CPU a product of one to three rows is read off as matrix times columns, which MKL
streams at the speed of memory, and four rows or more want the matrix packed for oneDNN, once for all steps: each is two
to three times as fast as the plain product (benchmarks/generate_speed.py prints all three). Neither is used while
gradients are wanted.

Shapes: N rows, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

THIN = 3  # rows; up to it matrix times columns is the fastest
WORTH = 16  # steps; with fewer, packing costs more than it saves


def product(x: Tensor, weight: Tensor, bias: Tensor | None, packed: Tensor | None = None) -> Tensor:
    """x ... I times weight O I, plus bias O."""
    if torch.is_grad_enabled() or weight.dtype is not torch.float32 or weight.device.type != "cpu":
        return F.linear(x, weight, bias)
    rows = x.numel() // x.shape[-1]
    if 0 < rows <= THIN:
        return thin(x, weight, bias, rows)
    if packed is not None:
        return torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return F.linear(x, weight, bias)


def thin(x: Tensor, weight: Tensor, bias: Tensor | None, rows: int) -> Tensor:
    """The two halves of the matrix, one a thread, times the rows as columns."""
    outputs, inputs = weight.shape
    columns = x.reshape(rows, inputs).t()
    if outputs % 2:
        made = torch.mm(weight, columns)
    else:
        made = torch.bmm(weight.view(2, outputs // 2, inputs), columns.expand(2, -1, -1)).view(outputs, rows)
    made = made.t().reshape(*x.shape[:-1], outputs)
    return made if bias is None else made + bias


class Linear(nn.Linear):
    """A product with a matrix that may be packed for the time of a generation."""

    packed: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.weight, self.bias, self.packed)


@contextmanager
def prepared(network: nn.Module, rows: int, steps: int) -> Iterator[None]:
    """Matrices packed while it lasts, where that pays: a second copy of what a decoding step reads.

    `network.products()` names the modules that can hold a packed matrix, each with its matrix.
    """
    wanted = rows > THIN and steps >= WORTH and torch.backends.mkldnn.is_available() and hasattr(network, "products")
    chosen = [(one, weight) for one, weight in network.products() if packs(weight)] if wanted else []
    try:
        with torch.no_grad():
            for one, weight in chosen:
                one.packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
        yield
    finally:
        for one, _ in chosen:
            one.packed = None


def packs(weight: Tensor) -> bool:
    """Whether a matrix may be packed."""
    return weight.dtype is torch.float32 and weight.device.type == "cpu"
