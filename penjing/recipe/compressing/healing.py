"""Healing: what is left of a network learns again what the original said of the training records."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from penjing.tasks.distil import Task as Distil
from penjing.tasks.distil import taught
from penjing.tasks.model import Model
from penjing.tasks.task import Task
from penjing.train.fit import FitOptions, fit

SOFT = 0.8  # the teacher's share in the loss
HEARD = "teacher.safetensors"  # what the original says of each record, computed once for all healings


class Healing:
    """The original as a teacher, the training records, and how to train."""

    def __init__(self, original: Path, task: Task, train: Sequence[Mapping[str, Any]], place: Path, how: FitOptions):
        self.train, self.place = train, place
        self.how = dataclasses.replace(how, threads=torch.get_num_threads(), validate_times=0, measure_seconds=0.0)
        lesson = Distil(task=task.name, teacher=original, soft=SOFT, once=not task.same_tokens)
        self.lesson = None if lesson.problems() else lesson  # some tasks cannot be distilled: their labels alone heal

    def __call__(self, model: Model, folder: Path) -> Model:
        """The model, trained in `folder`, where a call that was stopped goes on; its task is what it was."""
        plain = model.task
        model.task = plain if self.lesson is None else with_teacher(plain, self.lesson)
        folder.mkdir(parents=True, exist_ok=True)
        fit(model, model.task.kept_pieces(model, self.train, self.place / HEARD), None, self.how, folder, what="heal")
        model.changes.finish()
        model.task = plain
        return model.eval()

    def forget(self) -> None:
        """Drop what the teacher said."""
        (self.place / HEARD).unlink(missing_ok=True)


def with_teacher(task: Task, lesson: Distil) -> Task:
    """The task as it is learnt from a teacher."""
    fields = {one.name: getattr(task, one.name) for one in dataclasses.fields(task)}  # type: ignore[arg-type]
    return taught(type(task))(**fields | ({"rdrop": 0.0} if "rdrop" in fields else {}), how=lesson)


def clear(folder: Path) -> None:
    """Remove a folder of a training that has ended."""
    shutil.rmtree(folder, ignore_errors=True)
