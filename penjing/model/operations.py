"""The operations that a step of one row consists of. Each says how it is done in Python, and how `step.cpp` is told.

torch asks some microseconds for each call, however small, so in Python as few as can be are made, nothing is allocated,
split or viewed twice, and numpy, on the same memory, does what is smallest, for half of what torch asks.

Shapes: W width, H heads, K key heads, G heads that share one, C capacity, D head width, I inputs, O outputs, P positions.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy
import torch
from torch import Tensor, nn

from penjing.model import native as compiled
from penjing.model.cache import Memory
from penjing.model.layers import NUMBERS, RMSNorm, mix
from penjing.model.mask import Visible, describe
from penjing.model.native import KINDS, Op, Products
from penjing.model.positions import Positions
from penjing.model.quantized import Quantized, multiply, native_type, packed

AHEAD = 64  # positions whose rotations are made at once: torch does, and its threads stay awake for a while after it
TINY = 1e-45
FIRST = torch.zeros(1, 1, dtype=torch.int64)  # the position of a row's first token
Call = Callable[[], object]


class Near:
    """What layers of one kind, global or local, look at in this step, and how queries and keys are turned."""

    def __init__(self, position: Positions, window: int | None, key_heads: int, dtype: torch.dtype):
        self.position, self.window, self.key_heads, self.dtype = position, window, key_heads, dtype
        self.at = self.begin = self.count = self.first = 0
        self.visible = Visible()
        self.biased = position.bias(FIRST, FIRST, dtype) is not None
        self.ready = self.rotations(0)
        self.cosine = self.sine = None if self.ready is None else self.ready[0][0]  # each 2 D/2: of both halves

    def to(self, at: int) -> None:
        """The step of position `at`."""
        self.at, self.begin = at, 0 if self.window is None else max(0, at - self.window)
        self.count = at + 1 - self.begin
        if self.biased:
            bias = self.position.bias(FIRST + at, torch.arange(self.begin, at + 1)[None], self.dtype)
            self.visible = Visible(bias.reshape(1, self.key_heads, -1, self.count).contiguous())
        if self.ready is not None:
            if not 0 <= at - self.first < AHEAD:
                self.first, self.ready = at, self.rotations(at)
            self.cosine, self.sine = (side[at - self.first] for side in self.ready)

    def rotations(self, at: int) -> tuple[numpy.ndarray, numpy.ndarray] | None:
        """Cosines and sines of the next positions, each as of a text of its own: P 2 D/2."""
        rotation = self.position.rotation(torch.arange(at, at + AHEAD)[:, None], self.dtype)
        return None if rotation is None else tuple(side.reshape(AHEAD, 2, -1).numpy() for side in rotation)

    def turn(self, heads: numpy.ndarray, swapped: numpy.ndarray, room: numpy.ndarray) -> None:
        """Turn queries and keys in place, as `rotate` does; each H 2 D/2, and `swapped` has the halves exchanged."""
        numpy.multiply(swapped, self.sine, out=room)
        numpy.multiply(heads, self.cosine, out=heads)
        numpy.add(heads, room, out=heads)


class Row:
    """Whose step it is: its memory, the position, and all layers' keys, then values, as tensors 1 K C D and as arrays."""

    def __init__(self) -> None:
        self.memory: Memory | None = None
        self.at = 0
        self.cross = Visible()
        self.held: tuple[Tensor, ...] = ()
        self.arrays: list[numpy.ndarray] = []

    def to(self, memory: Memory) -> None:
        """The next step of a memory's only row; its cache may have moved since the last one."""
        self.at = int(memory.lengths[0])
        held = (*memory.cache.keys, *memory.cache.values)
        if self.memory is not memory or not same(self.held, held):
            self.held, self.arrays = held, [side[0].numpy() for side in held]
        self.memory = memory
        self.cross = Visible() if memory.cross_padding is None else describe(memory.cross_padding, 0, 0)


