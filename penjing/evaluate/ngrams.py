"""Texts as sparse counts of n-grams of words or characters, exact (no hashing), over a bounded vocabulary.

An n-gram of unit numbers a b c is packed into one int64, `a << 2s | b << s | c`, with s = 21 bits for words (n <= 3)
and 15 bits for characters (n <= 4). Unit numbers begin at 1, so n-grams of different n never share a key, and a key
that holds the number 0 (an unknown unit) is no n-gram. Legend: D documents, T units in all, V n-grams, E entries.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal, NamedTuple

import numpy as np

Unit = Literal["words", "characters"]
Alphabet = Literal["words", "characters", "mixed"]

CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
CJK_CHARACTER = re.compile(f"[{CJK}]")
WORD = re.compile(r"\w+(?:['’]\w+)?|[^\w\s]")
SPACE = re.compile(r"\s+")
BITS = {"words": 21, "characters": 15}
CHUNK = 1_000_000  # units looked at in one piece: bounds the memory
MOST_KEYS = 20_000_000  # n-grams counted at one time before the rarest are dropped


class Counts(NamedTuple):
    """Rows of sparse counts: starts D+1, columns E (ascending within a row), values E float32."""

    starts: np.ndarray
    columns: np.ndarray
    values: np.ndarray


def alphabet_of(texts: Sequence[str], most: int = 20_000) -> tuple[Alphabet, float]:
    """How to cut these texts, and the share of CJK among their letters: characters from 0.5, mixed from 0.05."""
    sample = texts if len(texts) <= most else [texts[i] for i in range(0, len(texts), -(-len(texts) // most))]
    cjk = sum(len(CJK_CHARACTER.findall(text)) for text in sample)
    letters = sum(sum(map(str.isalpha, text)) for text in sample)
    share = cjk / letters if letters else 0.0
    return ("characters" if share >= 0.5 else "mixed" if share >= 0.05 else "words"), share


def words(text: str) -> list[str]:
    """Lower-case words, and each punctuation mark by itself."""
    return WORD.findall(text.lower())


def words_and_characters(text: str) -> list[str]:
    """As `words`, with each CJK character a word of its own."""
    return WORD.findall(CJK_CHARACTER.sub(r" \g<0> ", text.lower()))


def characters(text: str) -> str:
    """Lower-case characters with runs of white space as one space."""
    return SPACE.sub(" ", text.lower().strip())


CUTTERS: dict[str, Callable[[str], Sequence[str]]] = {
    "words": words, "words_and_characters": words_and_characters, "characters": characters,
}  # fmt: skip


class Numbers(dict[str, int]):
    """Unit to number, counting up from 1 as new units are met."""

    def __missing__(self, unit: str) -> int:
        self[unit] = number = len(self) + 1
        return number


@dataclass
class View:
    """One way to look at a text: all n-grams from `low` to `high` units of what `cutter` cuts."""

    cutter: str
    low: int
    high: int
    numbers: dict[str, int]  # unit -> 1, 2, …
    keys: np.ndarray  # V, ascending: the packed n-grams known

    @property
    def bits(self) -> int:
        return BITS["characters" if self.cutter == "characters" else "words"]

    @classmethod
    def fit(
        cls, texts: Sequence[str], cutter: str, low: int, high: int, *, least: int, most: int
    ) -> tuple[View, np.ndarray]:
        """The n-grams in at least `least` documents, the `most` frequent of them, and in how many each is (V)."""
        numbers = Numbers()
        units, starts = numbered(texts, CUTTERS[cutter], numbers.__getitem__)
        view = cls(cutter, low, high, {}, np.zeros(0, np.int64))
        units = view.keep(units, numbers, least)
        frequency = view.count(units, starts, least, most)
        return view, frequency

    def keep(self, units: np.ndarray, numbers: dict[str, int], least: int) -> np.ndarray:
        """Number the units that are frequent enough 1, 2, … by frequency; all others become 0."""
        seen = np.bincount(units, minlength=len(numbers) + 1)
        order = np.argsort(-seen, kind="stable")
        order = order[seen[order] >= least][: (1 << self.bits) - 1]
        new = np.zeros(len(seen), np.int32)
        new[order] = np.arange(1, len(order) + 1, dtype=np.int32)
        names = list(numbers)
        self.numbers = {names[old - 1]: i for i, old in enumerate(order.tolist(), 1)}
        return new[units]

    def count(self, units: np.ndarray, starts: np.ndarray, least: int, most: int) -> np.ndarray:
        """Fill `keys`; the document frequency of each."""
        keys, frequency = np.zeros(0, np.int64), np.zeros(0, np.int64)
        for _, found, document in self.pieces(units, starts):
            unique, column = np.unique(found, return_inverse=True)
            pairs = np.unique(document * len(unique) + column)
            here = np.bincount(pairs % max(len(unique), 1), minlength=len(unique))
            keys, frequency = merged(keys, frequency, unique, here)
            if len(keys) > MOST_KEYS:
                keys, frequency = keys[frequency > 1], frequency[frequency > 1]
        chosen = np.flatnonzero(frequency >= least)
        if len(chosen) > most:
            chosen = np.sort(chosen[np.argsort(-frequency[chosen], kind="stable")[:most]])
        self.keys = keys[chosen]
        return frequency[chosen]

    def pieces(self, units: np.ndarray, starts: np.ndarray) -> Iterator[tuple[slice, np.ndarray, np.ndarray]]:
        """Documents in pieces of about CHUNK units: which documents, their n-grams' keys, the document of each."""
        first = 0
        while first < len(starts) - 1:
            last = max(first + 1, int(np.searchsorted(starts, starts[first] + CHUNK, side="right")) - 1)
            here, lengths = units[starts[first] : starts[last]], np.diff(starts[first : last + 1])
            document = np.repeat(np.arange(last - first, dtype=np.int64), lengths)
            yield slice(first, last), *self.grams(here.astype(np.int64), document)
            first = last

    def grams(self, units: np.ndarray, document: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The keys of all n-grams within documents, and the document of each."""
        keys, documents = [], []
        packed, known = units, units > 0
        for n in range(1, self.high + 1):
            if n > 1:
                whole = document[: -(n - 1)] == document[n - 1 :]
                packed = (packed[:-1] << self.bits) | units[n - 1 :]
                known = known[:-1] & (units[n - 1 :] > 0) & whole
            if n >= self.low:
                keys.append(packed[known])
                documents.append(document[: len(packed)][known])
            if len(packed) < 2:
                break
        return np.concatenate(keys), np.concatenate(documents)

    def counts(self, texts: Sequence[str]) -> Counts:
        """How often each text holds each known n-gram."""
        get = self.numbers.get
        units, starts = numbered(texts, CUTTERS[self.cutter], get)
        columns, values, lengths, size = [], [], [], len(self.keys)
        for documents, found, document in self.pieces(units, starts):
            column = np.searchsorted(self.keys, found)
            column[column == size] = 0
            known = self.keys[column] == found if size else np.zeros(len(found), bool)
            pairs, times = np.unique(document[known] * max(size, 1) + column[known], return_counts=True)
            columns.append((pairs % max(size, 1)).astype(np.int32))
            values.append(times.astype(np.float32))
            lengths.append(np.bincount(pairs // max(size, 1), minlength=documents.stop - documents.start))
        return Counts(np.concatenate([[0], np.cumsum(np.concatenate([[], *lengths]), dtype=np.int64)]).astype(np.int64),
                      np.concatenate([np.zeros(0, np.int32), *columns]),
                      np.concatenate([np.zeros(0, np.float32), *values]))  # fmt: skip

    def name(self, column: int) -> str:
        """The n-gram of a column as text."""
        key, found = int(self.keys[column]), []
        while key:
            found.append(key & ((1 << self.bits) - 1))
            key >>= self.bits
        joint = "" if self.cutter == "characters" else " "
        return joint.join(self.units[number - 1] for number in reversed(found))

    @property
    def units(self) -> list[str]:
        """All units, the most frequent first."""
        return list(self.numbers)

    def described(self) -> dict[str, Any]:
        """What a JSON file must hold besides `keys`."""
        return {"cutter": self.cutter, "low": self.low, "high": self.high, "units": self.units}

    @classmethod
    def described_by(cls, about: dict[str, Any], keys: np.ndarray) -> View:
        """The view that `described` tells of."""
        numbers = {unit: number for number, unit in enumerate(about["units"], 1)}
        return cls(about["cutter"], about["low"], about["high"], numbers, keys)


def numbered(
    texts: Sequence[str], cut: Callable[[str], Sequence[str]], number: Callable[..., Any]
) -> tuple[np.ndarray, np.ndarray]:
    """All units of all texts as numbers in one array (T, int32), and where each text starts (D+1)."""
    lists, lengths, pieces = [], [], []
    more = () if getattr(number, "__name__", "") == "__getitem__" else (repeat(0),)
    for text in texts:
        found = cut(text)
        lengths.append(len(found))
        lists.extend(map(number, found, *more))
        if len(lists) > CHUNK:
            pieces.append(np.array(lists, np.int32))
            lists = []
    pieces.append(np.array(lists, np.int32))
    return np.concatenate(pieces), np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]).astype(np.int64)


def merged(a: np.ndarray, a_count: np.ndarray, b: np.ndarray, b_count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The union of two ascending key lists with their counts added."""
    keys, place = np.unique(np.concatenate([a, b]), return_inverse=True)
    return keys, np.bincount(place, np.concatenate([a_count, b_count]), len(keys)).astype(np.int64)
