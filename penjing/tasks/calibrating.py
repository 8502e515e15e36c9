"""Texts as batches that a change can look at (`Model.adapt(changes, batches=...)`): what the model is for, without labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from penjing.base.errors import DataError
from penjing.base.texts import Item, check_list, two_texts
from penjing.model.batch import Batch
from penjing.tasks.model import Model, whole
from penjing.tasks.task import padded


def calibration(model: Model, texts: Sequence[Item], rows: int = 16) -> list[Batch]:
    """Batches of texts; of an encoder-decoder of pairs, what it reads and what it writes. Long ones are cut at the end."""
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