class Product(NamedTuple):
    """weight O I times x I, plus bias O; put into `to` O, or added to it."""

    weight: Tensor
    bias: Tensor | None
    x: Tensor
    to: Tensor
    add: bool = False

    def calls(self) -> Iterator[Call]:
        matrix, column, to = halves(self.weight, self.x, self.to)
        if self.add:
            if self.bias is not None:
                yield partial(self.to.add_, self.bias)
            yield partial(to.baddbmm_, matrix, column)
        elif self.bias is None:
            yield partial(torch.bmm, matrix, column, out=to)
        else:
            yield partial(torch.baddbmm, self.bias.view_as(to), matrix, column, out=to)

    def packed(self) -> Op | None:
        rows, columns = self.weight.shape
        return op("product", rows, columns, int(self.add), matrix=self.weight, bias=self.bias, x=self.x, to=self.to)

    @staticmethod
    def aim(told: Op, to: Tensor) -> None:
        """Put the result elsewhere."""
        told.to = to.data_ptr()


class QuantizedProduct(NamedTuple):
    """The same with matrices of few bits that read the same x; what they say lies side by side."""

    matrices: Sequence[Quantized]
    biases: Sequence[Tensor | None]
    x: Tensor
    to: Tensor
    add: bool = False

    def calls(self) -> Iterator[Call]:
        matrices, biases, x, to, add = self
        put = to.add_ if add else to.copy_
        yield lambda: put(multiply(x, matrices, biases))

    def packed(self) -> Op | None:
        outputs = sum(one.outputs for one in self.matrices)
        told = op("quantized", outputs, self.matrices[0].inputs, x=self.x, to=self.to)
        if told is None or not all(native_type(one.scales) for one in self.matrices):
            return None
        places = packed(self.matrices, self.biases)
        sizes = len(places), 1, self.x.data_ptr(), self.to.data_ptr(), outputs
        told.told = Products(ctypes.addressof(places), *sizes, self.add)
        told.products = ctypes.addressof(told.told)
        told.kept += [places, told.told, *self.biases, *(place for one in self.matrices for place in one.buffers())]
        return told

    @staticmethod
    def aim(told: Op, to: Tensor) -> None:
        """As `Product.aim`."""
        told.told.to = to.data_ptr()


