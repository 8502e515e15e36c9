"""What a causal network spends on each token of a text, in bits, read in windows that overlap."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from penjing.model.batch import Batch

if TYPE_CHECKING:
    from penjing.tasks.model import Model

BATCH = 4096  # tokens read at once
OVERLAP = 0.5  # of a window: what a token has at least before it


def windows(tokens: int, size: int, overlap: float = OVERLAP) -> Iterator[tuple[int, int, int]]:
    """Begin and end of each window, and the first token it scores: every token but the text's first is scored once."""
    stride, scored = max(1, min(size - 1, round(size * (1 - overlap)))), 1
    for end in range(min(size, tokens), tokens + stride, stride):
        end = min(end, tokens)
        if scored < end:
            yield max(0, end - size), end, scored
        scored = max(scored, end)


@torch.inference_mode()
def token_bits(model: Model, tokens: Sequence[int], overlap: float = OVERLAP, batch_tokens: int = BATCH) -> np.ndarray:
    """The bits of each token of a text, T float64.

    Each token has at least `overlap` windows of text before it. The first has nothing before it and costs as much as a
    guess among all.
    """
    model.eval()
    ids, found = torch.tensor(tokens, dtype=torch.int64), np.zeros(len(tokens))
    found[:1] = math.log2(model.tokenizer.size)
    rows = list(windows(len(tokens), model.window, overlap))
    step = max(1, batch_tokens // min(model.window, max(1, len(tokens))))
    for first in range(0, len(rows), step):
        some = rows[first : first + step]
        batch = Batch(torch.stack([ids[begin:end] for begin, end, _ in some]))  # windows of a text are equally long
        hidden = model.network(batch)
        for row, (begin, end, at) in enumerate(some):
            scores = model.network.logits(hidden[row, at - 1 - begin : end - 1 - begin]).float()
            loss = torch.nn.functional.cross_entropy(scores, ids[at:end], reduction="none")
            found[at:end] = loss.double().numpy() / math.log(2)
    return found
