"""Tagged texts that are read otherwise each time: the rows of a batch are made anew from units that were altered.

Batches are planned by the lengths of the texts as they are; what is drawn for a batch follows from its place alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from penjing.tasks.tag_pieces import TagPieces
from penjing.text.augment import Augment
from penjing.text.augment_tags import Reader, units
from penjing.text.tagging import Scheme

Cut = Callable[[list[dict[str, Any]]], TagPieces]


class AlteredTags:
    """Tokens with their tags, what alters them and what cuts records."""

    def __init__(
        self, ways: Augment, rows: Sequence[tuple[Sequence[str], Sequence[str]]], scheme: Scheme, cut: Cut
    ):  # fmt: skip
        self.units = [units(tokens, tags, scheme) for tokens, tags in rows]
        self.reader, self.cut = Reader(ways, self.units, scheme), cut

    def rows(self, pieces: TagPieces, rows: np.ndarray, random: np.random.Generator) -> tuple[TagPieces, np.ndarray]:
        """Other pieces, and in them a row for each of `rows`: of a long text the same window, or now the last."""
        drawn = [self.reader(self.units[owner], random) for owner in pieces.owner[rows]]
        fresh = self.cut([{"tokens": tokens, "tags": tags} for tokens, tags in drawn])
        first, end = (np.searchsorted(fresh.owner, np.arange(len(rows)), side) for side in ("left", "right"))
        return fresh, np.minimum(first + pieces.part[rows], end - 1)
