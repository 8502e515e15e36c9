"""Long texts in blocks of equal size, so that a score of one document has an interval too.

A block is some characters of a text; what a model spends on a character, in bits, is spent in its block. Any two models
that spell the whole text are so compared block by block, however they cut it into tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

BLOCK = 2000  # characters


def code_points(text: str) -> np.ndarray:
    """The characters of a text as numbers; half surrogate pairs, which have no bytes, as a question mark."""
    return np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)


def byte_counts(points: np.ndarray) -> np.ndarray:
    """Bytes of each character in UTF-8."""
    return 1 + sum((points >= border).astype(np.int64) for border in (0x80, 0x800, 0x10000))


def block_sums(places: np.ndarray, values: np.ndarray, characters: int) -> np.ndarray:
    """The sum of the values at some characters in each block of a text."""
    return np.bincount(places // BLOCK, values, max(1, -(-characters // BLOCK))).astype(np.float64)


def spent(text: str, places: np.ndarray, bits: np.ndarray) -> dict[str, Any]:
    """An answer: bits and bytes of each block of a text that was spelled; `bits` are those spent at the characters `places`."""
    points = code_points(text)
    cost = block_sums(places, bits, len(points))
    size = block_sums(np.arange(len(points)), byte_counts(points), len(points))
    total = float(cost.sum() / size.sum()) if len(points) else 0.0
    return {"bits_per_byte": total, "bits": cost.tolist(), "bytes": size.astype(np.int64).tolist(), "spelled": True}


def drawn_blocks(weights: np.ndarray, records: Sequence[int]) -> np.ndarray:
    """How often each block is in each resample, R U: one multinomial draw over the blocks that the records have.

    Blocks are drawn, not records, because a corpus may be one record. The draw follows from `weights` (R N, how often a
    record was drawn) alone, so that all candidates see the same resamples; a single row of ones is the corpus itself.
    records: blocks of each record.
    """
    units = int(np.sum(records))
    if len(weights) == 1 and (weights == 1).all():
        return np.ones((1, units))
    seed = np.frombuffer(np.ascontiguousarray(weights, np.float64).tobytes(), np.uint32).sum(dtype=np.uint64)
    random = np.random.Generator(np.random.PCG64([int(seed), len(weights), units]))
    return random.multinomial(units, np.full(units, 1 / units), size=len(weights)).astype(np.float64)


def of_blocks(answers: Sequence[Mapping[str, Any]], names: Sequence[str]) -> np.ndarray:
    """The numbers of all blocks of all answers, U K."""
    return np.asarray([[number for answer in answers for number in answer[name]] for name in names], np.float64).T
