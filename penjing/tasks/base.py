"""No task yet: a network as it was loaded, to be given one by `penjing finetune` or `Model.with_task`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from penjing.base.errors import TaskError
from penjing.model.batch import Batch
from penjing.tasks import task
from penjing.tasks.task import padded


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(task.Task):
    """A bare network has no options, and nothing to learn."""

    name: ClassVar[str] = "base"
    purpose: ClassVar[str] = "base"
    vocabulary: ClassVar[bool] = False

    def collate(self, pieces, rows, tokenizer, random):
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        return Batch(tokens=tokens, mask=mask, records=pieces.records(rows))

    def loss(self, model, batch):
        raise TaskError("P-TASK-030", family=model.family)
