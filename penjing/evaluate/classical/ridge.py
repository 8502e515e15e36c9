"""Ridge regression on TF-IDF: the classical model that a regression must beat.

The features are those of the classifiers' TF-IDF (1-2 grams of words, 1-4 of Chinese characters). Of a pair of texts the
n-grams of both count, and beside them the cosine of the two texts, since what a pair is asked for is mostly how alike
they are. The strength is chosen by the squared error on valid, or without one on a tenth of train. Legend: N texts, V
features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import EvaluateError, needs_extra
from penjing.base.files import read_json, whole_folder, write_json
from penjing.base.texts import two_texts
from penjing.evaluate.classical import saved_task
from penjing.evaluate.fitting import Fitting
from penjing.evaluate.linear import LinearModel, text_of
from penjing.tasks.task import Task

Records = Sequence[Mapping[str, Any]]
STRENGTHS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # alpha
HELD_OUT = 10  # one of so many training records chooses the strength where there is no valid split


class Baseline:
    """A linear model of one column, and the weight of the cosine of a pair."""

    def __init__(self, task: Task, linear: LinearModel, alike: float, facts: dict[str, Any]):
        self.task, self.linear, self.alike, self.facts = task, linear, alike, facts

    @classmethod
    def fit(cls, task: Task, train: Records, valid: Records, seed: int = 0) -> Baseline:
        """Fit on all of train, with the strength that held-out records choose."""
        targets = task.targets(train).astype(np.float64)  # type: ignore[union-attr]
        fitting = Fitting("tfidf", [text_of(record) for record in train], targets, ["value"], False, None, None, seed)
        linear = LinearModel("tfidf", ["value"], False, fitting.views, np.zeros((0, 1), np.float32), np.zeros(1),
                             "independent", fitting.idf)  # fmt: skip
        rows = beside(fitting.rows, cosines(linear, train))
        order = np.random.default_rng(seed).permutation(len(train))
        held = order[: max(1, len(order) // HELD_OUT)]
        rest = np.setdiff1d(order, held) if len(order) > 1 else held
        if valid:
            texts = fitting.matrix([text_of(record) for record in valid])
            test = beside(texts, cosines(linear, valid)), task.targets(valid)
            learnt = rows, targets
        else:
            test, learnt = (rows[held], targets[held]), (rows[rest], targets[rest])
        errors = {strength: error(*ridge(*learnt, strength, seed), *test) for strength in STRENGTHS}
        strength = min(errors, key=errors.__getitem__)
        weights, bias = ridge(rows, targets, strength, seed)
        linear.weights, linear.bias = weights[:-1, None].astype(np.float32), np.asarray([bias])
        facts = {"features": len(weights) - 1, "strength": strength, "error_by_strength": errors,
                 "chosen_on": "valid" if valid else "a tenth of train"}  # fmt: skip
        return cls(task, linear, float(weights[-1]), facts)

    def answer(self, records: Records) -> list[dict[str, Any]]:
        """A number for each record."""
        found = self.linear.scores(records)[:, 0] + self.alike * cosines(self.linear, records)
        return [{"value": float(value)} for value in found]

    def save(self, folder: str | Path) -> None:
        """penjing.json, and the linear model in a folder of its own."""
        with whole_folder(folder) as part:
            self.linear.save(part / "linear")
            about = {"kind": "ridge", "task": self.task.record(), "alike": self.alike, "facts": self.facts}
            write_json(part / "penjing.json", about)

    @classmethod
    def load(cls, folder: str | Path) -> Baseline:
        """What `save` wrote; it answers the same to the last bit."""
        about = read_json(Path(folder) / "penjing.json", dict)
        linear = LinearModel.load(Path(folder) / "linear")
        if not isinstance(about["alike"], float):
            raise EvaluateError("P-EVAL-003", file=Path(folder) / "penjing.json", reason=f"alike {about['alike']!r}")
        return cls(saved_task(about), linear, about["alike"], about["facts"])


def cosines(linear: LinearModel, records: Records) -> np.ndarray:
    """N: the cosine of the two texts of each record, 0 where there is one text."""
    found = np.zeros(len(records))
    both = [(row, two_texts(record)) for row, record in enumerate(records) if two_texts(record)[1]]
    if not both:
        return found
    one, other = (linear.features([two[side] for _, two in both]) for side in (0, 1))
    for place, (row, _) in enumerate(both):
        (first, weights), (second, more) = (
            (part.columns[part.starts[place] : part.starts[place + 1]],
             part.values[part.starts[place] : part.starts[place + 1]].astype(np.float64)) for part in (one, other)
        )  # fmt: skip
        _, here, there = np.intersect1d(first, second, assume_unique=True, return_indices=True)
        found[row] = weights[here] @ more[there]
    return found


def beside(rows: Any, column: np.ndarray) -> Any:
    """A sparse matrix N V with one column more."""
    from scipy.sparse import csr_matrix, hstack

    return hstack([rows, csr_matrix(column[:, None])]).tocsr()


def ridge(rows: Any, targets: np.ndarray, strength: float, seed: int) -> tuple[np.ndarray, float]:
    """Weights V and bias."""
    try:
        from sklearn.linear_model import Ridge
    except ImportError:
        needs_extra("sklearn", "evaluate", "fitting a baseline")
    model = Ridge(alpha=strength, solver="sparse_cg", tol=1e-5, random_state=seed).fit(rows, targets)
    return np.asarray(model.coef_, np.float64).ravel(), float(model.intercept_)


def error(weights: np.ndarray, bias: float, rows: Any, targets: np.ndarray) -> float:
    """The mean squared error."""
    return float(np.square(rows @ weights + bias - targets).mean())
