"""Regression: a number for a text or for a pair of texts, such as a grade, a price, or how alike two sentences are.

The network learns in units of the training labels (their mean is 0, their deviation 1), whatever those are; when it has
learnt, the units are folded into its last layer, so that the saved network itself gives the labels' own numbers.

B batch, N records, R resamples
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import DataError, TaskError, raise_all
from penjing.base.readers.source import Record as FileRecord
from penjing.model.head import ClassHead
from penjing.tasks import correlation
from penjing.tasks.task import Line, Record, named, place_of
from penjing.tasks.text_task import TextTask

THEIRS = {"sentence1": "text", "sentence2": "text_b", "score": "label"}
DIGITS = 4  # of a number that is shown


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(TextTask):
    """Options of regression. `units`: while it learns, the mean and the deviation of the training labels."""

    units: Annotated[
        tuple[float, Annotated[float, Field(gt=0)]] | None,
        Field(description="what counts as 0 and as one step in training; left out: mean and deviation of the labels"),
    ] = None

    name: ClassVar[str] = "regress"
    taught: ClassVar[tuple[str, ...]] = ("label",)
    main_score: ClassVar[str] = "pearson"
    lower: ClassVar[tuple[str, ...]] = ("mse", "rmse")
    baselines: ClassVar[tuple[str, ...]] = ("ridge",)
    extras: ClassVar[Mapping[str, str]] = {"sklearn": "evaluate"}

    @classmethod
    def made(cls, records: Sequence[Record], **options: Any) -> Task:
        """The task with the units of these records."""
        task = cls(**options)
        if task.units is not None:
            return task
        labels = task.targets(records).astype(np.float64)
        if len(labels) and correlation.constant(labels):
            raise DataError("P-TASK-113", count=len(labels), given=f"{labels[0]:g}")
        return dataclasses.replace(task, units=(float(labels.mean()), float(labels.std())))

    @classmethod
    def look(cls, records, options):
        """The first records may all have one label, so only the fields are looked at."""
        cls().check([cls.normal(record) for record in records], True)

    @classmethod
    def normal(cls, record):
        """`sentence1`, `sentence2` and `score`, as pairs of others have them, are our text, text_b and label."""
        ours = {theirs: our for theirs, our in THEIRS.items() if theirs in record and our not in record}
        if not ours:
            return record
        fields = {ours.get(name, name): value for name, value in record.items()}
        return FileRecord(fields, getattr(record, "file", None), getattr(record, "line", None))

    def head(self, config, style):
        return ClassHead(config.width, 1, style)

    def config(self):
        if self.units is not None:  # the weights do not give the labels' own numbers yet
            raise TaskError("P-TASK-114")
        return named(["LABEL_0"]) | {"problem_type": "regression"}

    def targets(self, records: Sequence[Record]) -> np.ndarray:
        """The labels N (float32); those that are no numbers are told at once."""
        found = [number_in(record.get("label")) for record in records]
        raise_all([DataError("P-TASK-112", field="label", given=records[row].get("label"), **place_of(records[row], row))
                   for row, value in enumerate(found) if value is None])  # fmt: skip
        return np.asarray(found, np.float32)

    # ---- learning ----

    def units_of(self, head: ClassHead) -> tuple[float, float]:
        """What the head's 0 and 1 stand for. A head without a bias cannot move its 0."""
        centre, step = self.units or (0.0, 1.0)
        return (centre, step) if head.output.bias is not None else (0.0, math.hypot(centre, step))

    def loss_of(self, model, scores, batch):
        """The squared error, in units."""
        centre, step = self.units_of(model.head)
        return (scores[:, 0] - (batch.labels - centre) / step).square().sum()

    same_tokens = False

    def hears(self, teacher, batch):
        centre, step = teacher.task.units_of(teacher.head)
        return teacher.task.class_scores(teacher, batch)[:, 0] * step + centre

    def hears_once(self, teacher, records):
        """The numbers of a model, or of several, N."""
        return np.asarray([answer["value"] for answer in teacher.answer(records)], np.float32)

    def apart(self, model, said, theirs, batch, divergence):
        """The squared difference of the two numbers, in units."""
        centre, step = self.units_of(model.head)
        return (said[:, 0] - (theirs - centre) / step).square().sum()

    def distance(self, scores, again):
        return (scores - again).square().sum()

    def watched(self, model, records):
        """The correlation; None where all labels are one number, and nothing correlates with that."""
        if correlation.constant(self.targets(records)):
            return None
        return self.score(self.answer(model, records), records)[self.main_score]

    @torch.no_grad()
    def settled(self, model, records):
        """The units become part of the weights."""
        centre, step = self.units_of(model.head)
        model.head.output.weight.mul_(step)
        if model.head.output.bias is not None:
            model.head.output.bias.mul_(step).add_(centre)
        return dataclasses.replace(self, units=None)

    # ---- answers and scores ----

    def answer(self, model, records, batch_tokens=4096):
        centre, step = self.units_of(model.head)

        def numbers(scores: Tensor) -> Tensor:
            return scores.double() * step + centre

        return [{"value": float(row[0])} for row in model.averaged(records, 1, numbers, batch_tokens)]

    def together(self, models, records, batch_tokens=4096):
        """The mean of the numbers; `disagreement`: their deviation."""
        each = [model.task.answer(model, records, batch_tokens) for model in models]
        values = np.asarray([[answer["value"] for answer in answers] for answers in each])  # M N
        pairs = zip(values.mean(0).tolist(), values.std(0).tolist(), strict=True)
        return [{"value": value, "disagreement": apart} for value, apart in pairs]

    def statistics(self, answers, records):
        """Answer and label of each record, N 2."""
        labels = self.targets(records).astype(np.float64)
        return np.stack([np.asarray([answer["value"] for answer in answers], np.float64), labels], 1)

    def score(self, answers, records):
        """All scores, the correlations in scipy's own order of operations."""
        found, (given, true) = super().score(answers, records), self.statistics(answers, records).T
        exact = {"pearson": correlation.pearson(given, true), "spearman": correlation.spearman(given, true)}
        return found | exact

    def resampled(self, answers, records, weights):
        given, true = self.statistics(answers, records).T
        both = correlation.resampled(given, true, weights)
        error = weights @ np.square(given - true) / np.maximum(weights.sum(1), 1)
        return {"pearson": both["pearson"], "spearman": both["spearman"], "mse": error, "rmse": np.sqrt(error)}

    def lines(self, record: Record, answer: dict[str, Any]) -> Iterator[Line]:
        """The text (or both), then the number."""
        yield from super().lines(record, answer)
        yield [("  ", ""), (f"{answer['value']:.{DIGITS}g}", "strong")]


def number_in(value: Any) -> float | None:
    """A number, or a text that is one, as tables have them; None where it is another thing."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None
