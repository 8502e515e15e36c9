"""A matrix times few rows, as decoding asks for it again and again: bound by reading the matrix once.

Libraries are made for many rows. On a CPU a product of one to three rows is read off as matrix times columns, which MKL
streams at the speed of memory, and four rows or more want the matrix packed for oneDNN, once for all steps: each is two
to three times as fast as the plain product (benchmarks/generate_speed.py prints all three). Neither is used while
gradients are wanted, but for matrices in half precision that training leaves as they are: packed for both directions
they are a twentieth faster.

Shapes: N rows, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Product = tuple[nn.Module, tuple[Tensor, ...], tuple[Tensor | None, ...]]  # who may hold it, matrices, biases
THIN = 3  # rows; up to it matrix times columns is the fastest
WORTH = 16  # steps; with fewer, the preparation costs more than it saves
GUARD = RLock()  # of what follows; the collector may end a forgotten generation while it is held
USERS: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()  # generations under way with a network


class Packed(NamedTuple):
    """A matrix in the library's own form, and the version of the one it was made of."""

    matrix: Tensor
    version: int


def product(x: Tensor, weight: Tensor, bias: Tensor | None, packed: Packed | None = None) -> Tensor:
    """x ... I times weight O I, plus bias O."""
    if torch.is_grad_enabled() or weight.dtype is not torch.float32 or weight.device.type != "cpu":
        fixed = stays(weight)
        return F.linear(x, weight, bias) if fixed is None or not fixed.fits(x, bias) else Fixed.apply(x, fixed, bias)
    rows = x.numel() // x.shape[-1]
    if 0 < rows <= THIN:
        return thin(x, weight, bias, rows)
    if packed is not None and packed.version == weight._version:  # else the weights were trained in the meantime
        return torch.ops.mkldnn._linear_pointwise(x, packed.matrix, bias, "none", [], "")
    return F.linear(x, weight, bias)


