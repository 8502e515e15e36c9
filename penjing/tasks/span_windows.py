"""Question and context as the network will see them: [CLS] question [SEP] part of the context [SEP], in windows.

Windows of a long context overlap by `stride` tokens, so that an answer of up to as many is whole in one of them. A
network that reads from left to right has learnt nothing at its first token: there the last place stands for "no answer".

N records, P windows, T tokens
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from penjing.tasks.pieces import InMemory
from penjing.tasks.span_records import Answer, learnt
from penjing.text.tokenizer_frame import Frame

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.text.tokenizer import Tokenizer

NOWHERE = (-1, -1)
QUESTION = 0.5  # of the room, at most, is the question's


class Tokens(NamedTuple):
    """A context as token ids, and the characters from `starts` to `ends` that each stands for."""

    ids: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def covering(self, answer: Answer) -> tuple[int, int]:
        """The first and the last token that hold a character of an answer; NOWHERE if none does."""
        first = int(np.searchsorted(self.ends, answer.start, side="right"))
        last = int(np.searchsorted(self.starts, answer.end, side="left")) - 1
        return (first, last) if first <= last else NOWHERE


class Windows:
    """All windows of some records, with the interface of `Pieces`.

    owner: P, the record of each; part, parts: its number among the record's windows, and how many there are; start,
    stop: P, the context's tokens in it; targets: P 2, the places of the answer's first and last token in the row.
    """

    typed: bool

    def __init__(
        self, records: Sequence[Mapping[str, Any]], tokenizer: Tokenizer, window: int, stride: int, *, typed: bool,
        last: bool, learn: bool,
    ):  # fmt: skip
        self.typed, self.last = typed, last
        self.frame = framed(tokenizer)
        self.contexts = tokens_of([record["context"] for record in records], tokenizer)
        most = max(1, window - self.frame.size - 1)  # at least one token of the context
        questions = tokenizer.encode_many([whole(record["question"]) for record in records])
        most = max(1, int(most * QUESTION))
        self.shortened = sum(len(one) > most for one in questions)
        self.questions = [np.asarray(one[:most], np.int64) for one in questions]
        self.documents = InMemory([context.ids for context in self.contexts])
        self.room = max(1, window - self.frame.size)
        self.cut = 0
        self.lay(stride)
        self.targets = self.labels(records) if learn else None

    def lay(self, stride: int) -> None:
        """Lay the windows of every record."""
        lengths = [len(context.ids) for context in self.contexts]
        rooms = [max(1, self.room - len(question)) for question in self.questions]
        found = [spans(length, room, stride) for length, room in zip(lengths, rooms, strict=True)]
        counts = np.asarray([len(one) for one in found], dtype=np.int64)
        self.cut = int((counts > 1).sum())
        self.owner = np.repeat(np.arange(len(found)), counts)
        self.part = np.arange(len(self.owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        self.parts = counts[self.owner]
        flat = np.asarray([pair for one in found for pair in one], dtype=np.int64).reshape(-1, 2)
        self.start, self.stop = flat[:, 0], flat[:, 1]
        sizes = np.asarray([len(question) for question in self.questions], dtype=np.int64)
        self.before = sizes[self.owner] + len(self.frame.begin[0]) + len(self.frame.middle[0])
        self.lengths = self.before + (self.stop - self.start) + len(self.frame.end[0])
        self.null = self.lengths - 1 if self.last else np.zeros_like(self.lengths)

    def labels(self, records: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Where the first answer of each window's record stands; where it is not whole in the window, "no answer"."""
        found = np.stack([self.null, self.null], axis=1)
        spots = np.full((len(records), 2), -1, dtype=np.int64)
        for number, record in enumerate(records):
            answer = learnt(record)
            if answer is not None:
                spots[number] = self.contexts[number].covering(answer)
        first, last = spots[self.owner].T
        inside = (first >= self.start) & (last < self.stop) & (first >= 0)
        found[inside, 0] = (self.before + first - self.start)[inside]
        found[inside, 1] = (self.before + last - self.start)[inside]
        answered = np.asarray([bool(record["answers"]) for record in records], dtype=bool)
        self.lost = int((answered & ~np.isin(np.arange(len(records)), self.owner[inside])).sum())
        return found

    def __len__(self) -> int:
        return len(self.owner)

    def fingerprint(self) -> str:
        """What is learnt from, as one hash."""
        both = self.documents.fingerprint() + InMemory(self.questions).fingerprint()
        found = hashlib.sha256(self.lengths.tobytes() + both.encode())
        found.update(b"" if self.targets is None else self.targets.tobytes())
        return found.hexdigest()

    def records(self, rows: np.ndarray) -> list[int]:
        """The records that windows come from; for messages."""
        return self.owner[rows].tolist()

    def row(self, piece: int) -> tuple[np.ndarray, np.ndarray]:
        """Tokens of a window and their types."""
        number = int(self.owner[piece])
        part = self.contexts[number].ids[self.start[piece] : self.stop[piece]]
        tokens, types = self.frame.build(self.questions[number].tolist(), part.tolist())
        return np.asarray(tokens, np.int64), np.asarray(types, np.int64)

    def tokens(self, piece: int) -> np.ndarray:
        """A whole row."""
        return self.row(piece)[0]

    def types(self, piece: int) -> np.ndarray:
        """The token types of a row."""
        return self.row(piece)[1]

    def able(self, piece: int, width: int) -> np.ndarray:
        """The places of a row of `width` that may be a start or an end: the context's tokens, and that of "no answer"."""
        found = np.zeros(width, dtype=bool)
        found[self.before[piece] : self.before[piece] + self.stop[piece] - self.start[piece]] = True
        found[self.null[piece]] = True
        return found

    def characters(self, piece: int, first: int, last: int) -> Answer:
        """The characters of the context from the token at one place of the row to that at another."""
        context, shift = self.contexts[int(self.owner[piece])], int(self.start[piece] - self.before[piece])
        return Answer(int(context.starts[first + shift]), int(context.ends[last + shift]))


