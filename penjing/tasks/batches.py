"""Which examples go together: batches of a token budget, of like lengths, in an order that a seed repeats.

Nothing here keeps state: the batches of an epoch follow from (lengths, budget, seed, epoch), so a run that was killed
goes on from two numbers, the epoch and the place in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np

PADDING = 0.08  # a batch that would hold more of it ends earlier, once it has
SMALLEST = 4  # a quarter of its budget
POOL = 200  # batches whose examples are sorted by length together: large enough for little padding, small enough to mix


def rounded(length: int | np.ndarray) -> int | np.ndarray:
    """Lengths as batches are measured: up to the next step, at most 1/8 longer, exact when short."""
    step = np.where(
        np.asarray(length) > 256, 16, np.where(np.asarray(length) > 64, 8, np.where(np.asarray(length) > 24, 2, 1))
    )
    up = -(-np.asarray(length) // step) * step
    return up if isinstance(length, np.ndarray) else int(up)


MOST: ContextVar[int | None] = ContextVar("most", default=None)


@contextmanager
def even_widths(most: int | None) -> Iterator[None]:
    """Inside, rows are padded to the next step, as they are measured, but not beyond `most`; None: as they are.

    For half precision on a CPU, whose library makes code for each product of a new shape, a quarter of a megabyte each,
    and keeps it: of exact widths it made ever more.
    """
    token = MOST.set(most)
    try:
        yield
    finally:
        MOST.reset(token)


def width_of(longest: int) -> int:
    """The width of rows the longest of which has so many tokens."""
    most = MOST.get()
    return longest if most is None else max(longest, min(most, int(rounded(longest))))


@dataclass(frozen=True)
class Position:
    """Where a run is: epoch and number of batches of it already used."""

    epoch: int = 0
    batch: int = 0


class Batches:
    """Batches of example numbers for each epoch.

    lengths: tokens of each example, N; or N S where it has S texts, each padded by itself. budget: tokens of a batch,
    padding included. A batch has at least one example.
    """

    def __init__(self, lengths: np.ndarray, budget: int, seed: int, *, shuffle: bool = True, largest: int = 4096):
        self.lengths, self.budget, self.seed, self.shuffle, self.largest = lengths, budget, seed, shuffle, largest
        self.sides = lengths[:, None] if lengths.ndim == 1 else lengths  # N S

    def epoch(self, number: int) -> list[np.ndarray]:
        """All batches of one epoch, in order."""
        if not self.shuffle:
            return self.cut(self.by_length(np.arange(len(self.lengths))))
        random = np.random.Generator(np.random.PCG64([self.seed, number]))
        order = random.permutation(len(self.lengths))
        pool = max(1, int(POOL * self.budget / max(1.0, float(self.sides.sum(1).mean())))) if len(order) else 1
        batches: list[np.ndarray] = []
        for start in range(0, len(order), pool):
            batches += self.cut(self.by_length(order[start : start + pool]))
        return [batches[i] for i in random.permutation(len(batches))]

    def by_length(self, numbers: np.ndarray) -> np.ndarray:
        """Examples sorted by their last text; those of one length by the first, up and down in turn: small steps."""
        first, last = self.sides[numbers, 0], self.sides[numbers, -1]
        return numbers[np.lexsort((np.where(last % 2, -first, first), last))]

    def cut(self, order: np.ndarray) -> list[np.ndarray]:
        """Cut sorted examples into batches of the budget."""
        lengths = self.sides[order].sum(1).tolist()
        widths = np.stack([rounded(side) for side in self.sides[order].T], axis=1).tolist()
        batches, start = [], 0
        while start < len(order):
            end, real, most = start + 1, lengths[start], widths[start]
            while end < len(order):
                wider = [max(one, other) for one, other in zip(most, widths[end], strict=True)]
                if not self.fits(sum(wider), end + 1 - start, real + lengths[end]):
                    break
                end, real, most = end + 1, real + lengths[end], wider
            batches.append(order[start:end])
            start = end
        return batches

    def fits(self, width: int, rows: int, real: int) -> bool:
        """Whether a batch of `rows` rows of `width`, `real` tokens in all, is neither too large nor mostly padding."""
        cells = width * rows
        sparse = cells > self.budget // SMALLEST and real < cells * (1 - PADDING)
        return rows == 1 or (rows <= self.largest and cells <= self.budget and not sparse)

    def from_position(self, position: Position) -> Iterator[tuple[Position, np.ndarray]]:
        """Endless batches from a position on; each comes with the position after it."""
        epoch, skip = position.epoch, position.batch
        while True:
            batches = self.epoch(epoch)
            for number in range(skip, len(batches)):
                last = number + 1 == len(batches)
                yield (Position(epoch + 1, 0) if last else Position(epoch, number + 1)), batches[number]
            epoch, skip = epoch + 1, 0

    def padding(self) -> float:
        """The share of padding in an epoch's batches."""
        batches = self.epoch(0)
        cells = sum(len(b) * int(self.sides[b].max(0).sum()) for b in batches)
        return 1 - float(self.lengths.sum()) / max(1, cells)
