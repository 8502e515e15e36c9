"""Tokens as the network will see them: in pieces of the vocabulary, a long document in windows that overlap.

Each token is asked for once: at one of its pieces, in the window where that piece stands farthest from an edge. The
true beginning and end of a document are no edges.

N documents, P pieces of one, L tokens of one; rows are windows
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penjing.base.errors import OptionError
from penjing.tasks.pieces import InMemory, Pieces
from penjing.text.tagging import joined

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer


class TagPieces(Pieces):
    """Windows over documents, which share `stride` pieces; None: half a window.

    asked: for each document the place of each token, L. labels: L each, where known.
    """

    def __init__(
        self, documents: InMemory, asked: Sequence[np.ndarray], tokenizer: Tokenizer, window: int,
        stride: int | None = None, labels: Sequence[np.ndarray] | None = None,
    ):  # fmt: skip
        super().__init__(documents, tokenizer, window, "head")
        self.asked, self.labels = asked, labels
        if stride is not None and stride >= self.room:
            raise OptionError("P-TASK-056", given=stride, room=self.room)
        step = self.room - (self.room // 2 if stride is None else stride)
        lengths = np.asarray(documents.lengths, dtype=np.int64)
        counts = 1 + np.maximum(0, -(-(lengths - self.room) // step))
        self.owner = np.repeat(np.arange(len(lengths)), counts)
        self.part, self.parts = (
            np.arange(len(self.owner)) - np.repeat(np.cumsum(counts) - counts, counts),
            counts[self.owner],
        )
        whole = lengths[self.owner]
        self.start = np.minimum(self.part * step, np.maximum(0, whole - self.room))
        self.stop = np.minimum(self.start + self.room, whole)
        self.find_tokens()
        self.lengths = self.stop - self.start + len(self.prefix) + len(self.suffix)
        self.targets = None if labels is None else np.concatenate([np.zeros(0, np.int64), *labels])

    def find_tokens(self) -> None:
        """The tokens `first` to `last` that each window answers for; windows without any are left out."""
        middle = (self.stop[:-1] + self.start[1:]) // 2  # between a window and the one after it
        low = np.where(self.part == 0, 0, np.concatenate([[0], middle]))
        high = np.where(self.part == self.parts - 1, self.stop, np.concatenate([middle, [0]]))
        bounds = [
            np.searchsorted(self.asked[document], (low[row], high[row]))
            for row, document in enumerate(self.owner.tolist())
        ]
        self.first, self.last = np.asarray(bounds, dtype=np.int64).reshape(-1, 2).T
        kept = self.first < self.last
        for name in ("owner", "part", "parts", "start", "stop", "first", "last"):
            setattr(self, name, getattr(self, name)[kept])

    def tokens(self, piece: int) -> np.ndarray:
        document = self.documents.document(int(self.owner[piece]))[self.start[piece] : self.stop[piece]]
        return np.concatenate([self.prefix, document.astype(np.int64), self.suffix])

    def places(self, piece: int) -> np.ndarray:
        """Where in its row the tokens stand that a window answers for."""
        asked = self.asked[self.owner[piece]][self.first[piece] : self.last[piece]]
        return asked - self.start[piece] + len(self.prefix)

    def labels_of(self, piece: int) -> np.ndarray:
        """The labels of these tokens."""
        assert self.labels is not None
        return self.labels[self.owner[piece]][self.first[piece] : self.last[piece]]

    def whole(self, piece: int) -> tuple[bool, bool]:
        """Whether the window answers for the document's first token, and for its last one."""
        return bool(self.first[piece] == 0), bool(self.last[piece] == len(self.asked[self.owner[piece]]))

    def fingerprint(self) -> str:
        """What is learnt from, as one hash."""
        found = hashlib.sha256(np.concatenate([self.start, self.stop, self.first, self.last]).tobytes())
        for array in (self.targets, *self.documents.documents):
            found.update(b"" if array is None else np.ascontiguousarray(array).tobytes())
        if self.altered is not None:
            found.update(self.altered.reader.fingerprint())
        return found.hexdigest()


def encoded(
    records: Sequence[Mapping[str, Any]], tokenizer: Tokenizer, last: bool
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """For each record its pieces P, and the place of each token L: of its first piece, or of its `last` one.

    Each token is cut by itself, so that no piece belongs to two; where a vocabulary writes the space before a word as a
    part of it, the token has its space. A token of which nothing remains is the unknown one.
    """
    spaced = "ByteLevel" in json.dumps(json.loads(tokenizer.inner.to_str())["pre_tokenizer"])
    texts = [written(record, spaced) for record in records]
    known = list(dict.fromkeys(text for tokens in texts for text in tokens))
    clean = [text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8") for text in known]
    nothing = [next(i for i in (tokenizer.unknown, tokenizer.mask, tokenizer.pad) if i is not None)]
    found = [np.asarray(ids or nothing, np.int64) for ids in tokenizer.encode_many(clean)]
    pieces = dict(zip(known, found, strict=True))
    documents, places = [], []
    for tokens in texts:
        parts = [pieces[text] for text in tokens]
        ends = np.cumsum([len(part) for part in parts], dtype=np.int64)
        documents.append(np.concatenate([np.zeros(0, np.int64), *parts]))
        places.append(ends - 1 if last else ends - np.asarray([len(part) for part in parts], np.int64))
    return documents, places


def written(record: Mapping[str, Any], spaced: bool) -> list[str]:
    """The tokens of a record, with the space before each where that is `spaced`."""
    tokens = list(record["tokens"])
    if not spaced:
        return tokens
    places = record.get("offsets") or joined(tokens)[1]
    near = [True, *(start == end for (_, end), (start, _) in zip(places, places[1:], strict=False))]
    return [token if here else f" {token}" for token, here in zip(tokens, near, strict=False)]
