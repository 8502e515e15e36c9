"""Unsupervised sentence vectors from raw text (SimCSE, arXiv:2104.08821): a text shall find itself.

Each text is read twice, under two draws of dropout, and its second vector is searched among those of the whole batch.
So dropout is all that the two readings differ in; without it there is nothing to learn.
Shapes: B texts, W width.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import TaskError
from penjing.tasks.contrasting import in_batch, text_numbers
from penjing.tasks.task import IGNORED
from penjing.tasks.vectors import VectorTask, directions, read

SEED = 20210418  # of the dropout in validation


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(VectorTask):
    """Options of contrastive learning on raw text."""

    temperature: Annotated[float, Field(gt=0, description="by what cosines are divided")] = 0.05

    name: ClassVar[str] = "contrast"
    dropout_needed: ClassVar[bool] = True

    def collate(self, pieces, rows, tokenizer, random):
        """A batch of texts. One that would stand alone is given company to be told from."""
        if len(rows) == 1 and random is not None and len(pieces) > 1:
            other = int(random.integers(len(pieces) - 1))
            rows = np.asarray([rows[0], other + (other >= rows[0])])
        batch = read(pieces, rows, tokenizer)
        batch.labels = torch.full((len(rows), 1), 0 if len(rows) > 1 else IGNORED)
        return batch

    def loss(self, model, batch):
        config = model.network.config
        if not max(config.dropout, getattr(config, "attention_dropout", 0.0)):
            raise TaskError("P-TASK-098", task=self.name)
        vectors = torch.stack(self.twice(model, batch))
        texts = text_numbers(batch.tokens, 1).expand(2, -1)
        return in_batch(vectors, texts, self.temperature, symmetric=False)

    def twice(self, model, batch) -> tuple[Tensor, Tensor]:
        """Both readings' vectors B W; in validation, too, under dropout, but with the same draws each time."""
        learning = model.training
        with torch.random.fork_rng(devices=[], enabled=not learning):
            if not learning:
                torch.manual_seed(SEED)
                model.network.train()
            try:
                return directions(self.states(model, batch)), directions(self.states(model, batch))
            finally:
                model.network.train(learning)
