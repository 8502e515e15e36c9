"""Which examples a prompt shows: drawn once for all texts, or the nearest of each text.

A chooser answers `choose(records, shots)`: for each record the numbers of its examples, in the order they are shown.
Shapes: N examples to choose from, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from penjing.text.bm25 import BM25

Record = Mapping[str, Any]
Vectors = Callable[[Sequence[str]], np.ndarray]  # texts to rows N W


class Chooser(Protocol):
    """What chooses examples."""

    def choose(self, records: Sequence[Record], shots: int) -> list[tuple[int, ...]]: ...


class Given:
    """The examples as they stand, the same for all texts."""

    def choose(self, records: Sequence[Record], shots: int) -> list[tuple[int, ...]]:
        return [tuple(range(shots))] * len(records)


class Drawn:
    """The same examples for all texts; more shots are the fewer ones and some more.

    balanced: the labels take turns, each time in another order, so that none has two examples more than another.
    """

    def __init__(self, labels: Sequence[str], seed: int, balanced: bool = False):
        random = np.random.default_rng([seed, 11])
        order = random.permutation(len(labels)).tolist()
        self.order = rounds(order, labels, random) if balanced else order

    def choose(self, records: Sequence[Record], shots: int) -> list[tuple[int, ...]]:
        return [tuple(self.order[:shots])] * len(records)


def rounds(order: Sequence[int], labels: Sequence[str], random: np.random.Generator) -> list[int]:
    """The numbers of `order` so that in each round every label that is left comes once."""
    waiting: dict[str, list[int]] = {label: [] for label in sorted(set(labels))}
    for number in order:
        waiting[labels[number]].append(number)
    found: list[int] = []
    while len(found) < len(order):
        left = [label for label, numbers in waiting.items() if numbers]
        found += [waiting[left[place]].pop(0) for place in random.permutation(len(left))]
    return found


class Nearest:
    """For each text the examples that share the most telling words with it (BM25), the nearest last."""

    def __init__(self, examples: Sequence[Record]):
        self.index = BM25.fit([both(record) for record in examples])

    def choose(self, records: Sequence[Record], shots: int) -> list[tuple[int, ...]]:
        if not shots:
            return [()] * len(records)
        places, _ = self.index.best((both(record) for record in records), shots)
        return [tuple(row[::-1]) for row in places.tolist()]


class Embedded:
    """For each text the examples whose vectors have the highest cosine with its own, the nearest last."""

    def __init__(self, examples: Sequence[Record], vectors: Vectors):
        self.vectors = vectors
        self.rows = unit(vectors([both(record) for record in examples]))  # N W

    def choose(self, records: Sequence[Record], shots: int) -> list[tuple[int, ...]]:
        if not shots:
            return [()] * len(records)
        found = []
        for row in unit(self.vectors([both(record) for record in records])):
            order = np.argsort(-(self.rows @ row).round(6), kind="stable")[:shots]
            found.append(tuple(order[::-1].tolist()))
        return found


def both(record: Record) -> str:
    """The text, or both texts, of a record."""
    return "\n".join(str(record[name]) for name in ("text", "text_b") if record.get(name))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths, in float64."""
    rows = np.asarray(rows, np.float64)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
