"""Interpolated modified Kneser-Ney (Chen & Goodman 1999): the next symbol from the few before it, by counting.

    P(w | h) = (max(0, c(h w) - D(c)) + left(h) P(w | h')) / c(h)        h': h without its first symbol

D is one of three discounts for counts of 1, 2 and more, read off the counts of counts; left(h) is what the discounts of
all w took. Below the highest order c(h w) is the number of different symbols before h w. Below the lowest every symbol
is as likely as any other. Symbols are the numbers below `symbols`; `symbols` itself stands before a text's beginning
and is never guessed. An n-gram is one int64, its symbols its digits. Legend: T symbols, G n-grams, H contexts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from penjing.base.progress import tell
from penjing.evaluate.ngrams import merged

CHUNK = 4_000_000  # n-grams sorted at one time
LARGEST = 1 << 63
SMALLEST = 0.1  # discount; counts of counts of little text may give none
PARTS = ("grams", "counts", "contexts", "total", "left")  # G int64, G, H int64, H, H float64
Table = Mapping[str, np.ndarray]


class KneserNey:
    """One table for each order, from 1 on."""

    def __init__(self, symbols: int, tables: Sequence[Table]):
        self.symbols, self.tables, self.order = symbols, list(tables), len(tables)

    @classmethod
    def fit(cls, texts: Sequence[np.ndarray], order: int, symbols: int) -> KneserNey:
        """The model of some texts, each an array of symbols."""
        base, tables = symbols + 1, []
        assert base**order < LARGEST, "n-grams of this order do not fit"
        grams, counts = counted(texts, order, symbols)
        for length in range(order, 0, -1):
            tables.insert(0, table(grams, counts, base))
            if length > 1:  # a shorter n-gram counts the different symbols before it
                grams, counts = np.unique(grams % base ** (length - 1), return_counts=True)
        return cls(symbols, tables)

    @classmethod
    def chosen(
        cls, texts: Sequence[np.ndarray], orders: Sequence[int], symbols: int, cost: Callable[[KneserNey], float]
    ) -> KneserNey:
        """The model of the order, of some that ascend, whose `cost` is least; tried until it grows."""
        best, least = None, 0.0
        for order in orders:
            tell("note", "baselines", f"n-grams of order {order}")
            model = cls.fit(texts, order, symbols)
            if (here := cost(model)) >= least and best is not None:
                break  # longer contexts only grow rarer
            best, least = model, here
        assert best is not None
        return best

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray], order: int, symbols: int) -> KneserNey:
        """What `arrays` told."""
        return cls(symbols, [{part: arrays[f"{part}.{i}"] for part in PARTS} for i in range(order)])

    def arrays(self) -> dict[str, np.ndarray]:
        """Its tables as named arrays, for a file."""
        return {f"{part}.{i}": one[part] for i, one in enumerate(self.tables) for part in PARTS}

    @property
    def size(self) -> int:
        """Its n-grams of all orders."""
        return sum(len(one["grams"]) for one in self.tables)

    def chances(self, text: np.ndarray) -> np.ndarray:
        """The probability of each symbol of a text after those before it, T float64."""
        return self.of(packed(begun([text], self.order, self.symbols), self.order, self.symbols + 1)[: len(text)])

    def following(self, context: Sequence[int]) -> np.ndarray:
        """The probability of every symbol after a context, S float64."""
        row = np.concatenate([np.full(self.order - 1, self.symbols), np.asarray(context, np.int64), [0]])
        value = packed(row.astype(np.int64), self.order, self.symbols + 1)[-1]
        return self.of(value + np.arange(self.symbols, dtype=np.int64))

    def likeliest(self, text: np.ndarray, places: np.ndarray) -> np.ndarray:
        """The likeliest symbol at some places of a text, each after all that stand before it."""
        grams = packed(begun([text], self.order, self.symbols), self.order, self.symbols + 1)
        return np.asarray([self.best(int(gram)) for gram in grams[places]], np.int64)

    def best(self, gram: int) -> int:
        """The likeliest last symbol: one that followed the context, or its end; or else the likeliest of all."""
        base = self.symbols + 1
        first = self.tables[0]
        followed = [first["grams"][[first["counts"].argmax()]]]
        for length, one in enumerate(self.tables[1:], 2):
            least = gram % base**length // base * base
            begin, end = np.searchsorted(one["grams"], [least, least + base])
            followed.append(one["grams"][begin:end] % base)
        found = np.unique(np.concatenate(followed))
        return int(found[self.of(gram // base * base + found).argmax()])

    def of(self, grams: np.ndarray) -> np.ndarray:
        """The probability of the last symbol of n-grams of the highest order."""
        base = self.symbols + 1
        found = np.full(len(grams), 1 / self.symbols)
        for length, one in enumerate(self.tables, 1):
            short = grams % base**length if length < self.order else grams
            at, known = looked_up(one["contexts"], short // base)
            place, seen = looked_up(one["grams"], short)
            counts = np.where(seen, one["counts"][place], 0.0)
            found = np.where(known, (counts + one["left"][at] * found) / one["total"][at], found)
        return found


def table(grams: np.ndarray, counts: np.ndarray, base: int) -> dict[str, np.ndarray]:
    """For each n-gram its discounted count; for each context its total and what the discounts leave over."""
    taken = discounts(counts)[np.minimum(counts, 3)]
    contexts, where = np.unique(grams // base, return_inverse=True)
    sums = np.bincount(where, counts), np.bincount(where, taken)
    return dict(zip(PARTS, (grams, counts - taken, contexts, *sums), strict=True))


def discounts(counts: np.ndarray) -> np.ndarray:
    """What is taken from a count of 0, 1, 2 and of 3 or more: something, else what was never seen were impossible."""
    n = [max(1, int((counts == k).sum())) for k in range(1, 5)]
    y = n[0] / (n[0] + 2 * n[1])
    return np.asarray([0.0, *(min(k, max(SMALLEST, k - (k + 1) * y * n[k] / n[k - 1])) for k in (1, 2, 3))])


def counted(texts: Sequence[np.ndarray], order: int, symbols: int) -> tuple[np.ndarray, np.ndarray]:
    """All different n-grams, ascending, and how often each occurs; no more than CHUNK are sorted at once."""
    grams, counts = np.zeros(0, np.int64), np.zeros(0, np.int64)
    for some in chunks(texts):
        row = begun(some, order, symbols)
        here = packed(row, order, symbols + 1)[row[order - 1 :] != symbols]
        grams, counts = merged(grams, counts, *np.unique(here, return_counts=True))
    return grams, counts


def chunks(texts: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Texts in groups of about CHUNK symbols; a longer one is a group of its own."""
    group: list[np.ndarray] = []
    held = 0
    for text in texts:
        if held and held + len(text) > CHUNK:
            yield group
            group, held = [], 0
        group.append(text)
        held += len(text)
    yield group


def begun(texts: Sequence[np.ndarray], order: int, symbols: int) -> np.ndarray:
    """Texts end to end, with order - 1 boundaries before each."""
    before = np.full(order - 1, symbols, np.int64)
    return np.concatenate([before, *(part for text in texts for part in (text, before))])


def packed(row: np.ndarray, length: int, base: int) -> np.ndarray:
    """All n-grams of a row, each as one number; none where the row is shorter."""
    count = max(0, len(row) - length + 1)
    grams = np.zeros(count, dtype=np.int64)
    for place in range(length):
        grams = grams * base + row[place : count + place]
    return grams


def looked_up(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where numbers stand among ascending keys, and whether they do."""
    at = np.searchsorted(keys, wanted).clip(max=max(0, len(keys) - 1))
    return at, keys[at] == wanted if len(keys) else np.zeros(len(wanted), bool)


def longest(symbols: int, most: int) -> int:
    """The highest order up to `most` whose n-grams fit."""
    return next(order for order in range(most, 0, -1) if (symbols + 1) ** order < LARGEST)
