"""Matrices of 8 or 4 bits, and products with them: by compiled code (`quantized.h`), else by torch with the same answers.

What is multiplied is rounded too, row by row and by groups of inputs, to 8 bits (`wide`: to 16, which is as good as not
at all): so a row's answer never depends on the rows beside it. Gradients flow through to what is multiplied.

Shapes: O outputs, I inputs, J inputs with their filling, G groups of inputs, N rows, V rows of a table.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penjing.model import native

LANES = 16  # outputs that stand side by side
GROUP = 64  # inputs that are rounded together, where the matrix has no groups of its own
SHARES = 255  # largest of the numbers that a row's scale is multiplied by
TOP = 127.0  # largest code of what is multiplied


class Quantized(nn.Module):
    """A matrix O I of few bits: whole numbers in buffers, which keep their type, and a scale of each row."""

    bits: ClassVar[int]
    middle: ClassVar[int]  # the code of zero
    scales: Tensor

    def __init__(self, outputs: int, inputs: int, group: int = GROUP, wide: bool = False):
        super().__init__()
        self.outputs, self.inputs, self.group, self.wide = outputs, inputs, group, wide
        self.register_buffer("scales", torch.zeros(outputs))

    @property
    def groups(self) -> int:
        """How many groups of inputs there are."""
        return -(-self.inputs // self.group)

    def dense(self) -> Tensor:
        """The matrix as numbers O I."""
        raise AssertionError(f"{type(self).__name__} says nothing here")

    def places(self) -> dict[str, Tensor]:
        """What compiled code reads, by its name there."""
        return dict(self.named_buffers())

    def forward(self, x: Tensor, bias: Tensor | None = None) -> Tensor:
        """x ... I times the matrix, plus bias: ... O."""
        return multiply(x, (self,), (bias,))

    def extra_repr(self) -> str:
        return f"{self.outputs}, {self.inputs}, bits={self.bits}, group={self.group}, wide={self.wide}"


class Int8(Quantized):
    """Eight bits, and one scale a row. `codes` O/16 J/4 16 4, each 128 more than the number."""

    bits, middle = 8, 128

    def __init__(self, outputs: int, inputs: int, group: int = GROUP, wide: bool = False):
        super().__init__(outputs, inputs, group, wide)
        self.register_buffer("codes", blank(outputs, -(-inputs // 4) * 4, self.middle).view(-1, LANES, -(-inputs // 4), 4)
                             .transpose(1, 2).contiguous())  # fmt: skip

    def fill(self, codes: Tensor, scales: Tensor) -> None:
        """Take codes O I, 0 to 255, and scales O."""
        whole = blank(self.outputs, self.codes.shape[1] * 4, self.middle)
        whole[: self.outputs, : self.inputs] = codes
        self.codes.copy_(whole.view(-1, LANES, self.codes.shape[1], 4).transpose(1, 2))
        self.scales.copy_(scales)

    def round(self, weight: Tensor) -> None:
        """Become the nearest to a matrix O I."""
        scales = weight.float().abs().amax(1) / 127
        codes = (weight.float() / scales.clamp(min=1e-30)[:, None]).round() + self.middle
        self.fill(codes.to(torch.uint8), scales)

    def dense(self) -> Tensor:
        codes = self.codes.transpose(1, 2).flatten(2).flatten(0, 1)[: self.outputs, : self.inputs]
        return self.numbers(codes, self.scales)

    def rows(self, numbers: Tensor) -> Tensor:
        """Rows of the table by number: ... to ... I."""
        codes = self.codes[numbers // LANES, :, numbers % LANES].flatten(-2)[..., : self.inputs]
        return self.numbers(codes, self.scales[numbers])

    def numbers(self, codes: Tensor, scales: Tensor) -> Tensor:
        return ((codes.float() - self.middle) * scales.float()[..., None]).to(scales.dtype)


class Int4(Quantized):
    """Four bits, scales of groups as shares of their row's, O/16 G 16, and zeros of groups where they are not the middle.

    `codes` O/16 G J/2G/4 16 4: the first half of a group in the lower bits, the second one in the upper.
    """

    bits, middle = 4, 8

    def __init__(self, outputs: int, inputs: int, group: int = 32, wide: bool = False, asymmetric: bool = False):
        super().__init__(outputs, inputs, group, wide)
        blocks = -(-outputs // LANES)
        middles = self.middle * (LANES + 1)
        self.register_buffer(
            "codes", torch.full((blocks, self.groups, group // 8, LANES, 4), middles, dtype=torch.uint8)
        )
        self.register_buffer("shares", torch.zeros(blocks, self.groups, LANES, dtype=torch.uint8))
        zeros = torch.full((blocks, self.groups, LANES), self.middle, dtype=torch.uint8) if asymmetric else None
        self.register_buffer("zeros", zeros)

    def fill(self, codes: Tensor, scales: Tensor, shares: Tensor, zeros: Tensor | None = None) -> None:
        """Take codes O I, 0 to 15; scales O, and of groups O G shares, 0 to 255, and zeros."""
        whole = blank(self.outputs, self.groups * self.group, self.middle)
        whole[: self.outputs, : self.inputs] = codes
        low, high = whole.view(-1, LANES, self.groups, 2, self.group // 8, 4).unbind(3)
        self.codes.copy_((low | high << 4).permute(0, 2, 3, 1, 4))
        self.scales.copy_(scales)
        self.shares.copy_(self.by_lanes(shares))
        if self.zeros is not None:
            self.zeros.copy_(self.by_lanes(zeros))

    def by_lanes(self, numbers: Tensor) -> Tensor:
        """Numbers of groups O G as they are kept, O/16 G 16."""
        whole = blank(self.outputs, self.groups, 0)
        whole[: self.outputs] = numbers
        return whole.view(-1, LANES, self.groups).transpose(1, 2)

    def of_groups(self, kept: Tensor) -> Tensor:
        """The same back: O G 1, as numbers."""
        return kept.transpose(1, 2).flatten(0, 1)[: self.outputs, :, None].float()

    def round(self, weight: Tensor, importance: Tensor | None = None) -> None:
        """Become the nearest to a matrix O I; `importance` I: of errors at each input."""
        scales, shares, zeros = grid(self, weight, importance)
        codes = self.nearest(self.grouped(weight.float()), scales[:, None, None] * shares[..., None], zeros[..., None])
        self.fill(codes.flatten(1)[:, : self.inputs].to(torch.uint8), scales, shares, zeros)

    def grouped(self, weight: Tensor) -> Tensor:
        """O I by groups, the last one filled up: O G J/G."""
        return F.pad(weight, (0, self.groups * self.group - self.inputs)).unflatten(-1, (self.groups, self.group))

    @staticmethod
    def nearest(numbers: Tensor, scales: Tensor, zeros: Tensor) -> Tensor:
        """The codes, 0 to 15, that are nearest to numbers."""
        return (numbers / scales.clamp(min=1e-30) + zeros).round().clamp(0, 15)

    def dense(self) -> Tensor:
        both = torch.stack([self.codes & 15, self.codes >> 4], 2)  # O/16 G 2 J/2G/4 16 4
        codes = both.permute(0, 4, 1, 2, 3, 5).reshape(-1, self.groups, self.group)[: self.outputs].float()
        codes = codes - (self.middle if self.zeros is None else self.of_groups(self.zeros))
        whole = codes * self.of_groups(self.shares) * self.scales.float()[:, None, None]
        return whole.flatten(1)[:, : self.inputs].to(self.scales.dtype)


def blank(rows: int, columns: int, code: int) -> Tensor:
    """Codes of zeros, with so many rows filled up to a multiple of the lanes."""
    return torch.full((-(-rows // LANES) * LANES, columns), code, dtype=torch.uint8)


def grid(matrix: Int4, weight: Tensor, importance: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
    """Where codes stand for numbers: scales O, shares O G and zeros O G of the least error, of some that are tried."""
    numbers = matrix.grouped(weight.float())
    weighted = 1.0 if importance is None else matrix.grouped(importance.float()[None]).clamp(min=1e-30)
    if matrix.zeros is None:
        wholes = [numbers.abs().amax(-1) / steps for steps in torch.linspace(6.4, 9.6, 9).tolist()]
        tries = [(whole, torch.full_like(whole, matrix.middle)) for whole in wholes]
    else:
        low, high = numbers.amin(-1).clamp(max=0), numbers.amax(-1).clamp(min=0)
        tries = []
        for steps in torch.linspace(14.0, 18.0, 9).tolist():
            scale = (high - low) / steps
            tries.append((scale, (-low / scale.clamp(min=1e-30) - (steps - 15) / 2).round().clamp(0, 15)))
    best = tries[0][0], tries[0][1], torch.full_like(tries[0][0], torch.inf)
    for scale, zero in tries:
        codes = matrix.nearest(numbers, scale[..., None], zero[..., None])
        error = ((codes - zero[..., None]) * scale[..., None] - numbers).square().mul(weighted).sum(-1)
        better = error < best[2]
        best = tuple(torch.where(better, new, old) for new, old in zip((scale, zero, error), best, strict=True))
    scales = best[0].amax(1) / SHARES
    shares = (best[0] / scales.clamp(min=1e-30)[:, None]).round().clamp(0, SHARES)
    return scales, shares, best[1]


class Multiply(torch.autograd.Function):
    """Products whose gradient is that of the matrices as numbers: rounding has none."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrices: Sequence[Quantized]) -> Tensor:
        ctx.matrices = matrices
        return plainly(x, matrices, (None,) * len(matrices))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        parts = grad.split([matrix.outputs for matrix in ctx.matrices], -1)
        return sum(part @ one.dense().to(part.dtype) for part, one in zip(parts, ctx.matrices, strict=True)), None


