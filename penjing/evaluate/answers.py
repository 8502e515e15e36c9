"""The certificate of any task: each candidate's scores with intervals on one split, paired differences, the verdict.

It has the form of a classifier's certificate. All candidates are resampled together, so that differences are paired.
Legend: N records, R resamples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penjing.evaluate.certificate import MODEL
from penjing.evaluate.compare import difference, verdict
from penjing.evaluate.intervals import Samples, interval
from penjing.tasks.task import Task

PIECE = 8_000_000  # weights held at one time


def answers_certificate(
    task: Task, answers: Mapping[str, Sequence[dict[str, Any]]], facts: Mapping[str, Mapping[str, Any]],
    records: Sequence[Mapping[str, Any]], *, split: str, resamples: int = 2000, confidence: float = 0.95, seed: int = 0,
    paths: Mapping[str, str] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """The certificate of candidates by name: `model` and baselines, each with its answers and facts."""
    values = {name: task.score(given, records) for name, given in answers.items()}
    samples = {name: drawn(task, given, records, resamples, seed) for name, given in answers.items()}
    candidates = {
        name: {
            "scores": {metric: interval(samples[name][metric], value, confidence) for metric, value in found.items()},
            **({"path": paths[name]} if paths and name in paths else {}),
            **facts.get(name, {}),
        }
        for name, found in values.items()
    }
    main = task.main_score
    about: dict[str, Any] = {
        "task": task.name, "split": split, "records": len(records), "metric": main, "lower": list(task.lower),
        "confidence": confidence, "resamples": resamples, "seed": seed, "candidates": candidates,
    }  # fmt: skip
    found = compared(task, values, samples, confidence)
    best = found["best_baseline"]
    said = None
    if best is not None:
        chosen = next(d for d in found["differences"] if (d["to"], d["metric"]) == (best, main))
        few = luck(task.telling(answers[MODEL], answers[best], records))
        said = verdict(chosen, confidence, (paths or {}).get(best), few, scale=task.scale)
    return about | found | {"verdict": said, "notes": task.notes(records)}


def luck(units: int) -> dict[str, float]:
    """The least two-sided p that a sign test can give on so many units: a bootstrap of few of them has no width."""
    return {"only_first_right": units, "only_second_right": 0, "p": min(1.0, 2.0 ** (1 - min(units, 60)))}


def compared(
    task: Task, values: Mapping[str, Mapping[str, float]], samples: Mapping[str, Samples], confidence: float
) -> dict[str, Any]:
    """The model minus each baseline in every score, and which of them is the best."""
    main, baselines = task.main_score, [name for name in values if name != MODEL]
    if not baselines or MODEL not in values:
        return {"differences": [], "best_baseline": None}
    sign = -1 if main in task.lower else 1
    best = max(baselines, key=lambda name: sign * values[name][main])
    found = [
        difference(MODEL, name, metric, values, samples, confidence) | ({"lower": True} if metric in task.lower else {})
        for name in baselines
        for metric in values[MODEL]
        if metric in values[name]
    ]
    return {"differences": found, "best_baseline": best}


def drawn(
    task: Task, answers: Sequence[dict[str, Any]], records: Sequence[Mapping[str, Any]], resamples: int, seed: int
) -> Samples:
    """Every score in each resample, R; the same draws for every candidate."""
    random, number = np.random.default_rng(seed), len(records)
    step, found = max(1, PIECE // max(1, number)), list[dict[str, np.ndarray]]()
    sums = type(task).resampled is Task.resampled  # then what each record adds is asked once
    parts = task.statistics(answers, records) if sums else None
    for first in range(0, resamples, step):
        weights = random.multinomial(number, np.full(number, 1 / number), size=min(step, resamples - first))
        weights = weights.astype(np.float64)
        found.append(task.resampled(answers, records, weights) if parts is None else task.scores(weights @ parts))
    return {name: np.concatenate([part[name] for part in found]) for name in found[0]}
