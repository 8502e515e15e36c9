"""Bits per byte: what a causal model needs to write down a text. Comparable between tokenizers, and with n-gram models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch

from penjing.base.errors import TextError
from penjing.model.batch import Batch
from penjing.tasks.model import Model

ROWS = 16  # windows read at once
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
def bits_per_byte(model: Model, texts: Sequence[str], overlap: float = OVERLAP) -> float:
    """Bits per byte of UTF-8 of some texts.

    A long text is read in windows that overlap, so that each token has at least `overlap` windows of text before it. A
    text's first token has nothing before it and costs as much as a guess among all. Raises P-TEXT-086 for a tokenizer
    whose tokens do not give the text back.
    """
    model.eval()
    bits, size = 0.0, 0
    for text in texts:
        tokens = model.tokenizer.encode(text)
        if model.tokenizer.decode(tokens) != text:
            raise TextError("P-TEXT-086", given=text[:40])
        size += len(text.encode("utf-8"))
        bits += math.log2(model.tokenizer.size) * (len(tokens) > 0)
        rows = list(windows(len(tokens), model.window, overlap))
        for first in range(0, len(rows), ROWS):
            bits += bits_of(model, torch.tensor(tokens), rows[first : first + ROWS])
    return bits / max(1, size)


def bits_of(model: Model, tokens: torch.Tensor, rows: Sequence[tuple[int, int, int]]) -> float:
    """Bits of the tokens that some windows score. Windows of one text are equally long."""
    batch = Batch(torch.stack([tokens[begin:end] for begin, end, _ in rows]))
    hidden = model.network(batch)
    chosen = [(row, at - begin) for row, (begin, end, first) in enumerate(rows) for at in range(first, end)]
    row, at = torch.tensor(chosen).T
    loss = model.network.vocabulary_loss(hidden[row, at - 1], batch.tokens[row, at])
    return float(loss) / math.log(2)
