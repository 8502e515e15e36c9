"""A product of two thin matrices added to what a wide one says (LoRA, arXiv:2106.09685), with its gradients.

In bfloat16 on a CPU by compiled code that reads each row once: as products and sums of torch it took a twentieth of a
small decoder's step.

Shapes: I inputs, O outputs, R rank.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from penjing.model import native
from penjing.model.half_rows import able
from penjing.model.halves import LANES

MOST = 32  # directions; of more, products of the library are as fast


def low_rank(base: Tensor, x: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
    """base ... O + scale * up O R, times down R I, times x ... I."""
    fits = x.dim() > 1 and down.dim() == up.dim() == 2 and x.shape[:-1] == base.shape[:-1] and len(down) <= MOST
    fits = fits and down.shape[1] == x.shape[-1] and up.shape == (base.shape[-1], len(down))
    if fits and not x.shape[-1] % LANES and not base.shape[-1] % LANES and able(base, x, down, up):
        return LowRank.apply(base, x, down, up, scale)
    return base + F.linear(F.linear(x, down) * scale, up)


class LowRank(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, base: Tensor, x: Tensor, down: Tensor, up: Tensor, scale: float) -> Tensor:
        x, down, up = rows_of(x), down.contiguous(), up.t().contiguous()
        made, inner = base.new_empty(base.shape), x.new_empty(len(x), len(down) + len(down) % 2)
        ctx.save_for_backward(x, down, up, inner)
        ctx.scale = scale
        run(down, up, inner, scale, x=x, base=rows_of(base), to=rows_of(made))
        return made

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, down, up, inner = ctx.saved_tensors
        made = x.new_empty(*gradient.shape[:-1], x.shape[1]) if ctx.needs_input_grad[1] else None
        learnt = torch.empty_like(down), torch.empty_like(up)
        run(down, up, inner, ctx.scale, learnt, x=x, gradient=rows_of(gradient), x_gradient=made)
        return gradient, made, learnt[0], learnt[1].t(), None


def run(
    down: Tensor, up: Tensor, inner: Tensor, scale: float, learnt: tuple[Tensor, Tensor] | None = None,
    **named: Tensor | None,
) -> None:  # fmt: skip
    """Forward, or back where there is something `learnt`: the gradients of both thin matrices, R I and R O as they are."""
    sides = {name: native.Rows(one.data_ptr(), one.stride(-2)) for name, one in named.items() if one is not None}
    grown = (0, 0) if learnt is None else (learnt[0].data_ptr(), learnt[1].data_ptr())
    told = native.LowRank(
        **sides, down=down.data_ptr(), up=up.data_ptr(), inner=inner.data_ptr(), down_gradient=grown[0],
        up_gradient=grown[1], rows=len(inner), inputs=down.shape[1], outputs=up.shape[1], rank=len(down),
        back=learnt is not None, scale=scale,
    )  # fmt: skip
    native.library().low_rank_halves(told, torch.get_num_threads())  # type: ignore[union-attr]


def rows_of(x: Tensor) -> Tensor:
    """The same as rows, N W, each beginning at an even place with its numbers side by side."""
    flat = x.reshape(-1, x.shape[-1])
    fits = flat.stride(1) == 1 and flat.stride(0) % 2 == 0 and flat.data_ptr() % 4 == 0
    return flat if fits else flat.contiguous()
