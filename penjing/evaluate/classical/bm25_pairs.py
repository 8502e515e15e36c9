"""Texts compared and searched by BM25.

Searched, the candidates are the index. Compared, two texts a and b are alike by the score of each for the other, beside
what each scores for itself: (s(a, b) + s(b, a)) / (s(a, a) + s(b, b)), with the word weights of the training texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np

from penjing.evaluate.pair_baselines import PairBaseline, Records, all_texts
from penjing.tasks.task import Task
from penjing.text.bm25 import BM25


class Baseline(PairBaseline):
    """BM25 with k1 = 1.2 and b = 0.75."""

    kind: ClassVar[str] = "bm25_pairs"

    def __init__(self, task: Task, index: BM25, facts: dict[str, Any]):
        self.task, self.index, self.facts = task, index, facts

    @classmethod
    def fit(cls, task: Task, train: Records, valid: Records, seed: int = 0) -> Baseline:
        """Index the training texts. Nothing is chosen and nothing drawn."""
        texts = list(dict.fromkeys(all_texts(train)))
        index = BM25.fit(texts)
        return cls(task, index, {"texts": len(texts), "features": len(index.numbers)})

    def near(self, text, other):
        own = self.index.between(text, text) + self.index.between(other, other)
        both = self.index.between(text, other) + self.index.between(other, text)
        return min(1.0, both / own) if own else 0.0

    def searched(self, queries: Sequence[str], candidates: Sequence[str]) -> Iterator[np.ndarray]:
        index = BM25.fit(candidates)
        return (index.scores(query) for query in queries)

    def arrays(self):
        return self.index.arrays()

    @classmethod
    def restored(cls, arrays, facts, task):
        return cls(task, BM25.from_arrays(arrays), facts)
