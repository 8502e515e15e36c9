"""Bootstrap intervals. All candidates are resampled together, so that differences are paired.

Texts with the same truth and the same answers of all candidates are one unit; a resample is then one multinomial draw
of how often each unit occurs, which is the same as drawing texts one by one. Legend: R resamples, U units, C labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from penjing.tasks.counting import f1, macro, matthews

Samples = dict[str, np.ndarray]  # metric -> R
PIECE = 8_000_000  # counts held at one time


def resampled(
    targets: np.ndarray, given: Mapping[str, np.ndarray], number: int, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Samples]:
    """Each candidate's metrics in each resample: accuracy, macro_f1 and mcc, with several labels micro_f1 instead."""
    several = targets.ndim == 2
    columns = [np.atleast_2d(a.T).T if a.ndim == 2 else a[:, None] for a in (targets, *given.values())]
    joint = np.ascontiguousarray(np.concatenate(columns, axis=1).astype(np.int32))
    _, first, times = np.unique(rows_as_one(joint), return_index=True, return_counts=True)
    truth = one_hot(targets[first], number)
    answers = {name: one_hot(answer[first], number) for name, answer in given.items()}
    found: dict[str, list[Samples]] = {name: [] for name in given}
    for weights in draws(times, resamples, seed):
        true = weights @ truth
        for name, answer in answers.items():
            found[name].append(measured(weights, truth, answer, true, several))
    return {
        name: {metric: np.concatenate([p[metric] for p in pieces]) for metric in pieces[0]}
        for name, pieces in found.items()
    }


def rows_as_one(joint: np.ndarray) -> np.ndarray:
    """Each row as one opaque value, so that `np.unique` compares whole rows fast."""
    return joint.view(np.dtype((np.void, joint.dtype.itemsize * joint.shape[1]))).ravel()


def one_hot(labels: np.ndarray, number: int) -> np.ndarray:
    """U C float32."""
    return labels.astype(np.float32) if labels.ndim == 2 else np.eye(number, dtype=np.float32)[labels]


def draws(times: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each unit occurs in each resample, some resamples at a time: r U float32."""
    random, total = np.random.default_rng(seed), int(times.sum())
    step = max(1, PIECE // len(times))
    for first in range(0, resamples, step):
        yield random.multinomial(total, times / total, size=min(step, resamples - first)).astype(np.float32)


def measured(weights: np.ndarray, truth: np.ndarray, answer: np.ndarray, true: np.ndarray, several: bool) -> Samples:
    """The metrics of one candidate in each of r resamples."""
    hits, gave = weights @ (truth * answer), weights @ answer
    right = (truth == answer).all(1).astype(np.float32)
    found = {"accuracy": weights @ right / weights.sum(1), "macro_f1": macro(f1(hits, gave, true), gave, true)}
    if several:
        found["micro_f1"] = f1(hits.sum(1), gave.sum(1), true.sum(1))
    else:
        found["mcc"] = matthews(hits, gave, true)
    return found


def interval(samples: np.ndarray, value: float, confidence: float) -> dict[str, Any]:
    """value, low, high: the middle `confidence` of the resamples."""
    low, high = np.quantile(samples, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {"value": float(value), "low": float(low), "high": float(high)}
