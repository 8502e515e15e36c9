"""The likeliest tokens of one row, one after the other by compiled code: Python is asked once for several steps.

A step reads all matrices, and what Python holds is out of the processor's cache after each: of a small network the step
is the smaller part of the time. What is chosen is what `likeliest` chooses of the scores of the same operations.

Shapes: V vocabulary, W width.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from penjing.model import native
from penjing.model.cache import Memory
from penjing.model.embedding import Embedding
from penjing.model.operations import AHEAD
from penjing.model.quantized import Int8, alone, native_type, packed

if TYPE_CHECKING:
    from penjing.model.step import Tape


def ahead(tape: Tape) -> Ahead | None:
    """Several steps of a tape at once, or None where Python has a part in a step."""
    table = table_of(tape.network) if tape.native is not None and tape.simple else None
    if table is None or any(near.biased for near in tape.near.values()):
        return None
    scores = tape.like.new_empty(tape.network.config.vocab_size)
    head = tape.last(scores).packed()
    return None if head is None else Ahead(tape, table, head, scores)


def table_of(network: Any) -> Tensor | Int8 | None:
    """The table of tokens, where compiled code can read it."""
    few = alone(network.embedding)
    if isinstance(few, Int8) and native_type(few.scales):
        return few
    if type(network.embedding) is not Embedding:
        return None
    table = network.embedding.weight.detach()
    return table if native_type(table) and table.is_contiguous() else None


class Ahead:
    """Called with the tape, which it must not keep alive, and the newest token, which the memory does not hold yet."""

    def __init__(self, tape: Tape, table: Tensor | Int8, head: native.Op, scores: Tensor):
        self.tokens, self.logs = (ctypes.c_int64 * AHEAD)(), (ctypes.c_float * AHEAD)()
        follows = (native.Follow * len(tape.near))(
            *(
                native.Follow(
                    ctypes.addressof(tape.native.near[local]),  # type: ignore[union-attr]
                    -1 if near.window is None else near.window,
                    0 if near.cosine is None else near.cosine.size,
                )
                for local, near in tape.near.items()
            )
        )
        few = packed([table], [None]) if isinstance(table, Int8) else None
        self.choice = native.Choice(
            follows=ctypes.addressof(follows), kinds=len(follows), table=0 if few else table.data_ptr(),
            few=ctypes.addressof(few) if few else 0, stream=tape.x.data_ptr(), asked=tape.asked.data_ptr(),
            state=tape.state.data_ptr(), width=len(tape.x), scale=tape.scale, head=ctypes.addressof(head),
            scores=scores.data_ptr(), vocabulary=len(scores), tokens=ctypes.addressof(self.tokens),
            logs=ctypes.addressof(self.logs),
        )  # fmt: skip
        self.kept = follows, few, table, head, scores  # must live as long as their addresses are known here

    def __call__(
        self, tape: Tape, token: int, memory: Memory, most: int, stops: Sequence[int]
    ) -> tuple[list[int], list[float]]:
        choice = self.choice
        tape.row.to(memory)
        if tape.row.cross.mask is not None:
            return [], []
        at = tape.row.at
        for near in tape.near.values():
            near.to(at)
        told = (ctypes.c_int64 * len(stops))(*stops)
        choice.at, choice.token, choice.made = at, token, 0
        turned = (near.first + AHEAD - at for near in tape.near.values() if near.ready is not None)
        choice.steps = min(most, AHEAD, memory.cache.capacity - at, *turned)
        choice.stops, choice.stop_count = ctypes.addressof(told), len(stops)
        tape.native.several(tape.near, tape.row, choice)  # type: ignore[union-attr]
        memory.lengths[0] += choice.made
        return self.tokens[: choice.made], self.logs[: choice.made]
