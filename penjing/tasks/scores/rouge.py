"""ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004) as rouge-score computes them: F1 of words, pairs of words, common sequence.

rouge-score knows Latin letters only. Here each Chinese character counts as a word, so that Chinese summaries have a
score; on other texts the words are the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from penjing.tasks.scores.stems import stem

NAMES = ("rouge1", "rouge2", "rouge_l")
WORDS = re.compile(r"[a-z0-9]+|[\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
LONG = 3  # longer words are stemmed


def words(text: str, stemmed: bool = False) -> list[str]:
    """Words of Latin letters and digits in lower case, and Chinese characters."""
    found = WORDS.findall(text.lower())
    return [stem(word) if len(word) > LONG else word for word in found] if stemmed else found


def f1(both: int, written: int, wanted: int) -> float:
    """The harmonic mean of precision and recall."""
    precision, recall = both / max(written, 1), both / max(wanted, 1)
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0


def pairs(one: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    """All runs of `size` words, and how often each comes."""
    return Counter(tuple(one[i : i + size]) for i in range(len(one) - size + 1))


def common(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence, a whole row of the table at once in the bits of a number."""
    places: dict[str, int] = {}
    for place, word in enumerate(one):
        places[word] = places.get(word, 0) | 1 << place
    whole = row = (1 << len(one)) - 1
    for word in other:
        same = row & places.get(word, 0)
        row = ((row + same) | (row - same)) & whole
    return len(one) - row.bit_count()


def single(written: Sequence[str], wanted: Sequence[str]) -> list[float]:
    """The three scores (0 to 1) of two texts in words."""
    found = []
    for size in (1, 2):
        mine, theirs = pairs(written, size), pairs(wanted, size)
        found.append(f1((mine & theirs).total(), mine.total(), theirs.total()))
    return [*found, f1(common(written, wanted), len(written), len(wanted))]


def counts(text: str, references: Sequence[str], stemmed: bool = False) -> list[float]:
    """One (to count records by) and the three scores of a text; of several references the best, score by score."""
    written = words(text, stemmed)
    each = [single(written, words(reference, stemmed)) for reference in references]
    return [1.0, *np.max(each, axis=0).tolist()]


def score(sums: np.ndarray) -> dict[str, np.ndarray]:
    """The mean scores (0 to 100) of sums (..., 4)."""
    return {name: 100 * sums[..., 1 + i] / np.maximum(sums[..., 0], 1e-9) for i, name in enumerate(NAMES)}
