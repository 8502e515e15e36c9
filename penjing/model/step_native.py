"""A tape's operations handed to compiled code: addresses noted once, and before each step what has changed.

A row whose source is padded goes by Python; nothing else of what a tape can hold does.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from penjing.model import native as compiled
from penjing.model.operations import Attend, Near, Product, QuantizedProduct, Recall, Row, Turn, same


def native(said: Sequence[Any], near: Mapping[bool, Near], row: Row) -> Native | None:
    """The operations for compiled code, or None where there is no compiler or an operation it does not know."""
    library = compiled.library()
    if library is None:
        return None
    ops = [one.packed() for one in said]
    return None if None in ops else Native(library, said, ops, near)


class Native:
    """Called with what is near and whose step it is: runs all operations, or says that it cannot."""

    def __init__(
        self, library: compiled.Library, said: Sequence[Any], ops: Sequence[compiled.Op], near: Mapping[bool, Near]
    ):
        self.library = library
        self.kept = [one.kept for one in ops]  # must live as long as their addresses are known here
        self.ops = (compiled.Op * len(ops))(*ops)
        self.near = {local: compiled.Near() for local in near}
        self.own, self.cross = {}, {}  # per layer: keys and values
        for one, place in zip(said, self.ops, strict=True):
            if isinstance(one, Attend | Turn):
                place.near = ctypes.addressof(next(self.near[local] for local in near if near[local] is one.near))
            if isinstance(one, Attend | Recall):
                sides = (self.own if isinstance(one, Attend) else self.cross)[one.layer] = (compiled.Held * 2)()
                place.keys, place.values = map(ctypes.addressof, sides)
        self.held: tuple[Tensor, ...] = ()
        self.copies: list[Tensor] = []
        self.job = compiled.Job(ctypes.addressof(self.ops), len(ops), 1)

    def __call__(self, near: Mapping[bool, Near], row: Row) -> bool:
        if row.cross.mask is not None:
            return False
        self.ready(near, row)
        self.library.run(self.job)
        return True

    def several(self, near: Mapping[bool, Near], row: Row, choice: compiled.Choice) -> None:
        """Several steps, each of the token that the one before it chose."""
        self.ready(near, row)
        self.library.run(compiled.Job(self.job.ops, self.job.count, self.job.threads, ctypes.addressof(choice)))

    def ready(self, near: Mapping[bool, Near], row: Row) -> None:
        """Where everything lies in this step."""
        self.follow(row)
        for local, one in near.items():
            self.look(self.near[local], one)
        self.job.threads = torch.get_num_threads()

    def follow(self, row: Row) -> None:
        """Where keys and values lie; they may have moved since the last step."""
        held = row.held if not self.cross else (*row.held, *(side for pair in row.memory.cross for side in pair))
        if same(self.held, held):
            return
        self.held, self.copies = held, []
        for layer, sides in self.own.items():
            for side, tensor in zip(sides, row.held[layer :: len(row.held) // 2], strict=True):
                place(side, tensor)
        for layer, sides in self.cross.items():
            for side, tensor in zip(sides, self.lying(row.memory.cross[layer]), strict=True):
                place(side, tensor)

    def lying(self, pair: Sequence[Tensor]) -> list[Tensor]:
        """Keys and values whose last numbers lie side by side: those of a short source may not."""
        found = [one if one.stride(3) == 1 else one.contiguous() for one in pair]
        self.copies += found  # must live as long as their addresses are known here
        return found

    @staticmethod
    def look(told: compiled.Near, near: Near) -> None:
        """What is near in this step."""
        told.at, told.begin, told.count = near.at, near.begin, near.count
        if near.biased:
            told.bias = near.visible.mask.data_ptr()
        if near.ready is not None:
            first = (near.at - near.first) * near.cosine.nbytes
            told.cosine, told.sine = (side.ctypes.data + first for side in near.ready)


def native_product(product: Product | QuantizedProduct) -> Callable[[], Tensor] | None:
    """One product by compiled code, its result a new tensor each time; None where there is no compiler."""
    library = compiled.library()
    if library is None:
        return None
    op = product.packed()
    if op is None:
        return None
    job = compiled.Job(ctypes.addressof(op), 1, 1)

    def run() -> Tensor:
        made = product.x.new_empty(op.rows)
        product.aim(op, made)
        job.threads = torch.get_num_threads()
        library.run(job)
        return made

    return run


def place(side: compiled.Held, tensor: Tensor) -> None:
    """Keys or values 1 K S D, whose last numbers lie side by side."""
    side.first, side.head, side.slot, side.count = (
        tensor.data_ptr(),
        tensor.stride(1),
        tensor.stride(2),
        tensor.shape[2],
    )
