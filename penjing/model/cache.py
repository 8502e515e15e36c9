"""Keys and values of tokens already seen: allocated once, each row of its own length, cut, copied and shared by index.

A token's slot is its position in its row, so padding is never stored. A layer that sees only its window keeps a ring:
position p lies in slot p modulo the ring's size. Rows that are equally long need no index and, mostly, no mask.

Shapes: R rows, T new tokens, S slots looked at, K key heads, C capacity in tokens, D head width, W width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
import torch
from torch import Tensor

from penjing.base.errors import GenerateError, ModelError
from penjing.model.config import ModelConfig
from penjing.model.mask import Visible, describe

STEP = 256  # tokens that a ring takes at once, and that a cut may take back from it
Layers = Sequence[tuple[int, bool]]  # of each layer the heads of keys, and whether it sees only its window


class Cache:
    """Keys and values of one decoder: per layer R K C D, or R K window+step D where a layer sees only its window.

    `bound` is the capacity up to which it may grow; by default it never does. `layers` are by default the config's.
    """

    def __init__(
        self, config: ModelConfig, rows: int, capacity: int, like: Tensor, bound: int | None = None, step: int = STEP,
        layers: Layers | None = None,
    ):  # fmt: skip
        self.config, self.capacity, self.bound, self.step = config, capacity, bound or capacity, step
        self.sizes = layers_of(config) if layers is None else layers
        self.layers = range(len(self.sizes))
        # zeros, because a slot that is not visible still meets a weight of 0, and 0 times no number is no number
        self.keys = [like.new_zeros(self.shape(layer, rows)) for layer in self.layers]
        self.values = [like.new_zeros(self.shape(layer, rows)) for layer in self.layers]

    @staticmethod
    def bytes(
        config: ModelConfig,
        rows: int,
        capacity: int,
        dtype: torch.dtype,
        step: int = STEP,
        layers: Layers | None = None,
    ) -> int:
        """What a cache of this size takes. One row and one token: the bytes that each further token costs at most."""
        sizes = layers_of(config) if layers is None else layers
        slots = sum(keys * (ring(config, capacity, step) if local else capacity) for keys, local in sizes)
        return 2 * rows * slots * config.inner * dtype.itemsize

    def local(self, layer: int) -> bool:
        """Whether a layer sees only its window."""
        return self.sizes[layer][1]

    def shape(self, layer: int, rows: int) -> tuple[int, int, int, int]:
        return rows, self.sizes[layer][0], self.slots(self.local(layer)), self.config.inner

    def slots(self, local: bool) -> int:
        """Slots of a layer that sees all (False) or its window (True)."""
        return ring(self.config, self.capacity, self.step) if local else self.capacity

    @property
    def rings(self) -> bool:
        """Whether some layer holds fewer tokens than the others."""
        if self.config.window is None or self.slots(True) == self.capacity:
            return False
        return any(self.local(layer) for layer in self.layers)

    def grow(self, tokens: int) -> None:
        """Room for so many tokens in a row: twice the capacity or more, within the bound."""
        self.capacity = min(self.bound, max(tokens, 2 * self.capacity))
        for held in (self.keys, self.values):
            for layer in self.layers:
                old = held[layer]
                held[layer] = old.new_zeros(self.shape(layer, len(old)))
                held[layer][:, :, : old.shape[2]] = old

    def select(self, rows: Sequence[int], used: int) -> None:
        """Keep these rows, in this order, with their first `used` slots."""
        for held in (self.keys, self.values):
            held[:] = taken(held, rows, used)

    def wipe(self, row: int, used: int) -> None:
        """Make a row zero again."""
        for held in (*self.keys, *self.values):
            held[row, :, :used].zero_()

    def part(self, first: int, last: int) -> Cache:
        """These rows as a cache of their own on the same storage."""
        part = Cache.__new__(Cache)
        part.config, part.capacity, part.bound, part.step = self.config, self.capacity, self.capacity, self.step
        part.layers, part.sizes = self.layers, self.sizes
        part.keys, part.values = ([held[first:last] for held in side] for side in (self.keys, self.values))
        return part

    def put(self, row: int, other: Cache, other_row: int, first: int, length: int) -> None:
        """Copy positions from 0 (window layers: from `first`) to `length` of another cache's row."""
        for layer in self.layers:
            begin = first if self.local(layer) else 0
            at = torch.arange(begin, length, device=self.keys[layer].device)
            for ours, theirs in ((self.keys[layer], other.keys[layer]), (self.values[layer], other.values[layer])):
                ours[row, :, at % ours.shape[2]] = theirs[other_row, :, at % theirs.shape[2]]


