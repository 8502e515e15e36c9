"""Is the right text found among many? Of pairs: each first text searches all second ones.

The candidates of some records are their distinct second texts (of triplets: the right and the wrong ones). What is
relevant to a record is each candidate that any record pairs with an equal first text. Ranks count from 1; equal scores
are ranked by where the candidate first stands. For a record with the relevant ranks r_1 < r_2 < … (m of them):

recall@k  (number of r_i <= k) / m
mrr       1 / r_1
ndcg@10   (sum over r_i <= 10 of 1 / log2(1 + r_i)) / (sum over i <= min(m, 10) of 1 / log2(1 + i))

Scores are means over the records. Shapes: N records, C candidates, W width.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

CUTS = (1, 5, 10)
MEASURES = (*(f"recall@{k}" for k in CUTS), "mrr", "ndcg@10")
BLOCK = 1024  # queries scored at once
MOST = 4096  # texts whose distances are all taken


@dataclass(frozen=True)
class Search:
    """What is searched, and what should be found."""

    candidates: list[str]
    relevant: list[np.ndarray]  # for each record the numbers of its candidates

    @classmethod
    def of(cls, records: Sequence[Mapping[str, Any]]) -> Search:
        """The search that pairs or triplets make."""
        numbers: dict[str, int] = {}
        wanted: dict[str, set[int]] = {}
        for record in records:
            right = record["positive"] if record.get("text_b") is None else record["text_b"]
            found = [
                numbers.setdefault(text, len(numbers)) for text in (right, record.get("negative")) if text is not None
            ]
            wanted.setdefault(record["text"], set()).add(found[0])
        return cls(list(numbers), [np.asarray(sorted(wanted[record["text"]])) for record in records])

    def ranks(self, scores: Iterable[np.ndarray]) -> list[list[int]]:
        """For each record the ranks of its relevant candidates, ascending; `scores` are its scores C."""
        return [ranks_of(row, places) for row, places in zip(scores, self.relevant, strict=True)]


def ranks_of(scores: np.ndarray, places: np.ndarray) -> list[int]:
    """The ranks of some places among scores."""
    found = []
    for place in places.tolist():
        above, before = scores > scores[place], scores[:place] == scores[place]
        found.append(1 + int(np.count_nonzero(above)) + int(np.count_nonzero(before)))
    return sorted(found)


def products(queries: np.ndarray, candidates: np.ndarray) -> Iterable[np.ndarray]:
    """Rows C of scores, query by query, from vectors N W and C W."""
    for first in range(0, len(queries), BLOCK):
        yield from queries[first : first + BLOCK] @ candidates.T


def measured(ranks: Sequence[int]) -> list[float]:
    """The MEASURES of one record."""
    array = np.asarray(ranks)
    gain = 1 / np.log2(1 + array[array <= 10])
    ideal = 1 / np.log2(2 + np.arange(min(len(array), 10)))
    return [*(float((array <= k).mean()) for k in CUTS), 1 / int(array[0]), float(gain.sum() / ideal.sum())]


def alignment(vectors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean squared distance of pairs that belong together, in each resample R; lower is nearer (Wang & Isola 2020).

    vectors: N 2 W of length 1. weights: R N, how often each pair is drawn.
    """
    distances = ((vectors[:, 0] - vectors[:, 1]) ** 2).sum(1)
    return weights @ distances / np.maximum(weights.sum(1), 1e-12)


def uniformity(vectors: np.ndarray, texts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """log of the mean of exp(-2 · squared distance) over all two different texts, R; lower is more even.

    vectors: N 2 W. texts: N 2, equal numbers for equal texts. Of more than MOST texts every second (third …) one.
    """
    _, first, place = np.unique(texts, return_index=True, return_inverse=True)
    step = -(-len(first) // MOST)
    kept = vectors.reshape(-1, vectors.shape[-1])[first[::step]]
    times = np.zeros((len(weights), len(first)))
    for side in place.reshape(texts.shape).T:
        np.add.at(times, (slice(None), side), weights)
    times = times[:, ::step]
    near = np.exp(-4 * (1 - np.clip(kept @ kept.T, -1, 1)))  # C C
    np.fill_diagonal(near, 0)
    pairs = times.sum(1) ** 2 - (times**2).sum(1)
    total = ((times @ near) * times).sum(1)
    return np.log(np.divide(total, pairs, out=np.ones_like(total), where=pairs > 0))
