"""Pairs of texts that have one label, and of texts that do not: what sentence vectors learn labels from.

With few labels there are few records, but many pairs of them (Tunstall et al. 2022, SetFit).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penjing.base.errors import TextError
from penjing.base.texts import two_texts

Labels = frozenset[str]


def label_pairs(records: Sequence[Mapping[str, Any]], times: int, random: np.random.Generator) -> list[dict[str, Any]]:
    """Scored pairs: for each text `times` others of its labels (score 1) and `times` of other labels (0, or with
    several labels the share of those in common). Labels with one text have no pairs of their own."""
    sets = [labels_of(record, number) for number, record in enumerate(records, 1)]
    groups: dict[Labels, list[int]] = {}
    for row, labels in enumerate(sets):
        groups.setdefault(labels, []).append(row)
    found = []
    for row, labels in enumerate(sets):
        own = [other for other in groups[labels] if records[other]["text"] != records[row]["text"]]
        mine = set(groups[labels])
        strange = np.asarray(
            [n for n in range(len(sets)) if n not in mine and records[n]["text"] != records[row]["text"]]
        )
        for others in (np.asarray(own), strange):
            for other in random.choice(others, times) if len(others) else ():
                found.append(pair(records, row, int(other), alike(labels, sets[other])))
    if len({one["score"] for one in found}) < 2:
        raise TextError("P-TEXT-097", count=len(records), labels=len(groups))
    return found


def labels_of(record: Mapping[str, Any], number: int) -> Labels:
    """The labels of a record of one text."""
    place = {"file": getattr(record, "file", None), "line": getattr(record, "line", None) or number}
    value = record.get("labels", record.get("label"))
    if not isinstance(record.get("text"), str) or value is None or two_texts(record)[1] is not None:
        raise TextError("P-TEXT-098", given=sorted(record), **place)
    return frozenset(map(str, value)) if isinstance(value, list | tuple) else frozenset([str(value)])


def alike(one: Labels, other: Labels) -> float:
    """The share of labels in common, 0 to 1."""
    return len(one & other) / len(one | other) if one | other else 1.0


def pair(records: Sequence[Mapping[str, Any]], row: int, other: int, score: float) -> dict[str, Any]:
    """A record of the task `embed`."""
    return {"text": records[row]["text"], "text_b": records[other]["text"], "score": score}
