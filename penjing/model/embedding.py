"""Rows of a table by number, whose gradients are added up in float32.

Torch adds the gradients of one row one by one in the table's own type; in bfloat16 a row that is asked for hundreds of
times (a mask token, a distance of a T5 layer) then loses most of its gradient, because each new part is rounded away.

Shapes: V rows, W width.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Lookup(torch.autograd.Function):
    """`F.embedding` with a float32 sum in the backward pass."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, numbers: Tensor) -> Tensor:
        ctx.save_for_backward(numbers)
        ctx.rows = len(table)
        return F.embedding(numbers, table)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        (numbers,) = ctx.saved_tensors
        whole = torch.ops.aten.embedding_dense_backward(grad.float(), numbers, ctx.rows, -1, False)
        return whole.to(grad.dtype), None


class Embedding(nn.Embedding):
    """Token ids (or other numbers) ... to rows ... W."""

    def reset_parameters(self) -> None:
        """Nothing is drawn where there is no room for it: for that torch would load its compiler, which takes a second."""
        if not self.weight.is_meta:
            super().reset_parameters()

    def forward(self, input: Tensor) -> Tensor:
        if self.weight.dtype is torch.float32:
            return F.embedding(input, self.weight)
        return Lookup.apply(self.weight, input)
