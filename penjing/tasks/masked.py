"""Masked language modelling (BERT, Devlin et al. 2019): guess the hidden tokens from both sides.

Of the tokens chosen, 80 % become the mask token, 10 % a random token, 10 % stay. Hidden states and vocabulary scores
are computed at the chosen places only.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import MachineError, PenjingError, TaskError, TrainError
from penjing.model.batch import Batch
from penjing.tasks import task
from penjing.tasks.task import IGNORED, padded, vocabulary_loss

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(task.Task):
    """Options of masked language modelling."""

    rate: Annotated[float, Field(gt=0, lt=1, description="share of the tokens to guess")] = 0.15
    replace: Annotated[float, Field(ge=0, le=1, description="share of those that become the mask token")] = 0.8
    random: Annotated[float, Field(ge=0, le=1, description="share of those that become a random token")] = 0.1
    whole_words: Annotated[bool, Field(description="hide all pieces of a word together")] = False
    chinese_words: Annotated[bool, Field(description="whole words are Chinese words too (jieba)")] = False

    name: ClassVar[str] = "masked"
    purpose: ClassVar[str] = "masked"

    @property
    def word_starts(self) -> bool:
        return self.whole_words

    def problems(self) -> list[PenjingError]:
        """Chinese words need whole words, and a module that cuts them."""
        if not self.chinese_words:
            return []
        found = [] if self.whole_words else [TrainError("P-TRAIN-007", option="chinese_words", needs="whole_words")]
        absent = find_spec("jieba") is None
        return found + [MachineError("P-SYSTEM-001", module="jieba", extra="chinese", what="chinese_words")] * absent

    def suits(self, tokenizer: Tokenizer) -> None:
        if tokenizer.mask is None:
            raise TaskError("P-TASK-001", task=self.name)

    def collate(self, pieces, rows, tokenizer, random):
        self.suits(tokenizer)
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        wanted = [self.choose(pieces, int(row), tokenizer, random) for row in rows]
        width = max(1, *(len(w) for w in wanted))
        places = np.zeros((len(rows), width), dtype=np.int64)
        labels = np.full((len(rows), width), IGNORED, dtype=np.int64)
        ids = tokens.numpy()
        ordinary = np.delete(np.arange(tokenizer.size), sorted(tokenizer.special))
        for number, chosen in enumerate(wanted):
            places[number, : len(chosen)] = chosen
            labels[number, : len(chosen)] = ids[number, chosen]
            ids[number, chosen] = self.hide(ids[number, chosen], tokenizer, ordinary, random)
        return Batch(
            tokens=tokens, mask=mask, places=torch.from_numpy(places), labels=torch.from_numpy(labels),
            records=pieces.records(rows),
        )  # fmt: skip

    def choose(self, pieces, row: int, tokenizer, random: np.random.Generator) -> np.ndarray:
        """The places of a row to guess, in order: at least one, where the row has any token that is not special."""
        begin, inner = len(pieces.prefix), pieces.inner(row)
        able = np.flatnonzero(~np.isin(inner, list(tokenizer.special)))
        if not len(able):
            return able
        count = max(1, round(self.rate * len(able)))
        if not self.whole_words:
            return np.sort(random.permutation(able)[:count]) + begin
        starts = pieces.starts(row)[begin : begin + len(inner)].copy()
        starts[0] = True
        word = np.cumsum(starts)[able]  # token that may be chosen -> its word
        order = random.permutation(np.unique(word))
        return able[np.isin(word, self.enough(order, np.bincount(word)[order], count, random))] + begin

    @staticmethod
    def enough(order: np.ndarray, sizes: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        """The first words of `order` that hold `count` tokens; the last is taken by chance, so that the mean is right."""
        ends = np.cumsum(sizes)
        whole = int(np.searchsorted(ends, count, side="right"))  # words that fit
        left = count - (int(ends[whole - 1]) if whole else 0)
        more = whole < len(order) and random.random() * sizes[whole] < left
        return order[: max(1, whole + more)]

    def hide(self, ids: np.ndarray, tokenizer, ordinary: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """What stands in the place of the chosen tokens; a random token is an `ordinary` one."""
        draw = random.random(len(ids))
        hidden = np.where(draw < self.replace, tokenizer.mask, ids)
        other = random.choice(ordinary, len(ids))
        return np.where((draw >= self.replace) & (draw < self.replace + self.random), other, hidden)

    def loss(self, model, batch):
        return vocabulary_loss(model, model.network(batch), batch.labels)
