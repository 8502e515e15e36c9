"""Scores of entities from counts: equal to seqeval's to the last digit, and computed for many resamples at once.

Counts of a record: for each of C types entities found rightly, found, and true; then tokens right, and tokens.
Of the scheme `none` each token is an entity of its own, so that F1 is the accuracy and each tag has its own F1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from penjing.text.tagging import Scheme, Span, spans, strict_spans


def entities(tags: Sequence[str], scheme: Scheme, strict: bool) -> list[Span]:
    """The entities that tags spell. strict: only those that keep the rules of the scheme (bio, bioes)."""
    if scheme == "none":
        return [Span(tag, place, place + 1) for place, tag in enumerate(tags)]
    return strict_spans(tags, scheme) if strict and scheme != "iob1" else spans(tags)


def counts(
    true: Sequence[str], given: Sequence[str], types: Sequence[str], scheme: Scheme, strict: bool = True
) -> list[int]:
    """The counts of one record, 3 C + 2. Entities of other types than these are not counted."""
    wanted, found = entities(true, scheme, strict), entities(given, scheme, strict)
    hits = Counter(span.type for span in set(wanted) & set(found))
    gave, there = (Counter(span.type for span in some) for some in (found, wanted))
    columns = [counter[kind] for counter in (hits, gave, there) for kind in types]
    return [*columns, sum(map(str.__eq__, true, given)), len(true)]


def scores(sums: np.ndarray, types: Sequence[str]) -> dict[str, np.ndarray]:
    """Every score (...) from sums of counts (..., 3 C + 2). A type that is neither true nor found is no part of a mean."""
    hits, gave, there = (sums[..., i * len(types) : (i + 1) * len(types)] for i in range(3))
    precision, recall, f1 = rates(hits, gave, there)
    micro = rates(hits.sum(-1), gave.sum(-1), there.sum(-1))
    found = dict(zip(("f1", "precision", "recall"), (micro[2], *micro[:2]), strict=True))  # the main score first
    present = (gave + there) > 0
    found |= {f"macro_{name}": mean(of, present) for name, of in
              (("precision", precision), ("recall", recall), ("f1", f1))}  # fmt: skip
    found["accuracy"] = divided(sums[..., -2], sums[..., -1])
    for number, kind in enumerate(types):
        found |= {f"precision.{kind}": precision[..., number], f"recall.{kind}": recall[..., number],
                  f"f1.{kind}": f1[..., number]}  # fmt: skip
    return found


def rates(hits: np.ndarray, gave: np.ndarray, there: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F1, in seqeval's order of operations; nothing over nothing is 0."""
    precision, recall = divided(hits, gave), divided(hits, there)
    return precision, recall, divided(2 * precision * recall, precision + recall)


def divided(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """Above over below, 0 where below is 0."""
    below = np.asarray(below, dtype=np.float64)
    return np.divide(above, below, out=np.zeros_like(below), where=below > 0)


def mean(values: np.ndarray, present: np.ndarray) -> np.ndarray:
    """The mean of the present values of the last axis, 0 without any."""
    some = present.reshape(-1, present.shape[-1]).any(0)  # others would only change the order of the sum
    values, present = values[..., some], present[..., some]
    return divided(np.where(present, values, 0.0).sum(-1), present.sum(-1))
