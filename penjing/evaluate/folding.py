"""The round-trip certificate of a fold: a model with its changes and the same model folded and read again say the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.evaluate.intervals import interval
from penjing.tasks import likeness
from penjing.tasks.likeness import Limits, Records
from penjing.tasks.model import Model

DISTANCE = 1e-3  # of scores, over the largest of them
OTHERWISE = 0.001  # share of the answers that rounding may turn
CONFIDENCE = 0.95


def compared(before: dict[str, Any], model: Model, records: Records) -> dict[str, Any]:
    """A certificate: what `seen` says of the model with its changes beside what it says of the folded one."""
    return likeness.compared(before, seen(model, records), Limits(DISTANCE, OTHERWISE))


def seen(model: Model, records: Records) -> dict[str, Any]:
    """What a model says: tokens, scores, and of records its decisions and the task's scores with intervals."""
    return likeness.seen(model, records, metrics)


def metrics(model: Model, answers: Sequence[dict[str, Any]], records: Records, resamples: int = 500) -> dict[str, Any]:
    """The task's scores with their intervals."""
    values = model.task.score(answers, records)
    times = np.random.default_rng(0).multinomial(len(records), [1 / len(records)] * len(records), size=resamples)
    samples = model.task.resampled(answers, records, times.astype(float))
    return {name: interval(samples[name], value, CONFIDENCE) for name, value in values.items() if name in samples}
