"""chrF (Popović 2015) as sacrebleu computes it: F2 of runs of one to six characters, spaces left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

ORDER, FACTOR = 6, 4  # recall counts twice as much: F2
COUNTS = 3 * ORDER  # for each length: runs written, runs of the reference, runs of both


def signature(references: int) -> str:
    """What makes the score comparable, as sacrebleu writes it."""
    from sacrebleu import __version__

    return f"nrefs:{references or 'var'}|case:mixed|eff:yes|nc:{ORDER}|nw:0|space:no|version:{__version__}"


def runs(text: str) -> list[Counter[str]]:
    """All runs of characters by length, and how often each comes."""
    text = "".join(text.split())
    return [Counter(text[i : i + n] for i in range(len(text) - n + 1)) for n in range(1, ORDER + 1)]


def shared(written: Sequence[Counter[str]], wanted: Sequence[Counter[str]]) -> list[int]:
    """The counts of a text and one reference."""
    found = []
    for mine, theirs in zip(written, wanted, strict=True):
        both = sum(min(count, theirs[run]) for run, count in mine.items() if run in theirs)
        found += [mine.total() if theirs else 0, theirs.total(), both]
    return found


def counts(text: str, references: Sequence[str]) -> list[int]:
    """The counts of one text, with the reference that it is nearest to."""
    written = runs(text)
    each = [shared(written, runs(reference)) for reference in references]
    if len(each) == 1:
        return each[0]
    return each[int(np.argmax(score(np.asarray(each, dtype=float))))]


def score(sums: np.ndarray) -> np.ndarray:
    """chrF (0 to 100) of sums of counts (..., COUNTS): the mean precision and recall of the lengths that occur."""
    table = sums.reshape(*sums.shape[:-1], ORDER, 3)
    written, wanted, both = table[..., 0], table[..., 1], table[..., 2]
    there = (written > 0) & (wanted > 0)
    precisions = np.where(there, both / np.maximum(written, 1), 0.0)
    recalls = np.where(there, both / np.maximum(wanted, 1), 0.0)
    orders = np.maximum(there.sum(-1), 1)
    precision, recall = (in_order(part) / orders for part in (precisions, recalls))
    some = precision + recall > 0
    below = np.where(some, FACTOR * precision + recall, 1.0)
    return np.where(some, 100 * ((1 + FACTOR) * precision * recall / below), 0.0)


def in_order(values: np.ndarray) -> np.ndarray:
    """The sum over the last axis, from left to right: numpy's own order may differ in the last digit."""
    total = np.zeros(values.shape[:-1])
    for place in range(values.shape[-1]):
        total = total + values[..., place]
    return total
