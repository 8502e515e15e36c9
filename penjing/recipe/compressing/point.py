"""Measuring one point of a search: a model beside the original, on the same records and in the same minute.

A point is plain JSON: its stack, bytes of the folder, bytes of the weights in memory, numbers, seconds of one record
alone and of a batch of 32 (the original's beside its own, measured in turn), and the drop of the main score.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.evaluate.drop import dropped
from penjing.tasks.model import Model

ROWS = 32  # records of a batch
SINGLE, BATCHES = 16, 4  # records that are asked one by one, and batches
ROUNDS, SECONDS = 5, 1.0  # at most so many rounds, and none begun after so long

Records = Sequence[Mapping[str, Any]]


class Ruler:
    """The original and some records: what every point is measured with."""

    def __init__(self, original: Model, records: Records, seed: int = 0):
        self.original, self.records, self.seed = original.eval(), records, seed
        self.task = original.task
        self.answers = original.answer(records)
        self.sample = sampled(original, records)

    @property
    def score(self) -> float:
        """The original's main score."""
        return float(self.task.score(self.answers, self.records)[self.task.main_score])

    def measured(self, folder: Path) -> dict[str, Any]:
        """The model of a folder, read again as it lies there."""
        model = Model.load(folder)
        answers = model.answer(self.records)
        drop = dropped(self.task, self.answers, answers, self.records, seed=self.seed)
        score = float(self.task.score(answers, self.records)[self.task.main_score])
        return {"bytes": weight(folder), **held(model), **self.times(model), "score": score, "drop": drop}

    def times(self, model: Model) -> dict[str, Any]:
        """seconds: of one record alone and of a batch, the model's; seconds_before: the original's."""
        both = (self.original, model)
        found = {name: in_turn(both, list(cut(self.sample, rows, most)))
                 for name, rows, most in (("one", 1, SINGLE), ("batch", ROWS, BATCHES))}  # fmt: skip
        return {key: {name: spent[side] for name, spent in found.items()}
                for side, key in enumerate(("seconds_before", "seconds"))}  # fmt: skip


def sampled(model: Model, records: Records) -> list[Mapping[str, Any]]:
    """Records for timing, by length, so that a batch has hardly any padding."""
    some = [records[int(at)] for at in np.linspace(0, len(records) - 1, min(len(records), ROWS * BATCHES))]
    return sorted(some, key=lambda record: len(model.task.subject(record)))


def cut(records: Records, rows: int, most: int) -> Iterator[Records]:
    """At most so many batches of so many rows, spread over the records."""
    starts = range(0, max(1, len(records) - rows + 1), rows)
    for number in sorted({int(at) for at in np.linspace(0, len(starts) - 1, min(most, len(starts)))}):
        yield records[starts[number] : starts[number] + rows]


def in_turn(models: Sequence[Model], batches: Sequence[Records]) -> list[float]:
    """Seconds that each model needs for a batch from text to answer: the best of several rounds, in turn."""
    best, began = [np.inf] * len(models), time.perf_counter()
    for model in models:
        model.answer(batches[-1], 10**9)
    for _ in range(ROUNDS):
        for number, model in enumerate(models):
            start = time.perf_counter()
            for batch in batches:
                model.answer(batch, 10**9)
            best[number] = min(best[number], (time.perf_counter() - start) / len(batches))
        if time.perf_counter() - began > SECONDS:
            break
    return [float(one) for one in best]


def weight(folder: Path) -> int:
    """Bytes of all files of a folder: what has to be carried."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def held(model: Model) -> dict[str, int]:
    """Numbers of a model, those in its blocks, and the bytes that its weights are in memory."""
    tensors = dict(model.state_dict())
    blocks = sum(tensor.numel() for name, tensor in tensors.items() if ".blocks." in name)
    return {
        "numbers": sum(tensor.numel() for tensor in tensors.values()),
        "block_numbers": blocks,
        "memory_bytes": sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()),
    }
