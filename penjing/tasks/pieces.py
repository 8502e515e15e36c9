"""Documents as the network will see them: whole, cut to a window, or in several windows.

A document is an array of token ids without special tokens. A piece is what fills one row of a batch: prefix + part of a
document + suffix, at most `window` tokens in all.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np

if TYPE_CHECKING:
    from penjing.tasks.altered import Altered
    from penjing.tasks.tag_altered import AlteredTags
    from penjing.text.tokenizer import Tokenizer

LongText = Literal["windows", "head", "head_tail"]


class Documents(Protocol):
    """What holds documents: a `TokenFile` or a list of arrays."""

    lengths: np.ndarray

    def document(self, number: int) -> np.ndarray: ...

    def fingerprint(self) -> str: ...


class InMemory:
    """Documents from lists of token ids; `starts` are word starts, where known."""

    def __init__(self, documents: Sequence[Sequence[int]], starts: Sequence[Sequence[bool]] | None = None):
        self.documents = [np.asarray(d, dtype=np.int32) for d in documents]
        self.word_starts = None if starts is None else [np.asarray(s, dtype=bool) for s in starts]
        self.lengths = np.asarray([len(d) for d in self.documents], dtype=np.int64)

    def document(self, number: int) -> np.ndarray:
        return self.documents[number]

    def starts(self, number: int) -> np.ndarray:
        assert self.word_starts is not None
        return self.word_starts[number]

    def fingerprint(self) -> str:
        """All tokens, and where words begin, as one hash."""
        found = hashlib.sha256(self.lengths.tobytes())
        for document in (*self.documents, *(self.word_starts or ())):
            found.update(document.tobytes())
        return found.hexdigest()


class Pieces:
    """All pieces of some documents. No piece is without a token: where nothing else stands, the end or padding does.

    long_text: `windows` cuts a long document into parts of equal size, none lost; `head` keeps its beginning;
    `head_tail` keeps a quarter of the window from its beginning and the rest from its end.
    """

    typed = False  # whether rows have token types
    altered: Altered | AlteredTags | None = None  # what reads the texts otherwise in training

    def __init__(
        self, documents: Documents, tokenizer: Tokenizer, window: int, long_text: LongText = "windows",
        targets: np.ndarray | None = None, empty: bool = True,
    ):  # fmt: skip
        self.documents, self.tokenizer, self.targets, self.long_text = documents, tokenizer, targets, long_text
        self.prefix, self.suffix = np.asarray(tokenizer.prefix, np.int64), np.asarray(tokenizer.suffix, np.int64)
        self.room = max(1, window - len(self.prefix) - len(self.suffix))  # document tokens of one piece
        lengths = np.asarray(documents.lengths, dtype=np.int64)
        counts = np.maximum(1, -(-lengths // self.room)) if long_text == "windows" else np.ones_like(lengths)
        if not empty:  # a document without tokens teaches nothing
            counts[lengths == 0] = 0
        self.owner = np.repeat(np.arange(len(lengths)), counts)  # piece -> document
        first = np.repeat(np.cumsum(counts) - counts, counts)
        self.part, self.parts = np.arange(len(self.owner)) - first, counts[self.owner]
        self.start = lengths[self.owner] * self.part // np.maximum(1, self.parts)
        self.stop = lengths[self.owner] * (self.part + 1) // np.maximum(1, self.parts)
        specials = len(self.prefix) + len(self.suffix)
        self.lengths = np.maximum(1, np.minimum(self.stop - self.start, self.room) + specials)
        self.cut = int((lengths > self.room).sum())  # documents longer than the window

    def __len__(self) -> int:
        return len(self.owner)

    def fingerprint(self) -> str:
        """What is learnt from, as one hash: a run that goes on must go on from the same."""
        found = hashlib.sha256(np.asarray(self.lengths).tobytes() + self.documents.fingerprint().encode())
        if self.targets is not None:
            plain = self.targets.dtype != object
            found.update(self.targets.tobytes() if plain else "\0".join(map(str, self.targets)).encode())
        if self.altered is not None:
            found.update(self.altered.reader.fingerprint())
        return found.hexdigest()

    def inner(self, piece: int, of: np.ndarray | None = None) -> np.ndarray:
        """The document's tokens in a piece (or the same cut of another array of the document, e.g. word starts)."""
        document = self.documents.document(int(self.owner[piece])) if of is None else of
        part = document[self.start[piece] : self.stop[piece]]
        if len(part) <= self.room:
            return part
        head = self.room if self.long_text == "head" else self.room // 4
        return np.concatenate([part[:head], part[len(part) - (self.room - head) :]])

    def tokens(self, piece: int) -> np.ndarray:
        """A whole row: prefix, part of the document, suffix."""
        row = np.concatenate([self.prefix, self.inner(piece).astype(np.int64), self.suffix])
        if len(row):
            return row
        return np.asarray([self.tokenizer.pad if self.tokenizer.end is None else self.tokenizer.end], np.int64)

    def types(self, piece: int) -> np.ndarray:
        """The token types of a row: there is one text."""
        return np.zeros_like(self.tokens(piece))

    def records(self, rows: np.ndarray) -> list[int]:
        """The records that pieces come from, by number in what was read; for messages."""
        owners = self.owner[rows]
        return np.asarray(getattr(self.documents, "numbers", np.arange(len(self.documents.lengths))))[owners].tolist()

    def starts(self, piece: int) -> np.ndarray:
        """Where words begin in the row; special tokens begin none."""
        inner = self.inner(piece, self.documents.starts(int(self.owner[piece])))  # type: ignore[attr-defined]
        return np.concatenate([np.zeros(len(self.prefix), bool), inner, np.zeros(len(self.suffix), bool)])


class MovingPieces(Pieces):
    """Windows that lie elsewhere in each epoch, so that no place of a long document is always the first of its window.

    All windows of a document move together, by up to half a window either way, and stop at its ends: there a few tokens
    are read twice or not at all in that epoch. Lengths stay, and so do the batches. Epoch 0 has the plain cuts.
    """

    def __init__(self, *given: Any, seed: int = 0, **options: Any):
        super().__init__(*given, **options)
        self.seed = seed
        self.last: tuple[int, Pieces] = (0, self)

    def at_epoch(self, number: int) -> Pieces:
        """The pieces as they lie in an epoch, which follows from the seed and its number."""
        if self.last[0] != number:
            self.last = number, self if number == 0 else self.moved(number)
        return self.last[1]

    def moved(self, number: int) -> Pieces:
        random = np.random.Generator(np.random.PCG64([self.seed, 3, number]))
        lengths = np.asarray(self.documents.lengths, np.int64)[self.owner]
        half = lengths // np.maximum(1, self.parts) // 2
        share = random.uniform(-1, 1, len(self.documents.lengths))[self.owner]
        found, size = copy.copy(self), self.stop - self.start
        found.start = np.clip(self.start + np.rint(share * half).astype(np.int64), 0, lengths - size)
        found.stop = found.start + size
        return found
