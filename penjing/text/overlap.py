"""How much two texts share, and how varied texts are, by their words; each Chinese character is one.

f1          the harmonic mean of the shares of words in common (each counted as often as both have it)
distinct-n  different runs of n words, divided by all of them (Li et al. 2016, arXiv:1510.03055)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from penjing.text.bm25 import RUN


def words(text: str) -> list[str]:
    """Lower-case words and Chinese characters, without punctuation."""
    found: list[str] = []
    for chinese, word in RUN.findall(text.lower()):
        found += [word] if word else list(chinese)
    return found


def f1(given: str, wanted: str) -> float:
    """Words in common, 0 to 1. Two texts without any word are alike where they are the same."""
    one, other = Counter(words(given)), Counter(words(wanted))
    if not one or not other:
        return float(given.strip() == wanted.strip())
    common = (one & other).total()
    return 2 * common / (one.total() + other.total())


class Runs:
    """The runs of n words of some texts, numbered: how many different ones there are among any of the texts."""

    def __init__(self, texts: Sequence[Sequence[str]], n: int):
        """texts: of each record its texts."""
        numbers: dict[tuple[str, ...], int] = {}
        found: list[int] = []
        sizes = []
        for several in texts:
            before = len(found)
            for text in several:
                cut = words(text)
                found += [
                    numbers.setdefault(run, len(numbers)) for run in zip(*(cut[i:] for i in range(n)), strict=False)
                ]
            sizes.append(len(found) - before)
        self.numbers, self.sizes, self.kinds = np.asarray(found, np.int64), np.asarray(sizes, np.int64), len(numbers)

    def distinct(self, weights: np.ndarray | None = None) -> float:
        """The share of different ones among all, 0 where there are none.

        weights: how often a resample takes each record. It holds fewer records, and fewer runs repeat less; its share is
        told for as many as there are, by Heaps' law, so that a resample's mean is that of all.
        """
        if weights is None or (weights > 0).all():
            return self.kinds / max(1, len(self.numbers))
        runs, kinds = self.among(weights > 0)
        return kinds / max(1, runs) * (runs / max(1, len(self.numbers))) ** (1 - self.growth)

    def among(self, records: np.ndarray) -> tuple[int, int]:
        """How many runs some records have, and how many different ones."""
        seen = np.zeros(self.kinds, bool)
        taken = self.numbers[np.repeat(records, self.sizes)]
        seen[taken] = True
        return len(taken), int(seen.sum())

    @cached_property
    def growth(self) -> float:
        """The exponent b of Heaps' law, different = k * all^b, from every other record and all of them."""
        runs, kinds = self.among(np.arange(len(self.sizes)) % 2 == 0)
        if not 0 < runs < len(self.numbers):
            return 1.0
        return float(np.clip(np.log(self.kinds / kinds) / np.log(len(self.numbers) / runs), 0.0, 1.0))
