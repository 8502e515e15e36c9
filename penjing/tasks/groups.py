"""Records of two or three texts that are read apart, one row each, and compared: one piece for each record.

The rows of a batch are all first texts, then all second ones, then all third ones. Legend: N records, C texts in each.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from penjing.tasks.pieces import InMemory, Pieces

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer


class Together:
    """The texts of record i are the documents C·i to C·i + C - 1."""

    def __init__(self, texts: InMemory, count: int):
        self.texts = texts
        self.lengths = texts.lengths.reshape(-1, count).sum(1)
        self.fingerprint = texts.fingerprint


class Groups:
    """Records as training sees them; of a text longer than the window its beginning is read."""

    typed = False
    altered = None
    fingerprint = Pieces.fingerprint

    def __init__(self, texts: InMemory, count: int, tokenizer: Tokenizer, window: int, targets: np.ndarray):
        self.rows, self.count, self.targets = Pieces(texts, tokenizer, window, "head"), count, targets
        self.documents, self.room = Together(texts, count), self.rows.room
        each = self.rows.lengths.reshape(-1, count)
        self.lengths = count * each.max(1)  # what the record takes of a batch, padding included
        self.owner = np.arange(len(each))
        self.part, self.parts = np.zeros_like(self.owner), np.ones_like(self.owner)
        self.cut = int((texts.lengths > self.room).reshape(-1, count).any(1).sum())

    def __len__(self) -> int:
        return len(self.owner)

    def tokens(self, piece: int) -> np.ndarray:
        """The rows of a record, one after the other."""
        return np.concatenate([self.rows.tokens(self.count * piece + part) for part in range(self.count)])

    def batch_rows(self, pieces: np.ndarray) -> list[np.ndarray]:
        """All rows of a batch: C times the records."""
        return [self.rows.tokens(self.count * int(piece) + part) for part in range(self.count) for piece in pieces]

    def records(self, pieces: Sequence[int] | np.ndarray) -> list[int]:
        """The records that pieces come from."""
        return [int(piece) for piece in pieces]