def multiply(x: Tensor, matrices: Sequence[Quantized], biases: Sequence[Tensor | None]) -> Tensor:
    """x ... I times matrices, plus biases; what they say side by side, ... O."""
    if not torch.is_grad_enabled() or not (x.requires_grad or any(b is not None and b.requires_grad for b in biases)):
        return plainly(x, matrices, biases)
    made = Multiply.apply(x, matrices)
    if biases[0] is None:
        return made
    return made + (biases[0] if len(biases) == 1 else torch.cat(list(biases)))  # type: ignore[arg-type]


def plainly(x: Tensor, matrices: Sequence[Quantized], biases: Sequence[Tensor | None]) -> Tensor:
    """The same without gradients."""
    library = None if torch.compiler.is_compiling() else native.library()
    if library is None or not all(map(native_type, (x, *(one.scales for one in matrices)))):
        rounded = nearly(x, matrices[0])
        made = [F.linear(rounded, one.dense().to(x.dtype), bias) for one, bias in zip(matrices, biases, strict=True)]
        return made[0] if len(made) == 1 else torch.cat(made, -1)
    x = x.detach().contiguous()
    outputs = sum(one.outputs for one in matrices)
    made = x.new_empty(*x.shape[:-1], outputs)
    if made.numel():
        places = packed(matrices, biases)
        rows = x.numel() // x.shape[-1]
        told = native.Products(
            ctypes.addressof(places), len(places), rows, x.data_ptr(), made.data_ptr(), outputs, False
        )
        library.alone(
            native.Op(kind=native.KINDS.index("quantized"), products=ctypes.addressof(told)), torch.get_num_threads()
        )
    return made


