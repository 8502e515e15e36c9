"""The true labels of records as numbers. Legend: N records, C labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from penjing.base.errors import EvaluateError, PenjingError, raise_all


def has_several(records: Iterable[Mapping[str, Any]]) -> bool:
    """Whether the records carry a field `labels` (a list) and not `label`."""
    return any("labels" in record for record in records)


def labels_of(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """All labels that occur, sorted."""
    found: set[str] = set()
    for record in records:
        found.update(map(str, record["labels"]) if "labels" in record else [str(record["label"])])
    return sorted(found)


def targets_of(records: Sequence[Mapping[str, Any]], labels: Sequence[str], several: bool) -> np.ndarray:
    """N label numbers, or N C booleans; all records without a text or with an unknown label are told at once."""
    numbers, problems = {label: i for i, label in enumerate(labels)}, list[PenjingError]()
    found = np.zeros((len(records), len(labels)), bool) if several else np.zeros(len(records), np.int64)
    for i, record in enumerate(records):
        field = "labels" if several else "label"
        place = {"file": getattr(record, "file", None), "line": getattr(record, "line", None) or i + 1}
        if absent := [name for name in ("text", field) if record.get(name) is None]:
            problems.append(EvaluateError("P-EVAL-004", field=absent[0], known=record, **place))
            continue
        for label in record["labels"] if several else [record["label"]]:
            if str(label) not in numbers:
                problems.append(EvaluateError("P-EVAL-005", field=field, given=str(label), known=labels, **place))
            elif several:
                found[i, numbers[str(label)]] = True
            else:
                found[i] = numbers[str(label)]
    raise_all(problems)
    return found
