"""Scores from counts, of any shape: the last axis is that of the labels."""

from __future__ import annotations

import numpy as np


def f1(hits: np.ndarray, given: np.ndarray, true: np.ndarray) -> np.ndarray:
    """2 hits / (given + true), 0 where a label is neither given nor true. Works on any shape."""
    total = np.asarray(given + true, dtype=np.float64)
    return np.divide(2.0 * hits, total, out=np.zeros_like(total), where=total > 0)


def macro(scores: np.ndarray, given: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Mean over the labels (last axis) that are true or given at least once."""
    there = (given + true) > 0
    return np.where(there, scores, 0).sum(-1) / np.maximum(there.sum(-1), 1)


def matthews(hits: np.ndarray, given: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Matthews' correlation of labels given and true, for any number of them (Gorodkin 2004); 0 where one side has but
    one label."""
    hits, given, true = (np.asarray(part, np.float64) for part in (hits, given, true))
    total = true.sum(-1)
    together = hits.sum(-1) * total - (given * true).sum(-1)
    spread = np.sqrt((total**2 - (given**2).sum(-1)) * (total**2 - (true**2).sum(-1)))
    return np.divide(together, spread, out=np.zeros_like(spread), where=spread > 0)