def layers_of(config: ModelConfig) -> Layers:
    """All layers of a decoder of this shape."""
    return [(config.keys, config.local(layer)) for layer in range(config.decoder_layers)]


def ring(config: ModelConfig, capacity: int, step: int) -> int:
    """Slots of a layer that sees only its window."""
    return min(capacity, config.window + step)


def taken(held: Sequence[Tensor], rows: Sequence[int], used: int) -> list[Tensor]:
    """These rows of each tensor R K S D, in this order. Only what moves is copied, in place where there is room."""
    moved = [to for to, row in enumerate(rows) if row != to]
    device = held[0].device if held else None
    to, source = torch.tensor(moved, device=device), torch.tensor([rows[i] for i in moved], device=device)
    made = []
    for one in held:
        values = one[source, :, :used] if moved else one
        if len(rows) > len(one):
            more = one.new_zeros(len(rows), *one.shape[1:])
            more[: len(one), :, :used] = one[:, :, :used]
            one = more
        if moved:
            one[to, :, :used] = values
        made.append(one[: len(rows)])
    return made


@dataclass
class Reach:
    """For the layers of one kind: where the tokens of one step stand, where their keys go, what is then seen."""

    cache: Cache
    query_at: Tensor  # 1|R T: positions of the new tokens
    key_at: Tensor  # 1|R S: positions of the slots looked at
    visible: Visible
    begin: int  # the slots looked at: begin to end
    end: int
    slot: int  # the first slot that is written, where all rows write alike
    index: tuple[Tensor, Tensor, Tensor] | None = None  # row, column of the step and slot of each token, where not

    def store(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the new R K T D of a layer and return what is looked at, R K S D, without a copy."""
        found = []
        for held, new in ((self.cache.keys[layer], key), (self.cache.values[layer], value)):
            if self.index is None:
                held[:, :, self.slot : self.slot + new.shape[2]] = new
            else:
                rows, columns, slots = self.index
                held[rows, :, slots] = new[rows, :, columns]
            found.append(held[:, :, self.begin : self.end])
        return found[0], found[1]


class Memory:
    """What decoding remembers between steps: the decoder's cache and, in an encoder-decoder, the encoder's side."""

    def __init__(self, cache: Cache):
        rows = len(cache.keys[0])
        self.cache = cache
        self.lengths = numpy.zeros(rows, dtype=numpy.int64)  # R: tokens of each row
        self.oldest = numpy.zeros(rows, dtype=numpy.int64)  # R: the first position that window layers still hold
        self.sources = numpy.arange(rows)  # R: rows of one number have the same encoder output
        self.hidden: Tensor | None = (
            None  # R 1 W: after `start`, the last prompt token's state, to choose the next from
        )
        self.cross: list[tuple[Tensor, Tensor]] = []  # the encoder's keys and values per layer, R K S D
        self.cross_padding: Tensor | None = None  # R S bool, True = real; None: no padding

    @property
    def length(self) -> int:
        """Tokens of the longest row."""
        return int(self.lengths.max(initial=0))

    @property
    def device(self) -> torch.device:
        return self.cache.keys[0].device

    def ends(self, tokens: int, counts: Sequence[int] | None) -> numpy.ndarray:
        """How long the rows will be."""
        return self.lengths + (tokens if counts is None else numpy.asarray(counts))

    def room(self, tokens: int, counts: Sequence[int] | None = None) -> None:
        """Make room for so many more tokens in each row, or an error when they do not fit."""
        needed = int(self.ends(tokens, counts).max(initial=0))
        if needed > self.cache.bound:
            raise ModelError("P-MODEL-006", given=needed, capacity=self.cache.bound)
        if needed > self.cache.capacity:
            self.cache.grow(needed)

    def advance(self, tokens: int, counts: Sequence[int] | None = None) -> None:
        """The new tokens are stored: they belong to the rows."""
        self.lengths[:] = self.ends(tokens, counts)
        if self.cache.rings:
            numpy.maximum(self.oldest, self.lengths - self.cache.slots(True), out=self.oldest)

    def positions(self, tokens: int, counts: Sequence[int] | None = None) -> tuple[Tensor, Tensor]:
        """Position numbers of the next tokens (1|R T) and of all keys then in use (1 S). A row's padding has its last."""
        ends, step = self.ends(tokens, counts), torch.arange(tokens, device=self.device)[None]
        if self.even() and not (counts is not None and self.cache.config.by_length):
            first = int(self.lengths[0])
            at = step + first if counts is None else (step + first).clamp(max=int(ends.max()) - 1)
        else:
            rows = torch.from_numpy(numpy.stack((self.lengths, ends - 1))).to(self.device)
            at = torch.minimum(rows[0, :, None] + step, rows[1, :, None]).clamp(min=0)
        return at, torch.arange(int(ends.max()), device=self.device)[None]

    def even(self) -> bool:
        """Whether all rows are equally long."""
        return bool((self.lengths == self.lengths[0]).all())

    def reach(self, tokens: int, counts: Sequence[int] | None = None) -> dict[bool, Reach]:
        """Of the layers that see all (False) and of those that see their window (True), as far as there are any."""
        kinds = {self.cache.local(layer) for layer in self.cache.layers}
        at = self.positions(tokens, counts)[0]
        even = self.even()
        return {
            local: (self.together(local, tokens, counts, at) if even else None) or self.apart(local, tokens, counts, at)
            for local in kinds
        }

    def together(self, local: bool, tokens: int, counts: Sequence[int] | None, at: Tensor) -> Reach | None:
        """Equally long rows write one slice and look at one slice. None where the slice would go round the ring."""
        slots, window = self.cache.slots(local), self.cache.config.window if local else None
        first = int(self.lengths[0])
        last, oldest = first + tokens, 0 if window is None else max(0, first - window)
        begin, end = oldest % slots, (last - 1) % slots + 1
        if end - begin != last - oldest or (counts is not None and last > slots):
            return None  # padding that went round would overwrite what is needed
        keys = torch.arange(oldest, last, device=self.device)[None]
        visible = describe(
            None, tokens, last - oldest, causal=True, window=window, first=first - oldest, device=self.device
        )
        return Reach(self.cache, at, keys, visible, begin, end, slot=first % slots)

    def apart(self, local: bool, tokens: int, counts: Sequence[int] | None, at: Tensor) -> Reach:
        """Rows of different lengths, or a ring that closes: a table says what is seen, indices where tokens go."""
        slots, ends = self.cache.slots(local), self.ends(tokens, counts)
        end = min(int(ends.max()), slots)
        keys = torch.arange(end, device=self.device)[None]
        if ends.max() > slots:
            newest = torch.from_numpy(ends - 1).to(self.device)[:, None]
            keys = newest - (newest - keys) % slots  # below 0: never written
        distance = at[:, :, None] - keys[:, None]  # R T S
        allowed = (distance >= 0) & (keys >= 0)[:, None]
        if local:
            allowed &= distance <= self.cache.config.window
        rows, columns = numpy.nonzero(numpy.arange(tokens) < (ends - self.lengths)[:, None])
        index = rows, columns, (self.lengths[rows] + columns) % slots
        index = tuple(torch.from_numpy(part).to(self.device) for part in index)
        return Reach(self.cache, at, keys, Visible(allowed[:, None]), 0, end, 0, index)

    def cut(self, length: int | Sequence[int]) -> None:
        """Forget the newest tokens: a number for each row is what it keeps; one number is what the longest row keeps,
        and every row loses as many as that one. A row that keeps nothing is wiped: no broken number stays behind.
        """
        kept = numpy.asarray(length)
        if kept.ndim == 0:
            kept = self.lengths - max(0, self.length - int(length))
        kept = numpy.minimum(self.lengths, kept).clip(min=0)
        for row, short in enumerate(kept.tolist()):
            self.must_hold(row, short)
        for row in ((kept == 0) & (self.lengths > 0)).nonzero()[0].tolist():
            self.cache.wipe(row, int(self.lengths[row]))
        self.lengths[:] = kept
        self.oldest[kept == 0] = 0

    def holds(self, row: int, length: int) -> bool:
        """Whether a row's first `length` tokens can be gone back to: all that the next token sees is still there."""
        window = self.cache.config.window or 0
        return length <= self.lengths[row] and (length == 0 or max(0, length - window) >= self.oldest[row])

    def must_hold(self, row: int, length: int) -> None:
        if not self.holds(row, length):
            raise GenerateError("P-GENERATE-020", given=length, length=int(self.lengths[row]), step=self.cache.step)

    def select(self, rows: Tensor | Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be taken many times (one prompt, many answers)."""
        chosen = rows.tolist() if isinstance(rows, Tensor) else list(rows)
        used = int(self.lengths[chosen].max(initial=0))
        self.cache.select(chosen, used)
        if self.cross:
            # rows of one source are alike, so beams of one text move nothing
            first = {int(source): row for row, source in reversed(list(enumerate(self.sources)))}
            origin = [
                to
                if to < len(self.sources) and self.sources[to] == self.sources[row]
                else first[int(self.sources[row])]
                for to, row in enumerate(chosen)
            ]
            flat = taken([side for pair in self.cross for side in pair], origin, self.cross[0][0].shape[2])
            self.cross = list(zip(flat[::2], flat[1::2], strict=True))
        index = torch.tensor(chosen, dtype=torch.int64, device=self.device)
        self.lengths, self.oldest, self.sources = self.lengths[chosen], self.oldest[chosen], self.sources[chosen]
        for name in ("hidden", "cross_padding"):
            held = getattr(self, name)
            setattr(self, name, None if held is None else held[index])

    def part(self, first: int, last: int) -> Memory:
        """Some neighbouring rows as a memory of their own, on the same storage: what it learns, this one knows."""
        part = Memory.__new__(Memory)
        part.cache, part.hidden = self.cache.part(first, last), None
        for name in ("lengths", "oldest", "sources"):
            setattr(part, name, getattr(self, name)[first:last])
        part.cross = [(key[first:last], value[first:last]) for key, value in self.cross]
        part.cross_padding = None if self.cross_padding is None else self.cross_padding[first:last]
        return part

    def put(self, row: int, other: Memory, other_row: int, length: int | None = None) -> None:
        """Make a row what another memory's row is, or the first `length` tokens of it (a prefix that both share)."""
        length = int(other.lengths[other_row]) if length is None else length
        other.must_hold(other_row, length)
        if length > self.cache.bound:
            raise ModelError("P-MODEL-006", given=length, capacity=self.cache.bound)
        if length > self.cache.capacity:
            self.cache.grow(length)
        first = int(other.oldest[other_row]) if length else 0
        if self.cache.rings:
            first = max(first, length - self.cache.slots(True))
        self.cache.put(row, other.cache, other_row, first, length)
        self.lengths[row], self.oldest[row] = length, first
        if other.cross:
            self.put_source(row, other, other_row)

    def put_source(self, row: int, other: Memory, other_row: int) -> None:
        """The encoder's side of `put`: it grows to the longest source."""
        rows, source = len(self.lengths), other.cross[0][0].shape[2]
        held = self.cross[0][0].shape[2] if self.cross else 0
        if self.cross_padding is None:
            self.cross_padding = torch.ones(rows, max(held, 1), dtype=torch.bool, device=self.device)
        if not self.cross:
            self.cross = [tuple(side.new_zeros(rows, *side.shape[1:]) for side in pair) for pair in other.cross]
        missing = max(0, source - held)
        if missing and held:
            self.cross = [tuple(torch.nn.functional.pad(s, (0, 0, 0, missing)) for s in pair) for pair in self.cross]
        self.cross_padding = torch.nn.functional.pad(
            self.cross_padding, (0, self.cross[0][0].shape[2] - self.cross_padding.shape[1])
        )
        for ours, theirs in zip(self.cross, other.cross, strict=True):
            for side, new in zip(ours, theirs, strict=True):
                side[row, :, :source] = new[other_row]
        self.cross_padding[row] = False
        self.cross_padding[row, :source] = True if other.cross_padding is None else other.cross_padding[other_row]
        self.sources[row] = self.sources.max() + 1
