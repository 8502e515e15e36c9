"""How much a changed model has lost: the drop of the main score on the same records, and the most it may be.

Both models answer the same records and are resampled together, so the interval is of the difference alone. Where a
handful of records tell the two apart a bootstrap is too narrow (of none it has no width at all); there the bound is at
least that of a count: how many of N records may be lost when so many were seen (Wilson's score interval).

Legend: N records, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from penjing.tasks.task import Task

SURE = 0.95  # one-sided: the drop is at most `high` with this confidence
QUANTILE = 1.6448536  # of the normal distribution at SURE
FEW = 20  # records that tell two models apart, up to which a bootstrap is not trusted alone
HELD = 8_000_000  # counts of resamples held at one time

Answers = Sequence[dict[str, Any]]
Records = Sequence[Mapping[str, Any]]


def dropped(
    task: Task, before: Answers, after: Answers, records: Records, *, resamples: int = 2000, seed: int = 0
) -> dict[str, Any]:
    """value, low, high of the drop of the main score; each end of the interval by itself holds with SURE."""
    once = np.ones((1, len(records)))
    score = float(main(task, before, records, once)[0])
    mark = full_mark(task, score)
    value = float(apart(task, before, after, records, once, mark)[0])
    chance, step = np.random.default_rng(seed), max(1, HELD // max(1, len(records)))
    even, found = np.full(len(records), 1 / max(1, len(records))), []
    for first in range(0, resamples, step):
        times = chance.multinomial(len(records), even, size=min(step, resamples - first)).astype(float)
        found.append(apart(task, before, after, records, times, mark))
    low, high = np.quantile(np.concatenate(found), [1 - SURE, SURE])
    telling = task.telling(before, after, records)
    if telling <= FEW:
        room = hidden(telling) / len(records) * mark
        low, high = min(low, value - room), max(high, value + room)
    return {"value": value, "low": float(low), "high": float(high), "records": len(records), "telling": telling}


def hidden(telling: int) -> float:
    """How many records more may be lost, with SURE, when as many told two models apart; of none 2.7."""
    return QUANTILE**2 / 2 + QUANTILE * sqrt(telling + QUANTILE**2 / 4)


def main(task: Task, answers: Answers, records: Records, times: np.ndarray) -> np.ndarray:
    """The main score in each resample, R."""
    return np.asarray(task.resampled(answers, records, times)[task.main_score], dtype=float)


def apart(task: Task, before: Answers, after: Answers, records: Records, times: np.ndarray, mark: float) -> np.ndarray:
    """The drop in each resample, R; what has no score (answers that are all alike) has lost all."""
    lost = main(task, before, records, times) - main(task, after, records, times)
    return np.nan_to_num(-lost if task.main_score in task.lower else lost, nan=mark)


def full_mark(task: Task, score: float) -> float:
    """What a hundred per cent of a budget are: one, or a hundred where scores are told so; where less is better there
    is no full mark, and it is what the original has."""
    if task.main_score in task.lower:
        return abs(score)
    return 1.0 if task.scale == 100 else 100.0