class Norm(NamedTuple):
    """A norm of x, one vector or several, put into `to`, which may be x."""

    norm: nn.Module
    x: Tensor
    to: Tensor

    def calls(self) -> Iterator[Call]:
        norm, x, to = self
        if type(norm) is RMSNorm and x.dim() == 1:
            yield partial(root_mean_square, x.numpy(), norm.weight.detach().numpy(), norm.eps, to.numpy())
        else:
            yield lambda: to.copy_(norm.forward(x))

    def packed(self) -> Op | None:
        norm, x, to = self
        if not isinstance(norm, RMSNorm | nn.LayerNorm) or not (x.is_contiguous() and to.is_contiguous()):
            return None
        kind, bias = ("root_mean_square", None) if isinstance(norm, RMSNorm) else ("layer", norm.bias)
        columns = x.shape[-1]
        return op(kind, x.numel() // columns, columns, number=norm.eps, matrix=norm.weight, bias=bias, x=x, to=to)


class Turn(NamedTuple):
    """The first `width` numbers of queries and keys H+K D, turned in place."""

    near: Near
    heads: Tensor
    width: int
    room: Tensor

    def calls(self) -> Iterator[Call]:
        both = self.heads[:, : self.width].unflatten(-1, (2, -1)).numpy()
        yield partial(self.near.turn, both, both[:, ::-1], self.room.numpy().reshape(both.shape))

    def packed(self) -> Op | None:
        return op("turn", *self.heads.shape, self.width, to=self.heads)


class Attend(NamedTuple):
    """Keys and values are stored, and a layer's queries look at what is near. `made` H+K+K D, queries first."""

    row: Row  # not the tape: a tape that is let go takes the cache along
    near: Near
    layer: int
    layers: int
    scale: float | None
    group: int
    made: Tensor
    mixed: Tensor

    def calls(self) -> Iterator[Call]:
        row, near, layer, later, scale = self.row, self.near, self.layer, self.layer + self.layers, self.scale
        sizes = self.key_heads * self.group, self.key_heads, self.key_heads
        query, key, value = self.made.split(sizes)
        query, key, value = query.view(1, self.key_heads, self.group, -1), key.numpy(), value.numpy()
        to = self.mixed.view_as(query)

        def look() -> None:
            row.arrays[layer][:, row.at], row.arrays[later][:, row.at] = key, value
            keys = row.held[layer].narrow(2, near.begin, near.count)
            values = row.held[later].narrow(2, near.begin, near.count)
            to.copy_(mix(query, keys, values, near.visible, scale, 0.0))

        yield look

    @property
    def key_heads(self) -> int:
        return len(self.made) // (self.group + 2)

    def packed(self) -> Op | None:
        scale = self.made.shape[1] ** -0.5 if self.scale is None else self.scale
        sizes = self.key_heads, self.made.shape[1], self.group
        return op("attend", *sizes, number=scale, x=self.made, to=self.mixed)


class Recall(NamedTuple):
    """Queries 1 K G D look at what the encoder said to a layer."""

    row: Row
    layer: int
    scale: float | None
    query: Tensor
    mixed: Tensor

    def calls(self) -> Iterator[Call]:
        row, layer, scale, query, to = self.row, self.layer, self.scale, self.query, self.mixed.view_as(self.query)
        yield lambda: to.copy_(mix(query, *row.memory.cross[layer], row.cross, scale, 0.0))

    def packed(self) -> Op | None:
        _, key_heads, group, width = self.query.shape
        scale = width**-0.5 if self.scale is None else self.scale
        return op("recall", key_heads, width, group, number=scale, x=self.query, to=self.mixed)


class Activate(NamedTuple):
    """The activation of one side, times the other where there is one."""

    activation: Callable[[Tensor], Tensor]
    first: Tensor
    second: Tensor | None
    to: Tensor

    def calls(self) -> Iterator[Call]:
        activation, first, second, to = self
        if second is None:
            yield lambda: to.copy_(activation(first))
        else:
            yield lambda: torch.mul(activation(first), second, out=to)

    def packed(self) -> Op | None:
        number = NUMBERS.get(self.activation)
        if number is None:
            return None
        return op("activate", 1, len(self.first), number, x=self.first, y=self.second, to=self.to)


class Feed(NamedTuple):
    """An MLP of few bits: products, their activation, and the product of what it says."""

    first: QuantizedProduct
    between: Activate
    second: QuantizedProduct

    def calls(self) -> Iterator[Call]:
        for one in self:
            yield from one.calls()

    def packed(self) -> Op | None:
        first, between, second = parts = [one.packed() for one in self]
        if first is None or between is None or second is None:
            return None
        made = op("feed", 1, between.columns)
        made.told = compiled.Feed(first.told, second.told, between.detail)
        made.feed = ctypes.addressof(made.told)
        made.kept = [*parts, made.told]
        return made


def op(
    kind: str, rows: int, columns: int, detail: int = 0, *, number: float = 0.0, **places: Tensor | None
) -> Op | None:
    """An operation as `step.cpp` reads it, or None where the numbers of a tensor do not lie as it reads them."""
    if any(
        place is not None and (place.dtype is not torch.float32 or not place.is_contiguous())
        for place in places.values()
    ):
        return None
    found = {name: 0 if place is None else place.data_ptr() for name, place in places.items()}
    made = Op(kind=KINDS.index(kind), rows=rows, columns=columns, detail=detail, number=number, **found)
    made.kept = [place.detach() for place in places.values() if place is not None]  # else a module may let go of them
    return made


def root_mean_square(x: numpy.ndarray, weight: numpy.ndarray, eps: float, to: numpy.ndarray) -> None:
    """RMSNorm of one vector."""
    scale = 1 / math.sqrt(max(float(numpy.dot(x, x)) / len(x) + eps, TINY))
    numpy.multiply(x, weight, out=to)
    numpy.multiply(to, scale, out=to)


def halves(weight: Tensor, x: Tensor, to: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The halves of a matrix, x as a column for each, and where each writes: 2 O/2 I, 2 I 1, 2 O/2 1.

    The column is a row transposed: by the strides of a plain column MKL takes a kernel that is seven times as slow.
    """
    parts = 2 - len(weight) % 2
    return weight.view(parts, -1, weight.shape[1]), x.view(1, -1).t().expand(parts, -1, -1), to.view(parts, -1, 1)


def same(some: tuple, others: tuple) -> bool:
    """Whether two tuples hold the same objects."""
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))