def thin(x: Tensor, weight: Tensor, bias: Tensor | None, rows: int) -> Tensor:
    """The two halves of the matrix, one a thread, times the rows as columns."""
    outputs, inputs = weight.shape
    columns = x.reshape(rows, inputs).t()
    if outputs % 2:
        made = torch.mm(weight, columns)
    else:
        made = torch.bmm(weight.view(2, outputs // 2, inputs), columns.expand(2, -1, -1)).view(outputs, rows)
    made = (made if rows == 1 else made.t()).reshape(*x.shape[:-1], outputs)
    return made if bias is None else made + bias


class FixedMatrix:
    """A matrix O I in bfloat16 that training leaves as it is, packed the first time it is asked for."""

    ROWS = 1024  # packed for; always the same, so that a run which goes on says the same bits

    def __init__(self, weight: Tensor):
        self.weight, self.version = weight, weight._version
        self.both: tuple[Tensor, Tensor] | None = None  # for the product, and for the gradient of its input

    def fits(self, x: Tensor, bias: Tensor | None) -> bool:
        """Whether the packed product says all that is asked."""
        still = bias is None or not bias.requires_grad
        return still and torch.is_grad_enabled() and x.dtype is torch.bfloat16 and not torch.compiler.is_compiling()

    def packed(self) -> tuple[Tensor, Tensor]:
        if self.both is None:
            there, back = self.weight, self.weight.t().contiguous()
            self.both = tuple(torch.ops.mkldnn._reorder_linear_weight(one, self.ROWS) for one in (there, back))
        return self.both


def stay(weight: Tensor) -> Tensor:
    """The same, marked as one that stays as it is, where packing it pays."""
    able = weight.dim() == 2 and weight.dtype is torch.bfloat16 and weight.device.type == "cpu"
    if able and not weight.is_inference() and packs_halves():
        weight.stays = FixedMatrix(weight.detach())  # type: ignore[attr-defined]
    return weight


def stays(weight: Tensor) -> FixedMatrix | None:
    """What it was marked as, if it was, and still is."""
    found = getattr(weight, "stays", None)
    return found if found is not None and not weight.requires_grad and found.version == weight._version else None


@cache
def packs_halves() -> bool:
    """Whether this processor's library packs bfloat16."""
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


class Fixed(torch.autograd.Function):
    """x ... I times a matrix that gets no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, matrix: FixedMatrix, bias: Tensor | None) -> Tensor:
        ctx.matrix = matrix
        return torch.ops.mkldnn._linear_pointwise(x, matrix.packed()[0], bias, "none", [], "")

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        back = ctx.matrix.packed()[1]
        return torch.ops.mkldnn._linear_pointwise(gradient.contiguous(), back, None, "none", [], ""), None, None


class Ready(NamedTuple):
    """The matrices of products that read the same input, as one; packed for several rows."""

    weight: Tensor
    bias: Tensor | None
    packed: Packed | None
    parts: tuple[Tensor, ...]  # what it was made of
    version: int  # of the parts, together

    @property
    def current(self) -> bool:
        """Whether no part was changed since."""
        same = self.parts[0].dtype is self.weight.dtype
        return same and sum([part._version for part in self.parts]) == self.version


class Linear(nn.Linear):
    """A product with a matrix that may be packed, or joined to its neighbours', for the time of a generation."""

    packed: Packed | None = None
    joined: Ready | None = None

    def forward(self, x: Tensor) -> Tensor:
        return product(x, self.weight, self.bias, self.packed)


@contextmanager
def prepared(network: nn.Module, rows: int, steps: int) -> Iterator[None]:
    """Matrices joined while it lasts, and packed where that pays: a second copy of what a decoding step reads.

    `network.products()` names the modules that can hold a packed matrix, each with the modules it is joined with. Of
    several generations at one time, in threads, the first prepares and the last one gives back.
    """
    if steps < WORTH or not hasattr(network, "products"):
        yield
        return
    groups = network.products()
    pack = rows > THIN and torch.backends.mkldnn.is_available()
    try:
        make_all_ready(network, groups, rows if pack else 0)
        yield
    finally:
        give_back(network, groups)


def make_all_ready(network: nn.Module, groups: Sequence[Product], rows: int) -> None:
    """Prepare all products, packed for so many rows (0: do not), and count one generation more."""
    with GUARD, torch.inference_mode(False), torch.no_grad():
        others = USERS.get(network, 0)
        USERS[network] = others + 1
        if others and not rows:
            return
        able = [group for group in groups if all(map(preparable, group[1]))]
        for owner, weights, biases in able:
            make_ready(owner, weights, biases, rows)
        if not others and len(able) == len(groups):
            network.record()


def give_back(network: nn.Module, groups: Sequence[Product]) -> None:
    """Count one generation less; after the last one nothing is prepared."""
    with GUARD:
        USERS[network] -= 1
        if USERS[network]:
            return
        del USERS[network]
        network.tape = None
        for owner, _, _ in groups:
            owner.packed = owner.joined = None


def preparable(weight: Tensor) -> bool:
    """Whether products with it can be prepared; an inference tensor would not tell when it is changed."""
    return weight.dtype is torch.float32 and weight.device.type == "cpu" and not weight.is_inference()


def make_ready(owner: nn.Module, weights: Sequence[Tensor], biases: Sequence[Tensor | None], rows: int) -> None:
    """Pack for so many rows (0: do not), and join what has neighbours."""
    weight = weights[0].detach() if len(weights) == 1 else side_by_side(weights)
    packed = Packed(torch.ops.mkldnn._reorder_linear_weight(weight, rows), weight._version) if rows else None
    if len(weights) == 1:
        owner.packed = packed
        return
    bias = None if biases[0] is None else side_by_side(biases)
    parts = (*weights, *biases) if biases[0] is not None else tuple(weights)
    owner.joined = Ready(weight, bias, packed, parts, sum(part._version for part in parts))


def side_by_side(parts: Sequence[Tensor]) -> Tensor:
    """One matrix of several with the same inputs, or one bias; they become views of it: nothing is stored twice."""
    first, size = parts[0], sum(len(one) for one in parts)
    ends = [one.data_ptr() + one.numel() * one.element_size() for one in parts]
    near = all(one.data_ptr() == end for one, end in zip(parts[1:], ends, strict=False))
    same = len({one.untyped_storage().data_ptr() for one in parts}) == 1
    if near and same and all(one.is_contiguous() for one in parts):
        return first.detach().as_strided((size, *first.shape[1:]), first.stride())
    whole = torch.cat([one.detach() for one in parts])
    for one, part in zip(parts, whole.split([len(one) for one in parts]), strict=True):
        one.data = part
    return whole
