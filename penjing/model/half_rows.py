"""RMSNorm, rotary positions, activations and cross-entropy in bfloat16 with their gradients, by compiled code.

torch takes up to ten operations for one of them, and those read and write what this reads and writes once.

Shapes: W width, I inner width, B texts, T tokens, H heads, D head width, N labels, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from penjing.model import native
from penjing.model.halves import LANES
from penjing.model.rotary import Rotation


def norm(x: Tensor, weight: Tensor, eps: float) -> Tensor | None:
    """RMSNorm of x ... W (arXiv:1910.07467); None where this code cannot."""
    if not able(x, weight) or x.shape[-1] % LANES or weight.shape != x.shape[-1:] or not weight.is_contiguous():
        return None
    return Norm.apply(x, weight, eps)


def turned(x: Tensor, rotation: Rotation) -> Tensor | None:
    """The halves of each head of x B T H D turned by cosines and sines, each 1|B T 1 D; None where this code cannot."""
    cosine, sine = rotation
    if x.dim() != 4:
        return None
    fits = cosine.shape == sine.shape == (len(cosine), x.shape[1], 1, x.shape[3]) and len(cosine) in (1, len(x))
    if not able(x, cosine, sine) or not fits or x.shape[3] % (2 * LANES):
        return None
    return Turn.apply(x, cosine.contiguous(), sine.contiguous())


def activated(x: Tensor, y: Tensor | None, kind: int | None) -> Tensor | None:
    """An activation of x ... I, in its number in `layers.NUMBERS`, times y if given; None where this code cannot."""
    sides = (x,) if y is None else (x, y)
    if kind is None or not able(*sides) or x.shape[-1] % LANES or any(one.shape != x.shape for one in sides):
        return None
    return Gate.apply(x, y, kind)


def cross_entropy(scores: Tensor, labels: Tensor, smoothing: float, wanted: bool) -> Tensor | None:
    """The loss of each of the labels N, float32; if wanted, scores N V become its gradient. None where this code cannot."""
    fits = labels.dtype is torch.int64 and labels.shape == scores.shape[:1] and scores.is_contiguous()
    if not able(scores) or not fits or scores.requires_grad:
        return None
    labels, losses = labels.contiguous(), scores.new_empty(len(scores), dtype=torch.float32)
    if int(labels.min()) < 0 or int(labels.max()) >= scores.shape[1]:
        return None  # torch says what is wrong
    told = native.Surprise(
        scores=scores.data_ptr(), labels=labels.data_ptr(), losses=losses.data_ptr(), rows=len(scores),
        width=scores.shape[1], wanted=wanted, smoothing=smoothing,
    )  # fmt: skip
    native.library().surprise_halves(told, torch.get_num_threads())  # type: ignore[union-attr]
    return losses


def able(*some: Tensor) -> bool:
    """Whether compiled code of half precision may read them."""
    if any(one.dtype is not torch.bfloat16 or one.device.type != "cpu" or not one.numel() for one in some):
        return False
    return not torch.compiler.is_compiling() and (library := native.library()) is not None and library.halves


class Norm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x, made = x.contiguous(), x.new_empty(x.shape)
        scales = x.new_empty(x.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(x, weight, scales)
        told = native.Norm(
            x=x.data_ptr(), weight=weight.data_ptr(), to=made.data_ptr(), scales=scales.data_ptr(), rows=scales.numel(),
            width=x.shape[-1], eps=eps,
        )  # fmt: skip
        native.library().norm_halves(told, torch.get_num_threads())  # type: ignore[union-attr]
        return made

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, weight, scales = ctx.saved_tensors
        gradient, made, threads = gradient.contiguous(), x.new_empty(x.shape), torch.get_num_threads()
        learnt = scales.new_zeros(threads, len(weight)) if ctx.needs_input_grad[1] else None
        told = native.Norm(
            x=x.data_ptr(), weight=weight.data_ptr(), gradient=gradient.data_ptr(), to=made.data_ptr(),
            scales=scales.data_ptr(), weight_gradient=0 if learnt is None else learnt.data_ptr(), rows=scales.numel(),
            width=x.shape[-1],
        )  # fmt: skip
        native.library().norm_halves(told, threads)  # type: ignore[union-attr]
        return made, None if learnt is None else learnt.sum(0).to(weight.dtype), None


class Turn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
        ctx.save_for_backward(cosine, sine)
        return turn(x, cosine, sine, back=False)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return turn(gradient, *ctx.saved_tensors, back=True), None, None


def turn(x: Tensor, cosine: Tensor, sine: Tensor, *, back: bool) -> Tensor:
    x = x if x.stride(3) == 1 else x.contiguous()
    (texts, tokens, heads, width), made = x.shape, x.new_empty(x.shape)
    sides = [native.Side(one.data_ptr(), one.stride(0), one.stride(2), one.stride(1)) for one in (x, made)]
    told = native.Turn(
        *sides, cosine.data_ptr(), sine.data_ptr(), texts, tokens, heads, width,
        0 if len(cosine) == 1 else cosine.stride(0), back,
    )  # fmt: skip
    native.library().turn_halves(told, torch.get_num_threads())  # type: ignore[union-attr]
    return made


class Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor | None, kind: int) -> Tensor:
        ctx.save_for_backward(x, y)
        ctx.kind = kind
        made = x.new_empty(x.shape)
        gate(kind, x=x, y=y, to=made)
        return made

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor | None, None]:
        x, y = ctx.saved_tensors
        made, other = x.new_empty(x.shape), None if y is None else x.new_empty(x.shape)
        gate(ctx.kind, x=x, y=y, gradient=gradient, x_gradient=made, y_gradient=other)
        return made, other, None


def gate(kind: int, **named: Tensor | None) -> None:
    """Forward, or back where a gradient is named."""
    flat = {name: one.reshape(-1, one.shape[-1]) for name, one in named.items() if one is not None}
    flat = {name: one if one.stride(1) == 1 else one.contiguous() for name, one in flat.items()}
    told = native.Gate(
        **{name: native.Rows(one.data_ptr(), one.stride(0)) for name, one in flat.items()}, rows=len(flat["x"]),
        width=flat["x"].shape[1], kind=kind, back="gradient" in named,
    )  # fmt: skip
    native.library().gate_halves(told, torch.get_num_threads())  # type: ignore[union-attr]
