"""The teacher: a model, or several that answer as one, which is asked and never trained; what it must have in common with
its student."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from penjing.base.errors import DataError, PenjingError, TaskError
from penjing.base.progress import tell
from penjing.model.tensors import digest, write_file
from penjing.tasks.committee import Committee
from penjing.tasks.folders import KIND
from penjing.tasks.preference_rows import kept

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.task import Task

ANSWERS = ("labels", "tags", "several", "scheme")  # what the answers of a task are made of
ORDERED = ("labels", "tags")  # of these only the order may differ


class Teacher:
    """A model folder, opened when it is first asked."""

    def __init__(self, folder: Path):
        inside = folder / "model"
        there = any((inside / name).exists() for name in ("config.json", KIND))
        self.folder = inside if there else folder

    @cached_property
    def model(self) -> Model | Committee:
        """The model, read once; nothing of it is trained, and nothing in it is dropped out."""
        from penjing.tasks.model import Model

        found: Model | Committee = Model.load(self.folder)
        for parameter in found.parameters():
            parameter.requires_grad_(False)
        return found.eval()

    @property
    def single(self) -> Model:
        """The model, where one network is needed. Raises P-TASK-147."""
        if isinstance(self.model, Committee):
            raise TaskError("P-TASK-147", file=self.folder, count=len(self.model.models))
        return self.model

    def under(self, task: Task) -> Model:
        """The model as it answers to a task of its purpose: as its own, where that is the same."""
        from penjing.tasks.model import Model

        own = self.single
        if isinstance(own.task, type(task)):
            return own
        return Model(
            own.network, None, task, own.tokenizer, own.family, window=own.piece, generation=own.generation
        ).eval()

    @cached_property
    def digest(self) -> str:
        """Its weights as one hash."""
        models = self.model.models if isinstance(self.model, Committee) else [self.model]
        return hashlib.sha256("".join(map(digest, models)).encode()).hexdigest()

    def about(self) -> dict[str, Any]:
        """Who taught, as a card tells it."""
        models = self.model.models if isinstance(self.model, Committee) else [self.model]
        return {"teacher": self.folder.parent.name if self.folder.name == "model" else self.folder.name,
                "weights": self.digest[:16], "families": sorted({one.family for one in models}),
                "parameters": sum(p.numel() for p in self.model.parameters())}  # fmt: skip

    # ---- what it must have in common with the student ----

    def unlike(self, task: Task) -> list[PenjingError]:
        """Why its scores are no lesson for this task: another task, or other labels."""
        own = self.model.task
        if (own.purpose != task.purpose) if task.vocabulary else (own.name != task.name):
            return [TaskError("P-TASK-140", file=self.folder, given=own.name, task=task.name)]
        found: list[PenjingError] = []
        for name in ANSWERS:
            wanted, given = getattr(task, name, None), getattr(own, name, None)
            listed = name in ORDERED and wanted is not None
            if (sorted(wanted) != sorted(given)) if listed else (wanted != given):  # type: ignore[arg-type]
                found.append(TaskError("P-TASK-139", file=self.folder, field=name, **difference(wanted, given)))
        return found

    def same_tokens(self, student: Model) -> bool:
        """Whether it reads texts as the student does: the same pieces under the same numbers."""
        if isinstance(self.model, Committee):
            return False
        own, theirs = student.tokenizer, self.model.tokenizer
        frames = [(one.prefix, one.suffix, one.inner.get_vocab(with_added_tokens=True)) for one in (own, theirs)]
        return frames[0] == frames[1]


def difference(wanted: Any, given: Any) -> dict[str, Any]:
    """What only the student has, and what only the teacher."""
    if not isinstance(wanted, list | tuple) or not isinstance(given, list | tuple):
        return {"given": given, "wanted": wanted}
    only = [[one for one in some if one not in others] for some, others in ((given, wanted), (wanted, given))]
    shown = [", ".join(map(str, names[:5])) + (f" … ({len(names)})" if len(names) > 5 else "") or "–" for names in only]
    return {"given": shown[0], "wanted": shown[1]}


# ---- what is computed once and kept ----


def heard_once(task: Task, teacher: Teacher, records: Sequence[Mapping[str, Any]], file: Path | None) -> np.ndarray:
    """What a teacher says of each record, N ...; read again from `file` if that holds it of this teacher and records."""
    key = key_of(task, teacher, records)
    found = None if file is None else kept(file, key)
    if found is not None and len(found) == len(records):
        return found
    tell("note", "teacher", f"what the teacher says of {len(records)} records is computed once", total=len(records))
    found = np.asarray(task.hears_once(teacher.model, records), np.float32)
    if file is not None:
        write_file(file, {key: torch.from_numpy(found).contiguous()})
    return found


def key_of(task: Task, teacher: Teacher, records: Sequence[Mapping[str, Any]]) -> str:
    """A hash of what an answer follows from."""
    found = hashlib.sha256(f"{teacher.digest} {teacher.model.task.record()} {getattr(task, 'labels', '')}".encode())
    for record in records:
        found.update(json.dumps(dict(record), sort_keys=True, default=str).encode())
    return found.hexdigest()


def check_same(task: Task, teacher: Teacher, student: Model, what: str) -> None:
    """Raise P-TASK-138 where the teacher cuts texts otherwise than the student."""
    if not teacher.same_tokens(student):
        given = teacher.single.tokenizer.size
        raise DataError("P-TASK-138", file=teacher.folder, given=given, wanted=student.tokenizer.size, what=what)
