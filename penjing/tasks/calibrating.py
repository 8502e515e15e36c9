"""Texts as batches that a change can look at (`Model.adapt(changes, batches=...)`): what the model is for, without labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np

from penjing.base.errors import DataError
from penjing.base.texts import Item, check_list, two_texts
from penjing.changes.beside import Texts
from penjing.model.batch import Batch
from penjing.tasks.batches import Batches
from penjing.tasks.model import Model, whole
from penjing.tasks.objective import Objective
from penjing.tasks.task import Record, padded


class Cut(Texts):
    """Texts, or records, as batches of a model: `cut` makes them, anew once the model has another tokenizer."""

    def __init__(self, model: Model, cut: Callable[[Model], list[Batch]], plain: Callable[[Model], list[Batch]]):
        self.model, self.cut, self.plainly = model, cut, plain
        self.made = model.tokenizer, cut(model)

    def of(self, model: Model) -> Cut:
        return self if model is self.model else Cut(model, self.cut, self.plainly)

    def __iter__(self) -> Iterator[Batch]:
        if self.made[0] is not self.model.tokenizer:
            self.made = self.model.tokenizer, self.cut(self.model)
        return iter(self.made[1])

    def plain(self) -> list[Batch]:
        return self.plainly(self.model)


def calibration(model: Model, texts: Sequence[Item], rows: int = 16) -> Cut:
    """Batches of texts; of an encoder-decoder of pairs, what it reads and what it writes. Long ones are cut at the end."""
    cut = partial(batches_of, texts=texts, rows=rows)
    return Cut(model, cut, cut)


def recorded(model: Model, records: Sequence[Record], seed: int, tokens: int = 4096) -> Cut:
    """Batches of records of the model's task, with what is to be learnt of them."""
    model.task.check(records, learn=True)
    return Cut(
        model, partial(learnt, records=records, seed=seed, tokens=tokens), partial(read, records=records, tokens=tokens)
    )


def learnt(model: Model, records: Sequence[Record], seed: int, tokens: int) -> list[Batch]:
    """Records as a task learns from them."""
    pieces, chance = model.task.pieces(model, records, True), np.random.Generator(np.random.PCG64([seed, 12]))
    rows = Batches(pieces.lengths, tokens, seed).epoch(0)
    return [model.task.collate(pieces, one, model.tokenizer, chance) for one in rows]


def read(model: Model, records: Sequence[Record], tokens: int) -> list[Batch]:
    """The same as they are read, where a task hides something of them: raw text is."""
    if not isinstance(model.task, Objective):
        return learnt(model, records, 0, tokens)
    pieces = model.task.pieces(model, records, True)
    rows = Batches(pieces.lengths, tokens, 0).epoch(0)
    return [Batch(*padded([pieces.tokens(int(row)) for row in one], model.tokenizer.pad or 0)) for one in rows]


def batches_of(model: Model, texts: Sequence[Item], rows: int) -> list[Batch]:
    """Batches of texts, for `calibration`."""
    check_list(texts)
    network = model.network
    both = network.encoder is not None and network.decoder is not None
    pairs = [two_texts(text) for text in texts]
    odd = [at for at, pair in enumerate(pairs) if not all(isinstance(one, str) for one in (pair if both else pair[:1]))]
    if odd or not texts:
        raise DataError("P-CHANGE-082", given=texts[odd[0]] if odd else [], line=odd[0] + 1 if odd else None)
    firsts = encoded(model, [first for first, _ in pairs], model.window)
    seconds = (
        [[model.decoder_start, *row] for row in encoded(model, [s for _, s in pairs], model.window - 1)]
        if both
        else None
    )
    found = []
    for some in np.array_split(np.argsort([len(row) for row in firsts], kind="stable"), -(-len(texts) // rows)):
        sides = [
            padded([np.asarray(side[at]) for at in some], model.tokenizer.pad or 0)
            for side in (firsts, seconds)
            if side
        ]
        found.append(Batch(*sides[0], **({"target": sides[1][0], "target_mask": sides[1][1]} if both else {})))
    return found


def encoded(model: Model, texts: Sequence[str], longest: int) -> list[list[int]]:
    """Tokens of texts with the special ones, at least one and at most so many."""
    tokenizer = model.tokenizer
    rows = [tokenizer.build(row) for row in tokenizer.encode_many([whole(text) for text in texts])]
    return [row[:longest] or [tokenizer.pad or 0] for row in rows]
