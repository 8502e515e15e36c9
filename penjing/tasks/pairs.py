"""Records of two texts as the network will see them: [CLS] first [SEP] second [SEP] with token types, in one window.

A pair is never read in several windows: what is too long is cut, the longer text first.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from penjing.base.texts import Two
from penjing.tasks.pieces import Documents, InMemory, Pieces
from penjing.text.tokenizer_frame import shares

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer


class Pairs:
    """The texts of record i are the documents 2i and 2i + 1; `both` says which records have a second one."""

    def __init__(self, texts: Documents, both: np.ndarray):
        self.texts, self.both = texts, both
        self.counts = np.asarray(texts.lengths, dtype=np.int64).reshape(-1, 2)
        self.lengths = self.counts.sum(1)

    def document(self, number: int) -> np.ndarray:
        """The tokens of both texts."""
        return np.concatenate(self.two(number))

    def two(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The tokens of each text."""
        return self.texts.document(2 * number), self.texts.document(2 * number + 1)

    def fingerprint(self) -> str:
        """All tokens of both texts as one hash."""
        return self.texts.fingerprint()


class PairPieces(Pieces):
    """One piece for each record. `typed`: with token types."""

    documents: Pairs

    def __init__(
        self,
        documents: Pairs,
        tokenizer: Tokenizer,
        window: int,
        targets: np.ndarray | None = None,
        typed: bool = False,
    ):
        super().__init__(documents, tokenizer, window, "head", targets)
        self.typed = typed
        rooms = np.where(documents.both, max(2, window - tokenizer.frame.size), self.room)
        shared = [shares(*count, room) for count, room in zip(documents.counts.tolist(), rooms.tolist(), strict=True)]
        self.kept = np.asarray(shared, dtype=np.int64).reshape(-1, 2)
        alone = len(self.prefix) + len(self.suffix)
        self.lengths = np.maximum(1, self.kept.sum(1) + np.where(documents.both, tokenizer.frame.size, alone))
        self.cut = int((self.kept < documents.counts).any(1).sum())

    def tokens(self, piece: int) -> np.ndarray:
        """A whole row."""
        return self.row(piece)[0]

    def types(self, piece: int) -> np.ndarray:
        """The type of each token of a row."""
        return self.row(piece)[1]

    def row(self, piece: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and types."""
        first, second = (text[:kept] for text, kept in zip(self.documents.two(piece), self.kept[piece], strict=True))
        if not self.documents.both[piece]:
            tokens = super().tokens(piece)
            return tokens, np.zeros_like(tokens)
        found = self.tokenizer.build_pair(first.tolist(), second.tolist())
        return np.asarray(found[0], np.int64), np.asarray(found[1], np.int64)


def pair_pieces(texts: Sequence[Two], tokenizer: Tokenizer, window: int, typed: bool) -> PairPieces:
    """Pieces of pairs in memory."""
    flat = [text or "" for two in texts for text in two]
    both = np.asarray([second is not None for _, second in texts], dtype=bool)
    return PairPieces(Pairs(InMemory(tokenizer.encode_many(flat)), both), tokenizer, window, typed=typed)
