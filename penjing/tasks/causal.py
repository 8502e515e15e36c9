"""Causal language modelling: guess the next token from those before it (Radford et al. 2018).

It is measured in bits per byte: what it needs to write down a text, whatever its tokens. Only an objective that guesses
every token from those before it spells a text; the guesses of masked ones add up to no such number.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from penjing.base.errors import TextError
from penjing.model.batch import Batch
from penjing.tasks import task
from penjing.tasks.bits import token_bits
from penjing.tasks.blocks import drawn_blocks, of_blocks, spent
from penjing.tasks.task import IGNORED, Vocabulary, labels_loss, padded, place_of, states_for


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(Vocabulary, task.Task):
    """Causal language modelling has no options: the text is its own label."""

    name: ClassVar[str] = "causal"
    purpose: ClassVar[str] = "causal"
    main_score: ClassVar[str] = "bits_per_byte"
    lower: ClassVar[tuple[str, ...]] = ("bits_per_byte",)
    scale: ClassVar[float] = 1.0
    baselines: ClassVar[tuple[str, ...]] = ("ngram_lm",)

    def collate(self, pieces, rows, tokenizer, random):
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        labels = tokens[:, 1:].clone()
        if mask is not None:
            labels[~mask[:, 1:]] = IGNORED
        return Batch(tokens=tokens, mask=mask, labels=labels, records=pieces.records(rows))

    def says(self, model, batch):
        return states_for(model.network(batch)[:, :-1], batch)

    def loss_of(self, model, said, batch):
        return labels_loss(model, said, batch)

    def answer(self, model, records, batch_tokens=4096):
        """For each text its bits per byte, and bits and bytes of each block of it; `spelled`: do its tokens give it back?"""
        from penjing.tasks.model import whole

        found = []
        for record in records:
            text = whole(record["text"])
            one = model.tokenizer.inner.encode(text, add_special_tokens=False)
            places = np.minimum([first for first, _ in one.offsets], max(0, len(text) - 1)).astype(np.int64)
            bits = token_bits(model, one.ids, batch_tokens=batch_tokens)
            spelled = model.tokenizer.decode(one.ids) == text
            found.append(spent(text, places, bits) | {"spelled": spelled})
        return found

    def statistics(self, answers, records):
        """Bits and bytes, N 2. Raises P-TEXT-086 where tokens do not give a text back: it was not spelled."""
        for number, answer in enumerate(answers):
            if not answer["spelled"]:
                place = place_of(records[number], number)
                raise TextError("P-TEXT-086", given=str(records[number].get("text", ""))[:40], **place)
        return np.asarray([[sum(answer["bits"]), sum(answer["bytes"])] for answer in answers], float).reshape(-1, 2)

    def scores(self, sums):
        return {"bits_per_byte": sums[..., 0] / np.maximum(sums[..., 1], 1)}

    def resampled(self, answers, records, weights):
        """Blocks are drawn, not records: a corpus may be one long record."""
        self.statistics(answers, records)
        drawn = drawn_blocks(weights, [len(answer["bits"]) for answer in answers])
        return self.scores(drawn @ of_blocks(answers, ("bits", "bytes")))

    def telling(self, answers, others, records):
        """Two blocks tell as much as their many characters; one block alone has no interval."""
        blocks = sum(len(answer["bits"]) for answer in answers)
        return blocks if blocks < 2 else sum(sum(answer["bytes"]) for answer in answers)

    def lines(self, record, answer):
        yield [(str(record.get("text", "")), "")]
        yield [("  ", ""), (f"{answer['bits_per_byte']:.3f}", "number"), (" bits per byte", "dim")]
