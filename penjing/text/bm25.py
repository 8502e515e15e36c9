"""BM25: how well a text answers a query by the words they share (Robertson et al. 1994), as Lucene computes it.

score(query, text) = sum over the query's terms of idf · tf / (tf + k1 · (1 - b + b · length / mean length))
idf = log(1 + (N - n + 0.5) / (n + 0.5)), n of N texts hold the term. A term asked twice counts twice.

Terms are lower-case words; Chinese, which has no spaces, is cut into characters and pairs of characters. What can be
known of a text beforehand is: an index holds each term's texts and what the term adds to each.
Shapes: N texts, V terms, E entries (a term in a text), Q queries, K best texts.
"""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import FileError, OptionError
from penjing.base.files import existing, whole_file

HAN = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f"
RUN = re.compile(rf"([{HAN}]+)|((?:(?![{HAN}_])\w)+(?:['’](?:(?![{HAN}_])\w)+)?)")
BETWEEN = "\n"  # terms of a saved index; no term holds one
ARRAYS = {"terms": "u", "starts": "i", "texts": "i", "values": "f", "size": "i", "options": "f"}  # name: numpy's kind


def terms(text: str) -> list[str]:
    """The terms of a text, in order: words, and of a run of Chinese its characters and then its pairs."""
    found: list[str] = []
    for chinese, word in RUN.findall(text.lower()):
        if word:
            found.append(word)
        else:
            found.extend(chinese)
            found.extend(map(str.__add__, chinese, chinese[1:]))
    return found


class BM25:
    """An index of texts. `scores(query)` is what each text scores, `best(queries, k)` the highest."""

    def __init__(
        self, numbers: dict[str, int], starts: np.ndarray, texts: np.ndarray, values: np.ndarray, size: int,
        k1: float = 1.2, b: float = 0.75, mean: float = 1.0,
    ):  # fmt: skip
        self.numbers = numbers  # term -> 0, 1, …
        self.starts = starts  # V+1 int64: where a term's entries begin
        self.texts = texts  # E int32: the text of an entry
        self.values = values  # E float32: what the term adds to it
        self.size, self.k1, self.b, self.mean = size, k1, b, mean  # the mean length in terms

    @classmethod
    def fit(cls, texts: Sequence[str], *, k1: float = 1.2, b: float = 0.75) -> BM25:
        """Index texts. k1: how far a term's repetitions go on counting; b: how much a text's length is held against it."""
        if not (k1 >= 0 and 0 <= b <= 1):
            raise OptionError("P-OPTION-002", owner="BM25", option="k1, b", given=(k1, b), reason="out of range",
                              kind="k1 >= 0 and 0 <= b <= 1")  # fmt: skip
        numbers: dict[str, int] = {}
        found: list[int] = []
        lengths = np.zeros(len(texts), np.int64)
        for row, text in enumerate(texts):
            cut = terms(text)
            lengths[row] = len(cut)
            found += [numbers.setdefault(term, len(numbers)) for term in cut]
        rows = np.repeat(np.arange(len(texts)), lengths)
        entries, times = np.unique(np.asarray(found, np.int64) * max(1, len(texts)) + rows, return_counts=True)
        owners, rows = np.divmod(entries, max(1, len(texts)))
        holding = np.bincount(owners, minlength=len(numbers))  # V: texts that hold the term
        idf, mean = inverse(holding, len(texts)), max(1.0, float(lengths.mean()) if len(texts) else 1.0)
        spread = 1 - b + b * lengths / mean
        values = idf[owners] * times / (times + k1 * spread[rows])
        starts = np.concatenate([[0], np.cumsum(holding)])
        return cls(numbers, starts, rows.astype(np.int32), values.astype(np.float32), len(texts), k1, b, mean)

    def __len__(self) -> int:
        return self.size

    def scores(self, query: str) -> np.ndarray:
        """What each text scores, N float32; 0 where it shares no term with the query."""
        found = np.zeros(self.size, np.float32)
        for term, times in Counter(terms(query)).items():
            number = self.numbers.get(term)
            if number is not None:
                entries = slice(self.starts[number], self.starts[number + 1])
                found[self.texts[entries]] += times * self.values[entries]
        return found

    def between(self, query: str, text: str) -> float:
        """What any text scores, with the index's word weights and mean length; a term that it lacks is held by no text."""
        held, asked = Counter(terms(text)), Counter(terms(query))
        spread = self.k1 * (1 - self.b + self.b * held.total() / self.mean)
        found = ((times * held[term], term, held[term] + spread) for term, times in asked.items() if term in held)
        return sum(times / both * self.weight(term) for times, term, both in found)

    def weight(self, term: str) -> float:
        """A term's idf."""
        number = self.numbers.get(term)
        holding = 0 if number is None else self.starts[number + 1] - self.starts[number]
        return float(inverse(holding, self.size))

    def best(self, queries: Iterable[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k best texts of each query, best first, equals by their number: indices Q K int64, scores Q K float32.

        K is k, or N where that is less.
        """
        k = min(k, self.size)
        found = [highest(self.scores(query), k) for query in queries]
        indices = np.asarray([one for one, _ in found], np.int64).reshape(len(found), k)
        return indices, np.asarray([one for _, one in found], np.float32).reshape(len(found), k)

    # ---- files ----

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as arrays."""
        letters = np.frombuffer(BETWEEN.join(self.numbers).encode(), np.uint8)
        return {"terms": letters, "starts": self.starts, "texts": self.texts, "values": self.values,
                "size": np.asarray(self.size), "options": np.asarray([self.k1, self.b, self.mean])}  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> BM25:
        """The index that `arrays` tells of."""
        names = arrays["terms"].tobytes().decode()
        numbers = {term: number for number, term in enumerate(names.split(BETWEEN) if names else [])}
        return cls(numbers, arrays["starts"], arrays["texts"], arrays["values"], int(arrays["size"]),
                   *arrays["options"].tolist())  # fmt: skip

    def save(self, path: str | Path) -> None:
        """One .npz file, whole or not at all."""
        with whole_file(path, "wb") as file:
            np.savez(file, **self.arrays())  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: str | Path) -> BM25:
        """What `save` wrote; its scores are the same to the last bit."""
        try:
            with open(existing(path), "rb") as opened, np.load(opened, allow_pickle=False) as file:
                arrays = {name: file[name] for name in ARRAYS}
            wrong = [name for name, kind in ARRAYS.items() if arrays[name].dtype.kind != kind]
            if wrong or len(arrays["starts"]) < 1 or arrays["starts"][-1] != len(arrays["texts"]):
                raise ValueError("its arrays do not fit together")
            return cls.from_arrays(arrays)
        except (ValueError, TypeError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise FileError("P-FILE-004", path=path, reason=f"no index of texts ({error})") from error


def inverse(holding: Any, size: int) -> Any:
    """The idf of terms that so many of `size` texts hold."""
    return np.log1p((size - holding + 0.5) / (holding + 0.5))


def highest(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The places of the k highest of N scores, and those scores: highest first, equals by their place."""
    if k < 1:
        return np.zeros(0, np.int64), scores[:0]
    least = np.partition(scores, len(scores) - k)[len(scores) - k]
    above = np.flatnonzero(scores > least)
    places = np.concatenate([above, np.flatnonzero(scores == least)[: k - len(above)]])
    places = places[np.argsort(-scores[places], kind="stable")]
    return places, scores[places]
