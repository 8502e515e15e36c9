"""Scores of classifiers, from probabilities N C and targets (N label numbers, or N C booleans with several labels).

One label: accuracy, macro-F1, Matthews' correlation, log loss, Brier, ECE. Several labels: subset accuracy, micro-F1,
macro-F1 and the same losses per label. Equal to scikit-learn's with `zero_division=0`. Legend: N texts, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.tasks.counting import f1, macro, matthews

SMALLEST = 1e-12  # probabilities below this count as this in the log loss
THRESHOLD = 0.5


def decisions(probabilities: np.ndarray, several: bool) -> np.ndarray:
    """The label number of each text, or N C booleans."""
    return probabilities >= THRESHOLD if several else probabilities.argmax(1)


def confusion(targets: np.ndarray, given: np.ndarray, number: int) -> np.ndarray:
    """C C counts: row = true label, column = label given."""
    return np.bincount(targets * number + given, minlength=number * number).reshape(number, number)


def label_counts(targets: np.ndarray, given: np.ndarray, number: int) -> np.ndarray:
    """3 C: true positives, times given, times true."""
    if targets.ndim == 2:
        return np.stack([(targets & given).sum(0), given.sum(0), targets.sum(0)])
    table = confusion(targets, given, number)
    return np.stack([np.diag(table), table.sum(0), table.sum(1)])


def per_label(targets: np.ndarray, given: np.ndarray, labels: Sequence[str]) -> list[dict[str, Any]]:
    """Precision, recall, F1 and support of each label."""
    hits, gave, true = label_counts(targets, given, len(labels))
    precision, recall = hits / np.maximum(gave, 1), hits / np.maximum(true, 1)
    return [
        {"label": name, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(n)}
        for name, p, r, f, n in zip(labels, precision, recall, f1(hits, gave, true), true, strict=True)
    ]


def log_loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean negative log probability of the true label; several labels: mean over texts and labels."""
    return float(np.mean(losses(probabilities, targets)))


def losses(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The log loss of each text (N)."""
    kept = np.clip(probabilities, SMALLEST, 1)
    if targets.ndim == 2:
        against = np.log(np.clip(1 - probabilities, SMALLEST, 1))
        return -(targets * np.log(kept) + (1 - targets) * against).mean(1)
    return -np.log(kept[np.arange(len(targets)), targets])


def brier(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean squared distance from the truth, summed over labels (0 best, 2 worst); several labels: mean over labels."""
    if targets.ndim == 2:
        return float(((probabilities - targets) ** 2).mean())
    truth = np.eye(probabilities.shape[1])[targets]
    return float(((probabilities - truth) ** 2).sum(1).mean())


def reliability(probabilities: np.ndarray, targets: np.ndarray, bins: int = 10) -> list[dict[str, float]]:
    """Bins of equal width over the confidence: low, high, number, mean confidence, share right; no empty bins."""
    if targets.ndim == 2:
        sure, right = probabilities.ravel(), targets.ravel().astype(float)
    else:
        sure, right = probabilities.max(1), (probabilities.argmax(1) == targets).astype(float)
    place = np.clip(np.ceil(sure * bins).astype(int) - 1, 0, bins - 1)
    number = np.bincount(place, minlength=bins)
    confidence, hits = np.bincount(place, sure, bins), np.bincount(place, right, bins)
    return [
        {"low": b / bins, "high": (b + 1) / bins, "number": int(number[b]),
         "confidence": float(confidence[b] / number[b]), "right": float(hits[b] / number[b])}
        for b in np.flatnonzero(number).tolist()
    ]  # fmt: skip


def calibration_error(probabilities: np.ndarray, targets: np.ndarray, bins: int = 10) -> float:
    """Expected calibration error: the mean gap between confidence and share right, weighted by the bins' numbers."""
    rows = reliability(probabilities, targets, bins)
    total = sum(row["number"] for row in rows)
    return float(sum(row["number"] * abs(row["confidence"] - row["right"]) for row in rows) / max(total, 1))


def all_scores(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float]:
    """Every number by name. `accuracy` with several labels is subset accuracy: all labels of a text right."""
    several, number = targets.ndim == 2, probabilities.shape[1]
    given = decisions(probabilities, several)
    hits, gave, true = label_counts(targets, given, number)
    right = (given == targets).all(1) if several else given == targets
    found = {"accuracy": float(right.mean()), "macro_f1": float(macro(f1(hits, gave, true), gave, true))}
    if several:
        found["micro_f1"] = float(f1(hits.sum(), gave.sum(), true.sum()))
    else:
        found["mcc"] = float(matthews(hits, gave, true))
    return found | {"log_loss": log_loss(probabilities, targets), "brier": brier(probabilities, targets),
                    "calibration_error": calibration_error(probabilities, targets)}  # fmt: skip