def native_type(tensor: Tensor) -> bool:
    """Whether compiled code reads it."""
    return tensor.dtype is torch.float32 and tensor.device.type == "cpu"


def packed(matrices: Sequence[Quantized], biases: Sequence[Tensor | None]) -> Any:
    """Matrices as compiled code reads them; their tensors must outlive it."""
    return (native.Matrix * len(matrices))(*(
        native.Matrix(
            bias=0 if bias is None else bias.data_ptr(), outputs=one.outputs, inputs=one.inputs, group=one.group,
            bits=one.bits, wide=one.wide, **{name: place.data_ptr() for name, place in one.places().items()},
        )
        for one, bias in zip(matrices, biases, strict=True)
    ))  # fmt: skip


def nearly(x: Tensor, matrix: Quantized) -> Tensor:
    """x ... I rounded to 8 bits by groups, row by row; as it is, where 16 bits are meant."""
    if matrix.wide:
        return x
    whole = F.pad(x.float(), (0, matrix.groups * matrix.group - matrix.inputs)).unflatten(-1, (-1, matrix.group))
    most = whole.abs().amax(-1, keepdim=True)
    codes = (whole * torch.where(most > 0, TOP / most, 0)).round()
    return (codes * (most / TOP)).flatten(-2)[..., : matrix.inputs].to(x.dtype)


def alone(module: nn.Module) -> Quantized | None:
    """The matrix of few bits that says alone what a module says; None where it has none, or others edit or watch it."""
    edits = module._modules.get("edits")
    if edits is None or len(edits) > 1 or module._forward_hooks or module._forward_pre_hooks:  # type: ignore[arg-type]
        return None
    edit = next(iter(edits.children()))
    found = getattr(edit, "matrix", None) if edit.awake else None
    return found if isinstance(found, Quantized) else None


def alike(modules: Sequence[nn.Module]) -> list[Quantized] | None:
    """The matrices of modules, where all have one alone and they can be read together."""
    found = [alone(module) for module in modules]
    kinds = {(type(one), one.inputs, one.group, one.wide) for one in found if one is not None}
    return None if None in found or len(kinds) > 1 else found  # type: ignore[return-value]
