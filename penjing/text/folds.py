"""Records in parts of like size, for training that leaves out one part at a time; near duplicates stay in one part.

N records, K folds
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penjing.text.duplicates import digests, equal, near_duplicates, signatures

PIECE = 20_000  # texts signed at once


def clusters_of(texts: Sequence[str], threshold: float = 0.7) -> np.ndarray:
    """For each text, the number of the first one of its cluster of near duplicates, N."""
    rows = np.concatenate([signatures(texts[i : i + PIECE]) for i in range(0, len(texts), PIECE)])
    return near_duplicates(rows, threshold, equal(digests([text.strip().lower() for text in texts])))


def folds_of(clusters: np.ndarray, strata: np.ndarray, count: int, seed: int) -> np.ndarray:
    """The fold of each record, N, 0 to K - 1. Clusters are whole, and each label's records are spread evenly.

    The largest clusters go first, each to the fold that has the fewest records of its label, then the fewest in all.
    """
    first, group, sizes = np.unique(clusters, return_index=True, return_inverse=True, return_counts=True)[1:]
    random = np.random.default_rng(seed)
    order = random.permutation(len(first))
    order = order[np.argsort(-sizes[order], kind="stable")]
    _, kinds = np.unique(strata, return_inverse=True)
    held = np.zeros((kinds.max(initial=0) + 1, count), np.int64)  # records of each label in each fold
    fold = np.zeros(len(first), np.int64)
    for one in order:
        own = held[kinds[first[one]]]
        fold[one] = min(random.permutation(count), key=lambda number: (own[number], held[:, number].sum()))
        own[fold[one]] += sizes[one]
    return fold[group]
