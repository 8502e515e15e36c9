"""Sequence to sequence: write the target, one token after the other, when the source was read (arXiv:1409.3215).

In training the decoder reads the true target, moved one place to the right after the token it begins with (teacher
forcing), and each place is asked for its next token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import DataError, TaskError
from penjing.model.batch import Batch
from penjing.tasks import task
from penjing.tasks.task import IGNORED, padded

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(task.Task):
    """Options of sequence to sequence."""

    smoothing: Annotated[
        float, Field(ge=0, lt=1, description="share of the label given to all tokens alike (arXiv:1512.00567)")
    ] = 0.0

    name: ClassVar[str] = "seq2seq"
    purpose: ClassVar[str] = "seq2seq"
    needs: ClassVar[tuple[str, ...]] = ("source",)
    taught: ClassVar[tuple[str, ...]] = ("target",)

    def targets(self, records: Sequence[dict[str, Any]]) -> np.ndarray:
        """The targets as texts, N; records without one are told at once."""
        missing = [number for number, record in enumerate(records) if not isinstance(record.get("target"), str)]
        if missing:
            first = sorted(records[missing[0]])
            raise DataError("P-TASK-009", field="target", given=first, count=len(missing), line=missing[0] + 1)
        return np.asarray([record["target"] for record in records], dtype=object)

    def collate(self, pieces, rows, tokenizer, random):
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        batch = Batch(tokens=tokens, mask=mask, records=pieces.records(rows))
        if pieces.targets is None:
            return batch
        if int(pieces.parts[rows].max()) > 1:  # which part of the target belongs to which part of the source?
            raise TaskError("P-TASK-040", room=pieces.room)
        texts = [text.encode("utf-8", "replace").decode("utf-8") for text in pieces.targets[pieces.owner[rows]]]
        answers = [ended(ids[: pieces.room], tokenizer) for ids in tokenizer.encode_many(texts)]
        batch.target, batch.target_mask = padded(answers, tokenizer.pad)
        batch.labels = batch.target.clone()
        if batch.target_mask is not None:
            batch.labels[~batch.target_mask] = IGNORED
        return batch

    def validating(self):
        return Task()

    def loss(self, model, batch):
        hidden = model.network(delayed(batch, model.network.config.decoder_start))
        kept = batch.labels != IGNORED
        hidden, labels = hidden[kept], batch.labels[kept]
        plain = model.network.vocabulary_loss(hidden, labels)
        if not self.smoothing:
            return plain
        every = -model.network.logits(hidden).float().log_softmax(-1).mean(-1).sum()
        return (1 - self.smoothing) * plain + self.smoothing * every


def ended(tokens: Sequence[int], tokenizer: Tokenizer) -> np.ndarray:
    """An answer with the tokenizer's special tokens, and its end token in any case: how else would writing stop?"""
    built = tokenizer.build(tokens)
    closed = tokenizer.end is None or tokenizer.end in tokenizer.suffix
    return np.asarray(built if closed else [*built, tokenizer.end], dtype=np.int64)


def delayed(batch: Batch, start: int | None) -> Batch:
    """The batch with its target one place later, after `start`; None: after each target's own last token (mBART)."""
    reads = Batch(batch.target, batch.target_mask).shifted(start)
    return Batch(batch.tokens, batch.mask, target=reads.target, target_mask=batch.target_mask, records=batch.records)
