"""Denoising: an encoder reads a damaged text, and a decoder writes what was lost (T5), or the whole text (BART).

t5     arXiv:1910.10683: spans of noise become sentinels <extra_id_0>, <extra_id_1> …; written are the spans, each
       behind its sentinel. Texts are cut as long as their damaged form fills the window.
bart   arXiv:1910.13461: sentences in another order, a text that begins elsewhere, tokens gone, spans (Poisson) that
       became one mask each, tokens that became masks; in this order. Written is the text as it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import PenjingError, TaskError, TrainError
from penjing.model.batch import Batch
from penjing.tasks.objective import Objective, guessed_tokens
from penjing.tasks.seq2seq import delayed, ended
from penjing.tasks.spans import (
    corrupted_length,
    infilled,
    longest_text,
    named_spans,
    noise_of,
    replaced_spans,
    span_starts,
)
from penjing.tasks.task import IGNORED, Vocabulary, labels_loss, padded, states_for

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer

Share = Annotated[float | None, Field(ge=0, le=1)]
BART = ("mask", "delete", "infill", "permute", "rotate")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(Vocabulary, Objective):
    """Options of denoising."""

    style: Annotated[Literal["t5", "bart"], Field(description="what is damaged, and what is written")] = "t5"
    rate: Annotated[
        float | None, Field(gt=0, lt=1, description="t5: share of the tokens that is noise; left out: 0.15")
    ] = None
    span: Annotated[float, Field(ge=1, description="mean length of a span of noise")] = 3.0
    mask: Annotated[
        float | None, Field(ge=0, le=1, description="bart: share of the tokens that become a mask each")
    ] = None
    delete: Annotated[float | None, Field(ge=0, lt=1, description="bart: share of the tokens that go")] = None
    infill: Annotated[
        float | None,
        Field(ge=0, le=1, description="bart: share of the tokens in spans that become one mask; alone: 0.3"),
    ] = None
    permute: Annotated[
        float | None,
        Field(ge=0, le=1, description="bart: share of the texts with sentences in another order; alone: 1"),
    ] = None
    rotate: Annotated[
        float | None, Field(ge=0, le=1, description="bart: share of the texts that begin at another token")
    ] = None

    name: ClassVar[str] = "denoise"
    purpose: ClassVar[str] = "seq2seq"
    baselines: ClassVar[tuple[str, ...]] = ("ngram_tokens",)

    @property
    def damage(self) -> dict[str, float]:
        """BART's kinds of damage; as published where none is named."""
        said = {name: getattr(self, name) for name in BART if getattr(self, name) is not None}
        return {name: 0.0 for name in BART} | (said or {"infill": 0.3, "permute": 1.0})

    def problems(self) -> list[PenjingError]:
        """Options of the other style have no effect, and undamaged text teaches copying."""
        other = BART if self.style == "t5" else ("rate",)
        style = "bart" if self.style == "t5" else "t5"
        given = [name for name in other if getattr(self, name) is not None]
        found = [TrainError("P-TRAIN-007", option=name, needs=f"style: {style}") for name in given]
        if self.style == "bart" and not any(self.damage.values()):
            found.append(TaskError("P-TASK-102"))
        return found

    def suits(self, tokenizer: Tokenizer) -> None:
        """T5's noise needs sentinels, BART's a mask."""
        masks = self.damage["mask"] or self.damage["infill"]
        if self.style == "bart" and masks and tokenizer.mask is None:
            raise TaskError("P-TASK-001", task=self.name)
        if self.style == "t5":
            self.sentinels(tokenizer, 1)

    def sentinels(self, tokenizer: Tokenizer, number: int) -> np.ndarray:
        """The first sentinels of a tokenizer. Raises P-TASK-101 where it has fewer."""
        found = [tokenizer.inner.token_to_id(f"<extra_id_{i}>") for i in range(number)]
        if None in found:
            raise TaskError("P-TASK-101", needed=number, given=found.index(None))
        return np.asarray(found, np.int64)

    def raw_pieces(self, documents, tokenizer, window, moving=None):
        if self.style == "bart":
            return super().raw_pieces(documents, tokenizer, window, moving)
        special = len(tokenizer.prefix) + len(tokenizer.suffix)
        longest = longest_text(max(1, window - special), self.share, self.span)
        self.sentinels(tokenizer, int(noise_of(np.asarray(longest), self.share, self.span)[1]))
        pieces = super().raw_pieces(documents, tokenizer, longest + special, moving)
        pieces.lengths = corrupted_length(pieces.lengths - special, self.share, self.span) + special
        return pieces

    @property
    def share(self) -> float:
        """The rate of T5's noise."""
        return 0.15 if self.rate is None else self.rate

    def question(self, pieces, row, tokenizer, random):
        """What the encoder reads, and what is written."""
        tokens = pieces.inner(row).astype(np.int64)
        if self.style == "t5":
            starts, ends = span_starts(len(tokens), self.share, self.span, random)
            signs = self.sentinels(tokenizer, len(starts))
            source, target = (make(tokens, starts, ends, signs) for make in (replaced_spans, named_spans))
        else:
            source, target = self.damaged(tokens, tokenizer, random), tokens
        return np.asarray(tokenizer.build(source) or [tokenizer.pad], np.int64), ended(target, tokenizer)

    def written(self, tokens: np.ndarray, random: np.random.Generator) -> np.ndarray:
        """The places of a row's tokens that the decoder writes, with the chance of its `question`."""
        if self.style == "bart":
            return np.arange(len(tokens))
        ends = zip(*span_starts(len(tokens), self.share, self.span, random), strict=True)
        return np.concatenate([np.zeros(0, np.int64), *(np.arange(start, end) for start, end in ends)])

    def damaged(self, tokens: np.ndarray, tokenizer: Tokenizer, random: np.random.Generator) -> np.ndarray:
        """A text with BART's noise."""
        share = self.damage
        if random.random() < share["permute"]:
            sentences = tokenizer.sentences.of(tokens)
            tokens = np.concatenate([sentences[i] for i in random.permutation(len(sentences))])
        if random.random() < share["rotate"] and len(tokens):
            tokens = np.roll(tokens, -int(random.integers(len(tokens))))
        if share["delete"] and len(tokens) > 1:
            gone = random.permutation(len(tokens))[: min(len(tokens) - 1, max(1, round(share["delete"] * len(tokens))))]
            tokens = np.delete(tokens, gone)
        if share["infill"]:
            starts, ends = infilled(len(tokens), share["infill"], self.span, random)
            tokens = replaced_spans(tokens, starts, ends, np.full(len(starts), tokenizer.mask))
        if share["mask"]:
            tokens = tokens.copy()
            tokens[random.permutation(len(tokens))[: round(share["mask"] * len(tokens))]] = tokenizer.mask
        return tokens

    def joined(self, questions, records, tokenizer):
        tokens, mask = padded([source for source, _ in questions], tokenizer.pad)
        target, target_mask = padded([target for _, target in questions], tokenizer.pad)
        labels = target.clone()
        if target_mask is not None:
            labels[~target_mask] = IGNORED
        return Batch(tokens, mask, target=target, target_mask=target_mask, labels=labels, records=records)

    def says(self, model, batch):
        return states_for(self.states(model, batch), batch)

    def loss_of(self, model, said, batch):
        return labels_loss(model, said, batch)

    def guesses(self, model, batch):
        """Sentinels and ends are no guesses: which comes next is known."""
        return guessed_tokens(model, self.states(model, batch), batch.labels, model.tokenizer.special)

    @staticmethod
    def states(model, batch):
        """The decoder's states: each has read what was written before its label."""
        return model.network(delayed(batch, model.network.config.decoder_start))
