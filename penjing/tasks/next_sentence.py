"""BERT's pre-training (arXiv:1810.04805): hidden tokens of two texts, and whether the second follows the first.

A piece of a document is cut in two where a sentence ends. In half of the cases its second part gives way to as many
tokens from elsewhere (BERT), or both parts change places (ALBERT's sentence order, arXiv:1909.11942). Labels are
transformers': 0, the second follows; 1, it does not. The loss is the sum of both means.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import TaskError
from penjing.model.batch import Batch
from penjing.model.head import ClassHead
from penjing.tasks import masked
from penjing.tasks.objective import commonest, guessed_tokens
from penjing.tasks.pieces import Pieces
from penjing.tasks.task import IGNORED, padded, vocabulary_loss

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer

TRIES = 8  # to meet another document before another piece of the same one will do


class Two(NamedTuple):
    """A row of two texts: hidden tokens, the type of each token, and whether the second follows."""

    row: masked.Hidden
    types: np.ndarray
    label: int


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(masked.Task):
    """Options of next-sentence prediction, and those of masked language modelling."""

    order: Annotated[bool, Field(description="ask for the order of two neighbours (ALBERT), not for strangers")] = False

    name: ClassVar[str] = "next_sentence"
    purpose: ClassVar[str] = "next_sentence"
    lists: ClassVar[tuple[str, ...]] = ("labels", "guesses", "bits", "next_labels", "next_guesses")

    def head(self, config, style):
        return ClassHead(config.width, 2, style)

    def suits(self, tokenizer: Tokenizer) -> None:
        super().suits(tokenizer)
        if not tokenizer.frame.middle[0]:
            raise TaskError("P-TASK-103", task=self.name)

    def raw_pieces(self, documents, tokenizer, window, moving=None):
        special = len(tokenizer.prefix) + len(tokenizer.suffix)
        pieces = super().raw_pieces(documents, tokenizer, window - tokenizer.frame.size + special, moving)
        pieces.lengths = pieces.lengths - special + tokenizer.frame.size
        return pieces

    def question(self, pieces, row, tokenizer, random):
        (first, second), label = self.pair(pieces, row, tokenizer, random)
        parts = [pieces.inner(number)[start:stop].astype(np.int64) for number, start, stop in (first, second)]
        tokens, types = (np.asarray(found, np.int64) for found in tokenizer.build_pair(*map(np.ndarray.tolist, parts)))
        starts = None
        if self.whole_words:
            begin, frame = len(pieces.prefix), tokenizer.frame
            own = [pieces.starts(number)[begin + start : begin + stop] for number, start, stop in (first, second)]
            around = [np.ones(len(part[0]), bool) for part in (frame.begin, frame.middle, frame.end)]
            starts = np.concatenate([around[0], own[0], around[1], own[1], around[2]])
        return Two(self.hidden(tokens, starts, tokenizer, random), types, label)

    def pair(self, pieces: Pieces, row: int, tokenizer: Tokenizer, random: np.random.Generator) -> Any:
        """Two parts, each a piece with start and stop, and the label; a piece too short for two has none."""
        inner = pieces.inner(row)
        size = len(inner)
        cuts = tokenizer.sentences.starts(inner)[1:]
        cut = int(random.choice(cuts)) if len(cuts) else size // 2
        first, second, strange = (row, 0, cut), (row, cut, size), random.random() < 0.5
        if size < 2:
            return ((row, 0, size), (row, size, size)), IGNORED
        if not strange:
            return (first, second), 0
        other = None if self.order else self.stranger(pieces, row, size - cut, tokenizer, random)
        return ((second, first) if other is None else (first, other)), 1

    @staticmethod
    def stranger(pieces: Pieces, row: int, most: int, tokenizer: Tokenizer, random: np.random.Generator) -> Any:
        """At most so many tokens from the beginning of some sentence of another document; None where there is but one
        piece."""
        if len(pieces) == 1:
            return None
        for _ in range(TRIES):
            number = int(random.integers(len(pieces) - 1))
            number += number >= row
            if pieces.owner[number] != pieces.owner[row]:
                break
        inner = pieces.inner(number)
        starts = tokenizer.sentences.starts(inner)
        start = int(random.choice(starts[starts <= max(0, len(inner) - most)])) if len(starts) else 0
        return number, start, min(len(inner), start + most)

    def joined(self, questions, records, tokenizer):
        batch = super().joined([two.row for two in questions], records, tokenizer)
        first = torch.zeros(len(questions), 1, dtype=torch.int64)
        batch.places = torch.cat([first, batch.places], 1)  # the classifier reads the first token
        batch.segments = padded([two.types for two in questions], 0, batch.tokens.shape[1])[0]
        batch.more = {"next": torch.tensor([two.label for two in questions])}
        return batch

    def both(self, model: Any, batch: Batch) -> tuple[Tensor, Tensor]:
        """The states of the hidden tokens, B M W, and the scores of following and not, B 2."""
        hidden = model.network(batch)
        return hidden[:, 1:], model.head(hidden[:, :1], batch)

    def loss(self, model, batch):
        hidden, scores = self.both(model, batch)
        tokens, known = vocabulary_loss(model, hidden, batch.labels), batch.more["next"] != IGNORED
        if not bool(known.any()):
            return tokens
        return tokens + batch.label_count * F.cross_entropy(scores[known].float(), batch.more["next"][known])

    def guesses(self, model, batch):
        hidden, scores = self.both(model, batch)
        found = guessed_tokens(model, hidden, batch.labels)
        for lists, label, guess in zip(found, batch.more["next"].tolist(), scores.argmax(-1).tolist(), strict=True):
            lists |= {"next_labels": [label], "next_guesses": [guess]} if label != IGNORED else empty()
        return found

    def statistics(self, answers, records):
        """Those of the hidden tokens, and of the second texts: asked, right, right by the commonest: N 7."""
        common = commonest([label for answer in answers for label in answer["next_labels"]])
        rows = [
            (len(labels), sum(map(int.__eq__, labels, answer["next_guesses"])), labels.count(common))
            for answer in answers
            for labels in [answer["next_labels"]]
        ]
        return np.concatenate([super().statistics(answers, records), np.asarray(rows, float).reshape(-1, 3)], 1)

    def scores(self, sums):
        asked = np.maximum(sums[..., 4], 1)
        found = {"next_accuracy": sums[..., 5] / asked, "next_majority": sums[..., 6] / asked}
        return super().scores(sums[..., :4]) | found


def empty() -> dict[str, list[int]]:
    """The lists of a piece that was too short for two."""
    return {"next_labels": [], "next_guesses": []}
