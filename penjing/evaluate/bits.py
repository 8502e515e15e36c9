"""Bits per byte: what a causal model needs to write down a text. Comparable between tokenizers, and with n-gram models."""

from __future__ import annotations

from collections.abc import Sequence

from penjing.base.errors import TextError
from penjing.tasks.bits import OVERLAP, token_bits
from penjing.tasks.model import Model


def bits_per_byte(model: Model, texts: Sequence[str], overlap: float = OVERLAP) -> float:
    """Bits per byte of UTF-8 of some texts, read in windows that overlap.

    Raises P-TEXT-086 for a tokenizer whose tokens do not give the text back.
    """
    bits, size = 0.0, 0
    for text in texts:
        tokens = model.tokenizer.encode(text)
        if model.tokenizer.decode(tokens) != text:
            raise TextError("P-TEXT-086", given=text[:40])
        size += len(text.encode("utf-8"))
        bits += float(token_bits(model, tokens, overlap).sum())
    return bits / max(1, size)
