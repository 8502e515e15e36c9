"""Pearson's and Spearman's correlation, and both on many resamples at once.

Equal to scipy's `pearsonr` and `spearmanr` (ties have the mean of their ranks). Where one side is constant there is
nothing to agree on: 0, where scipy says nan. Shapes: N records, R resamples, G distinct values.
"""

from __future__ import annotations

import numpy as np

PIECE = 4_000_000  # weights held at one time


def pearson(x: np.ndarray, y: np.ndarray) -> float:
    """The linear correlation of two arrays, -1 to 1."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if len(x) < 2 or constant(x) or constant(y):
        return 0.0
    if len(x) == 2:
        return float(np.sign((x[1] - x[0]) * (y[1] - y[0])))
    return float(np.clip(np.dot(standard(x), standard(y)), -1, 1))


def standard(x: np.ndarray) -> np.ndarray:
    """The distances from the mean as a vector of length 1, in scipy's order of operations."""
    x = x - x.mean()
    most = np.abs(x).max()
    return x / (most * np.linalg.norm(x / most, axis=-1))


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """The correlation of the ranks."""
    if len(x) < 2 or constant(x) or constant(y):
        return 0.0
    return float(np.corrcoef(np.stack([ranked(x), ranked(y)], 1), rowvar=False)[1, 0])


def constant(x: np.ndarray) -> bool:
    """Are all values the same?"""
    return bool((np.asarray(x) == x[0]).all())


def ranked(x: np.ndarray) -> np.ndarray:
    """Ranks from 1; equal values have the mean of theirs."""
    return ranks_of_draws(x, np.ones((1, len(x))))[0]


def ranks_of_draws(x: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """R N: each value's rank among the values where each is drawn `weights` R N times."""
    order = np.argsort(x, kind="stable")
    ordered = np.asarray(x)[order]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    times = np.add.reduceat(weights[:, order], begins, axis=1)  # R G
    ranks = np.cumsum(times, 1) - times + (times + 1) / 2
    group = np.repeat(np.arange(len(begins)), np.diff([*begins, len(ordered)]))
    found = np.empty(weights.shape)
    found[:, order] = ranks[:, group]
    return found


def weighted(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation in each resample, R; x and y are N, or R N."""
    total = weights.sum(1, keepdims=True)
    x = x - (weights * x).sum(1, keepdims=True) / total
    y = y - (weights * y).sum(1, keepdims=True) / total
    spread = np.sqrt((weights * x * x).sum(1) * (weights * y * y).sum(1))
    return np.divide((weights * x * y).sum(1), spread, out=np.zeros(len(weights)), where=spread > 1e-12)


def resampled(x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Both correlations in each resample. weights: R N, how often each record is drawn."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    step = max(1, PIECE // max(1, len(x)))
    parts = [weights[first : first + step].astype(np.float64) for first in range(0, len(weights), step)]
    ordered = [weighted(ranks_of_draws(x, part), ranks_of_draws(y, part), part) for part in parts]
    return {"spearman": np.concatenate(ordered), "pearson": np.concatenate([weighted(x, y, part) for part in parts])}
