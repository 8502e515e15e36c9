"""Training texts that are read otherwise each time: the rows of a batch are made anew from texts that were altered.

Batches are planned by the lengths of the texts as they are. What is drawn for a batch follows from its place alone, so a
run that goes on reads what the other would have read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from penjing.base.texts import Two
from penjing.tasks.pieces import Pieces
from penjing.text.augment import Augment, Reader


class Altered:
    """Texts, or pairs of texts, with what alters them and what cuts them."""

    def __init__(self, ways: Augment, texts: Sequence[Two], cut: Callable[[Sequence[Two]], Pieces]):
        self.texts, self.cut = texts, cut
        self.reader = Reader(ways, (text for two in texts for text in two if text))

    def rows(self, pieces: Pieces, rows: np.ndarray, random: np.random.Generator) -> tuple[Pieces, np.ndarray]:
        """Other pieces, and in them a row for each of `rows`: of a long text the same window, or now the last."""
        drawn = [
            tuple(text and self.reader(text, random) for text in self.texts[owner]) for owner in pieces.owner[rows]
        ]
        fresh = self.cut(drawn)  # type: ignore[arg-type]
        first = np.searchsorted(fresh.owner, np.arange(len(rows)))
        return fresh, first + np.minimum(pieces.part[rows], fresh.parts[first] - 1)


def by_name(record: dict[str, Any]) -> dict[str, Any]:
    """A task's record in which files that training read are kept by name: where they lay is nobody's business."""
    for way in (record["augment"] or {}).values():
        if way and "file" in way:
            way["file"] = way["file"].name
    return record
