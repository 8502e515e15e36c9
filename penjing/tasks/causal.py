"""Causal language modelling: guess the next token from those before it (Radford et al. 2018)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from penjing.model.batch import Batch
from penjing.tasks import task
from penjing.tasks.task import IGNORED, padded, vocabulary_loss


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(task.Task):
    """Causal language modelling has no options: the text is its own label."""

    name: ClassVar[str] = "causal"
    purpose: ClassVar[str] = "causal"

    def collate(self, pieces, rows, tokenizer, random):
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        labels = tokens[:, 1:].clone()
        if mask is not None:
            labels[~mask[:, 1:]] = IGNORED
        return Batch(tokens=tokens, mask=mask, labels=labels, records=pieces.records(rows))

    def loss(self, model, batch):
        return vocabulary_loss(model, model.network(batch)[:, :-1], batch.labels)
