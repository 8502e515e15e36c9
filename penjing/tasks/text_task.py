"""What the tasks share that answer for a whole text or pair of texts, `classify` and `regress`: how it is read, and how
training is kept from learning it by heart.

B batch, T tokens, C scores
"""

from __future__ import annotations

import dataclasses
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import DataError, TaskError, raise_all
from penjing.base.texts import two_texts
from penjing.model.batch import Batch
from penjing.tasks import task
from penjing.tasks.altered import Altered, by_name
from penjing.tasks.task import padded, place_of
from penjing.text.augment import Augment

TokenDropout = Annotated[float, Field(ge=0, lt=1, description="share of tokens hidden in training")]
CutOff = Annotated[
    float,
    Field(ge=0, lt=1, description="share of a text's tokens, side by side, hidden in training (arXiv:2009.13818)"),
]
RDrop = Annotated[
    float, Field(ge=0, description="R-Drop: weight of the distance of two passes with other dropout (arXiv:2106.14448)")
]
Augmented = Annotated[
    Augment | None,
    Field(description="other readings of training texts: {swap: {share: 0.1}}, delete, synonyms, neighbours"),
]
LONGEST = 100  # characters of a text that are shown


@dataclass(frozen=True, config=ConfigDict(extra="forbid"), kw_only=True)
class TextTask(task.Task):
    """Reads `text`, and `text_b` where there is one; a head gives scores B C."""

    token_dropout: TokenDropout = 0.0
    cut_off: CutOff = 0.0
    rdrop: RDrop = 0.0
    augment: Augmented = None

    purpose: ClassVar[str] = "classify"
    vocabulary: ClassVar[bool] = False
    two_texts: ClassVar[bool] = True
    long_texts: ClassVar[tuple[str, ...]] = ("windows", "head", "head_tail")

    def check(self, records, learn):
        lacking = [(n, record) for n, record in enumerate(records) if record.get("text") is None]
        raise_all([DataError("P-TASK-009", field="text", given=sorted(record), count=len(lacking), **place_of(record, n))
                   for n, record in lacking[:1]])  # fmt: skip
        if learn:
            self.targets(records)

    def pieces(self, model, records, learn):
        if learn and self.rdrop and not drops(model):
            raise TaskError("P-TASK-111")
        found = model.pieces(records, "finetune" if learn else "answer")
        found.targets = self.targets(records) if learn else None
        if learn and self.augment is not None:
            from penjing.tasks.model import whole_texts

            texts = whole_texts(records)
            pairs = any(second is not None for _, second in texts)
            found.altered = Altered(self.augment, texts, partial(model.cut, pairs=pairs))
        return found

    def collate(self, pieces, rows, tokenizer, random):
        read, numbers = pieces, rows
        if random is not None and pieces.altered is not None:
            read, numbers = pieces.altered.rows(pieces, rows, random)
        tokens, mask = padded([read.tokens(int(row)) for row in numbers], tokenizer.pad)
        if random is not None:
            self.hide(tokens, tokenizer, random)
        labels = None if pieces.targets is None else torch.from_numpy(pieces.targets[pieces.owner[rows]])
        types = padded([read.types(int(row)) for row in numbers], 0)[0] if read.typed else None
        return Batch(tokens=tokens, mask=mask, segments=types, labels=labels, records=pieces.records(rows))

    def validating(self):
        return dataclasses.replace(self, token_dropout=0.0, cut_off=0.0, rdrop=0.0, augment=None)

    def record(self):
        return by_name(super().record())

    def hide(self, tokens: Tensor, tokenizer, random: np.random.Generator) -> None:
        """Hide single tokens and a run of tokens, never special ones, behind the mask token or, without one, the
        unknown token."""
        if not (self.token_dropout or self.cut_off):
            return
        ids = tokens.numpy()
        plain = ~np.isin(ids, list(tokenizer.special))  # B T
        chosen = np.zeros_like(plain)
        if self.token_dropout:
            chosen |= (random.random(ids.shape) < self.token_dropout) & plain
        if self.cut_off:
            chosen |= runs(plain, self.cut_off, random)
        hidden = tokenizer.mask if tokenizer.mask is not None else tokenizer.unknown
        ids[chosen] = tokenizer.pad if hidden is None else hidden

    # ---- learning ----

    def class_scores(self, model, batch: Batch) -> Tensor:
        """Scores B C, in float32."""
        return head_scores(model, batch)

    def loss(self, model, batch):
        """In training with R-Drop, half of the paper's: the mean of both passes' losses, so that rates stay what they
        are, and half of `rdrop` times the mean of the two divergences."""
        scores = self.class_scores(model, batch)
        if not (self.rdrop and model.training):
            return self.loss_of(model, scores, batch)
        again = self.class_scores(model, batch)
        both = (self.loss_of(model, scores, batch) + self.loss_of(model, again, batch)) / 2
        return both + self.rdrop / 2 * self.distance(scores, again)

    def says(self, model, batch):
        return self.class_scores(model, batch)

    def distance(self, scores: Tensor, again: Tensor) -> Tensor:
        """How far two passes' scores B C are apart, summed over B; the same both ways round."""
        raise AssertionError(f"task {self.name} says nothing here")

    # ---- what a person types and reads ----

    def item(self, texts):
        if len(texts) > 2 or not texts:
            raise TaskError("P-TASK-110", task=self.name, fields="text, text_b", given=len(texts))
        return dict(zip(("text", "text_b"), texts, strict=False))

    def lines(self, record, answer):
        """The text, or both."""
        for text in two_texts(record):
            if text is not None:
                yield [(text if len(text) <= LONGEST else text[: LONGEST - 1] + "…", "")]


def head_scores(model: Any, batch: Batch) -> Tensor:
    """The scores B C that a model's head gives to whole texts, in float32."""
    if model.network.encoder is not None and model.network.decoder is not None:
        batch = batch.shifted(model.network.config.decoder_start)  # the decoder reads the text again
    asked = dataclasses.replace(batch, places=model.head.places(batch))
    return model.head(model.network(asked), batch).float()


def runs(plain: np.ndarray, share: float, random: np.random.Generator) -> np.ndarray:
    """B T bool: in each row one run of its plain tokens, `share` of them, anywhere."""
    chosen = np.zeros_like(plain)
    for row, places in enumerate(map(np.flatnonzero, plain)):
        size = int(share * len(places) + random.random())  # up or down by chance: short texts too lose `share`
        first = int(random.integers(len(places) - size + 1))
        chosen[row, places[first : first + size]] = True
    return chosen


def drops(model: Any) -> bool:
    """Whether two passes of a model in training differ."""
    config = model.network.config
    return bool(config.dropout or getattr(config, "attention_dropout", 0) or model.head.style.dropout)
