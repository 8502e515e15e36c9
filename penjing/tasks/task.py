"""The protocol of a task: from documents to batches, from hidden states to a loss and to answers.

B batch, T tokens, M asked places, W width, V vocabulary, N documents, C labels
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from penjing.model.batch import Batch

if TYPE_CHECKING:
    from penjing.model.config import ModelConfig
    from penjing.model.head import HeadStyle
    from penjing.tasks.model import Model
    from penjing.tasks.pieces import Pieces
    from penjing.text.tokenizer import Tokenizer

IGNORED = -100  # a label that carries no loss


class Task:
    """Base of all tasks: a frozen dataclass of options. Subclasses say how examples, loss and answers are made."""

    name: ClassVar[str]
    purpose: ClassVar[str]  # which checkpoint layout it is saved in: masked, causal, classify
    needs: ClassVar[tuple[str, ...]] = ("text",)  # fields of a record
    main_score: ClassVar[str] = "loss"
    baselines: ClassVar[tuple[str, ...]] = ()  # classical models it must beat

    vocabulary: ClassVar[bool] = True  # whether it asks for vocabulary scores

    def prepared(self, tokenizer: Tokenizer, rows: int) -> Tokenizer:
        """The tokenizer as the task uses it; rows: tokens that the network has room for."""
        return tokenizer

    def head(self, config: ModelConfig, style: HeadStyle | None) -> nn.Module | None:
        """What stands on the network, if anything: built, not filled."""
        return None

    def targets(self, records: Sequence[dict[str, Any]]) -> np.ndarray | None:
        """Labels of records as an array, or None where the text is its own label."""
        return None

    def collate(self, pieces: Pieces, rows: np.ndarray, tokenizer: Tokenizer, random: np.random.Generator) -> Batch:
        """A batch of the pieces `rows`. `random` is the only source of chance: corruption is drawn here alone."""
        raise AssertionError(f"task {self.name} says nothing here")

    def validating(self) -> Task:
        """The same task without what is done to examples only so that training generalises."""
        return self

    def loss(self, model: Model, batch: Batch) -> Tensor:
        """The sum of the losses of the batch's labels."""
        raise AssertionError(f"task {self.name} says nothing here")

    def record(self) -> dict[str, Any]:
        """The task as a checkpoint keeps it."""
        from dataclasses import asdict

        return {"task": self.name, **asdict(self)}  # type: ignore[call-overload]


def padded(rows: Sequence[np.ndarray], fill: int, width: int | None = None) -> tuple[Tensor, Tensor | None]:
    """Rows of tokens as one tensor B T (int64), and its mask (None if no row is shorter)."""
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    width = width or int(lengths.max())
    tokens = np.full((len(rows), width), fill, dtype=np.int64)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = row
    mask = None if int(lengths.min()) == width else torch.from_numpy(np.arange(width) < lengths[:, None])
    return torch.from_numpy(tokens), mask


def vocabulary_loss(model: Model, hidden: Tensor, labels: Tensor) -> Tensor:
    """Summed cross-entropy of the vocabulary scores where a label stands."""
    kept = labels != IGNORED
    return model.network.vocabulary_loss(hidden[kept], labels[kept])
