"""AdamW whose two moments take a byte for each value, and a scale for each block of values (arXiv:2110.02861).

A byte names one of the values of a dynamic map: many near the block's largest one, and fewer, but some, six powers of
ten below it. The second moment is kept as its root: what divides then never rounds to nothing before what is divided
does, so that a parameter whose gradients became small takes no leap.

Shapes: N blocks of 256 values.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCK = 256
SMALLEST = 4096  # values of a tensor; the moments of smaller ones stay float32
ROUND = 1024  # blocks moved at once, so that what stands in float32 stays in the processor's cache
DROPPED = 15  # of a float's bits, in the search for its code: eight of the mantissa are left


class Code(NamedTuple):
    """A map between bytes and values from 0, or -1, to 1."""

    values: Tensor  # by byte, negative ones first
    near: Tensor  # bytes by the first bits of a value without its sign
    zero: int  # the byte's number of 0 among the values


def magnitudes(bits: int) -> Tensor:
    """The values of a dynamic map with so many bits, rising: 0, and in each power of ten below 1 half as many as in the
    one above it. The largest is 1."""
    found = [torch.zeros(1, dtype=torch.float64)]
    for power in reversed(range(bits)):
        borders = torch.linspace(0.1, 1, 2 ** (bits - 1 - power) + 1, dtype=torch.float64)
        found.append((borders[:-1] + borders[1:]) / 2 * 10.0**-power)
    every = torch.cat(found).float()
    every[-1] = 1
    return every


@cache
def code(signed: bool) -> Code:
    """The map of a signed byte, in which small values may become 0, or of an unsigned one, in which 0 alone is 0."""
    sizes = magnitudes(7 if signed else 8)
    firsts = torch.arange((0x3F800000 >> DROPPED) + 1, dtype=torch.int32) << DROPPED  # all floats up to 1
    near = torch.bucketize(firsts.view(torch.float32), (sizes[:-1] + sizes[1:]) / 2)
    if signed:
        return Code(torch.cat([-sizes.flip(0), sizes[1:]]), near.to(torch.int8), len(sizes) - 1)
    near[1:].clamp_(min=1)
    return Code(sizes, near.to(torch.uint8), 0)


def encoded(x: Tensor, signed: bool) -> tuple[Tensor, Tensor]:
    """The bytes of values N 256, and the scales of their blocks, N."""
    sizes = x.abs()
    scales = sizes.amax(1)
    firsts = (sizes / scales.clamp(min=1e-38)[:, None]).view(torch.int32)
    numbers = (firsts + (1 << DROPPED - 1)) >> DROPPED
    found = code(signed).near.index_select(0, numbers.flatten()).view(x.shape)
    if not signed:  # what is above 0 and has lost all its bits is above 0 still
        return torch.where(sizes > 0, found.clamp(min=1), found), scales
    return torch.where(x < 0, -found, found), scales


def decoded(codes: Tensor, scales: Tensor) -> Tensor:
    """The values of bytes, N 256 float32."""
    found = code(codes.dtype == torch.int8)
    return found.values.index_select(0, codes.flatten().int() + found.zero).view(codes.shape) * scales[:, None]


class EightBitAdamW(torch.optim.Optimizer):
    """AdamW (Loshchilov & Hutter 2019) for tensors of at least a block, all of them contiguous and on a CPU."""

    def __init__(
        self, params: list[dict[str, Any]], lr: float, betas: tuple[float, float], eps: float = 1e-8, weight_decay: float = 0.0
    ):  # fmt: skip
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.move(parameter, group)

    def move(self, parameter: nn.Parameter, group: dict[str, Any]) -> None:
        """One step of one tensor, some blocks at a time."""
        state = self.state[parameter]
        if not state:
            self.begin(parameter, state)
        state["step"] += 1
        values, gradient = parameter.view(-1), parameter.grad.reshape(-1)  # type: ignore[union-attr]
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        for blocks, at in rounds(len(values)):
            values[at].sub_(moves(state, blocks, blocked(gradient[at]), group).flatten()[: at.stop - at.start])

    def begin(self, parameter: Tensor, state: dict[str, Tensor]) -> None:
        """Moments of zero."""
        count = -(-parameter.numel() // BLOCK)
        state["step"] = torch.zeros(())
        for name, kind in (("first", torch.int8), ("second", torch.uint8)):
            state[name] = torch.zeros(count, BLOCK, dtype=kind)
            state[f"{name}_scale"] = torch.zeros(count)


def moves(state: dict[str, Tensor], blocks: slice, gradient: Tensor, group: dict[str, Any]) -> Tensor:
    """What is subtracted from the values of some blocks, N 256; their moments move on."""
    (one, two), step = group["betas"], float(state["step"])
    first = decoded(state["first"][blocks], state["first_scale"][blocks]).lerp_(gradient, 1 - one)
    root = decoded(state["second"][blocks], state["second_scale"][blocks])
    root = root.square_().mul_(two).addcmul_(gradient, gradient, value=1 - two).sqrt_()
    for name, moment in (("first", first), ("second", root)):
        state[name][blocks], state[f"{name}_scale"][blocks] = encoded(moment, name == "first")
    return first.mul_(group["lr"] / (1 - one**step)).div_(root.div_((1 - two**step) ** 0.5).add_(group["eps"]))


def rounds(size: int) -> Iterator[tuple[slice, slice]]:
    """Blocks that are moved at once, and their values."""
    for first in range(0, -(-size // BLOCK), ROUND):
        yield slice(first, first + ROUND), slice(first * BLOCK, min(size, (first + ROUND) * BLOCK))


def blocked(flat: Tensor) -> Tensor:
    """Values as blocks, the last one filled up with zeros: N 256."""
    return F.pad(flat.float(), (0, -len(flat) % BLOCK)).view(-1, BLOCK)
