"""Masked language modelling (BERT, Devlin et al. 2019): guess the hidden tokens from both sides.

Of the tokens chosen, 80 % become the mask token, 10 % a random token, 10 % stay. Hidden states and vocabulary scores
are computed at the chosen places only.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import MachineError, PenjingError, TaskError, TrainError
from penjing.model.batch import Batch
from penjing.tasks.objective import Objective, guessed_tokens, table
from penjing.tasks.task import IGNORED, Vocabulary, labels_loss, padded, states_for

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer


class Hidden(NamedTuple):
    """A row, the places whose tokens are to be guessed, and these tokens."""

    tokens: np.ndarray
    places: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(Vocabulary, Objective):
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

    def question(self, pieces, row, tokenizer, random):
        tokens = pieces.tokens(row)
        starts = pieces.starts(row) if self.whole_words else None
        return self.hidden(tokens, starts, tokenizer, random)

    def hidden(
        self, tokens: np.ndarray, starts: np.ndarray | None, tokenizer: Tokenizer, random: np.random.Generator
    ) -> Hidden:
        """A row with some of its tokens hidden; `starts`: where its words begin."""
        places = self.choose(np.flatnonzero(~np.isin(tokens, list(tokenizer.special))), starts, random)
        labels, tokens = tokens[places], tokens.copy()
        tokens[places] = self.hide(labels, tokenizer, random)
        return Hidden(tokens, places, labels)

    def joined(self, questions, records, tokenizer):
        tokens, mask = padded([row.tokens for row in questions], tokenizer.pad)
        places, labels = table([row.places for row in questions], 0), table([row.labels for row in questions], IGNORED)
        return Batch(tokens, mask, places=places, labels=labels, records=records)

    def choose(self, able: np.ndarray, starts: np.ndarray | None, random: np.random.Generator) -> np.ndarray:
        """The places of a row to guess, in order: one at least of those that are able."""
        count = max(1, round(self.rate * len(able)))
        if starts is None or not len(able):
            return np.sort(random.permutation(able)[:count])
        word = np.cumsum(starts)[able]  # token that may be chosen -> its word
        order = random.permutation(np.unique(word))
        sizes = np.bincount(word)[order]
        return able[np.isin(word, self.enough(order, sizes, count, random))]

    @staticmethod
    def enough(order: np.ndarray, sizes: np.ndarray, count: int, random: np.random.Generator) -> np.ndarray:
        """The first words of `order` that hold `count` tokens; the last is taken by chance, so that the mean is right."""
        ends = np.cumsum(sizes)
        whole = int(np.searchsorted(ends, count, side="right"))  # words that fit
        left = count - (int(ends[whole - 1]) if whole else 0)
        more = whole < len(order) and random.random() * sizes[whole] < left
        return order[: max(1, whole + more)]

    def hide(self, ids: np.ndarray, tokenizer: Tokenizer, random: np.random.Generator) -> np.ndarray:
        """What stands in the place of the chosen tokens; a random token is an ordinary one."""
        draw = random.random(len(ids))
        hidden = np.where(draw < self.replace, tokenizer.mask, ids)
        other = random.choice(tokenizer.ordinary, len(ids))
        return np.where((draw >= self.replace) & (draw < self.replace + self.random), other, hidden)

    def says(self, model, batch):
        return states_for(model.network(batch), batch)

    def loss_of(self, model, said, batch):
        return labels_loss(model, said, batch)

    def guesses(self, model, batch):
        return guessed_tokens(model, model.network(batch), batch.labels)