def windows_of(model: Model, records: Sequence[Mapping[str, Any]], stride: int, learn: bool) -> Windows:
    """The windows of records for a model."""
    last = model.network.config.encoder_layers == 0
    return Windows(records, model.tokenizer, model.window, stride, typed=model.typed, last=last, learn=learn)


def spans(length: int, room: int, stride: int) -> list[tuple[int, int]]:
    """Parts of `room` tokens that overlap by `stride`, at most by half; all of them but the last are full."""
    step = room - min(stride, room // 2)
    starts = range(0, max(1, length - (room - step)), step)
    return [(start, min(start + room, length)) for start in starts]


def framed(tokenizer: Tokenizer) -> Frame:
    """What stands around question and context: the tokenizer's own signs, and its end token where it has none."""
    frame = tokenizer.frame
    sign = [tokenizer.pad if tokenizer.end is None else tokenizer.end]
    first = sign if tokenizer.begin is None else [tokenizer.begin]
    begin = frame.begin if frame.begin[0] else (first, [frame.first])
    middle = frame.middle if frame.middle[0] else (sign, [frame.first])
    end = frame.end if frame.end[0] else (sign, [frame.second])
    return frame._replace(begin=begin, middle=middle, end=end)


def tokens_of(texts: Sequence[str], tokenizer: Tokenizer) -> list[Tokens]:
    """Contexts as tokens, each text once however often it comes."""
    numbers: dict[str, int] = {}
    for text in texts:
        numbers.setdefault(text, len(numbers))
    found = []
    for one in tokenizer.inner.encode_batch([whole(text) for text in numbers], add_special_tokens=False):
        spots = np.asarray(one.offsets, dtype=np.int64).reshape(-1, 2)
        found.append(Tokens(np.asarray(one.ids, dtype=np.int64), *np.maximum.accumulate(spots, axis=0).T))
    return [found[numbers[text]] for text in texts]


def whole(text: str) -> str:
    """A text without half surrogate pairs, which no tokenizer takes; as many characters."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
