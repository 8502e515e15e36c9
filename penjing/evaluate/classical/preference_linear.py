"""Which answer is the better one, by its words and its length: the classical model that preference must beat.

Logistic regression on the TF-IDF of the answer (1-2 grams of words, 1-4 of Chinese characters) and the logarithm of its
length; of pairs on the difference of both, which is the Bradley-Terry model. It does not read the question. The strength is
chosen by the log loss on valid, or without one on a tenth of train. Legend: N records, V features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.files import read_json, whole_folder, write_json
from penjing.evaluate.classical import saved_task
from penjing.evaluate.classical.ridge import beside
from penjing.evaluate.fitting import Fitting, regression
from penjing.evaluate.linear import LinearModel
from penjing.tasks.task import Task
from penjing.text.dialogues import words_of
from penjing.text.preferences import SIDES, answers_of, is_pair

Records = Sequence[Mapping[str, Any]]
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)  # C
HELD_OUT = 10  # one of so many training records chooses the strength where there is no valid split


class Baseline:
    """A linear model of one column, and the weight of the length."""

    def __init__(self, task: Task, linear: LinearModel, length: float, facts: dict[str, Any]):
        self.task, self.linear, self.length, self.facts = task, linear, length, facts

    @classmethod
    def fit(cls, task: Task, train: Records, valid: Records, seed: int = 0) -> Baseline:
        """Fit on all of train, with the strength that held-out records choose."""
        texts = [text for record in train for text in texts_of(record)]
        fitting = Fitting("tfidf", texts, np.zeros(len(texts)), ["value"], False, None, None, seed)
        rows, targets = learnt(fitting, train)
        order = np.random.default_rng(seed).permutation(len(train))
        held = order[: max(1, len(order) // HELD_OUT)]
        rest = np.setdiff1d(order, held) if len(order) > 1 else held
        test = learnt(fitting, valid) if valid else (rows[held], targets[held])
        losses = {
            strength: loss(*fitted(*((rows, targets) if valid else (rows[rest], targets[rest])), strength, seed), *test)
            for strength in STRENGTHS
        }
        strength = min(losses, key=losses.__getitem__)
        weights, bias = fitted(rows, targets, strength, seed)
        linear = LinearModel("tfidf", ["value"], False, fitting.views, weights[:-1, None].astype(np.float32),
                             np.asarray([bias]), "independent", fitting.idf)  # fmt: skip
        facts = {"features": len(weights) - 1, "strength": strength, "loss_by_strength": losses,
                 "length": float(weights[-1]), "chosen_on": "valid" if valid else "a tenth of train"}  # fmt: skip
        return cls(task, linear, float(weights[-1]), facts)

    def answer(self, records: Records) -> list[dict[str, Any]]:
        """What each answer is worth, and of two the better one."""
        found = []
        for record in map(self.task.normal, records):
            texts = texts_of(record)
            values = self.linear.scores(texts)[:, 0] + self.length * lengths(texts)
            scores = dict(zip(SIDES if is_pair(record) else ("completion",), values.tolist(), strict=True))
            better = {"preferred": max(scores, key=scores.__getitem__)} if len(scores) == 2 else {}
            found.append(better | {"scores": scores})
        return found

    def save(self, folder: str | Path) -> None:
        """penjing.json, and the linear model in a folder of its own."""
        with whole_folder(folder) as part:
            self.linear.save(part / "linear")
            about = {
                "kind": "preference_linear",
                "task": self.task.record(),
                "length": self.length,
                "facts": self.facts,
            }
            write_json(part / "penjing.json", about)

    @classmethod
    def load(cls, folder: str | Path) -> Baseline:
        """What `save` wrote; it answers the same to the last bit."""
        about = read_json(Path(folder) / "penjing.json", dict)
        linear = LinearModel.load(Path(folder) / "linear")
        return cls(saved_task(about), linear, float(about["length"]), about["facts"])


def texts_of(record: Mapping[str, Any]) -> list[str]:
    """The words of each answer of a record in the one form."""
    return ["\n".join(words_of(answer)) for answer in answers_of(record)]


def lengths(texts: Sequence[str]) -> np.ndarray:
    """The logarithm of how many characters each has."""
    return np.log1p([len(text) for text in texts])


def learnt(fitting: Fitting, records: Records) -> tuple[Any, np.ndarray]:
    """Features N V+1 and targets N: of a pair the difference, in turn the one way round (1) and the other (0)."""
    answers = [texts_of(record) for record in records]
    first, *others = ([several[n] for several in answers] for n in range(len(answers[0])))
    rows = beside(fitting.matrix(first), lengths(first))
    if not others:
        return rows, np.asarray([record["label"] for record in records], int)
    rows = rows - beside(fitting.matrix(others[0]), lengths(others[0]))
    targets = np.arange(len(records)) % 2
    return rows.multiply((2 * targets - 1)[:, None]).tocsr(), targets


def fitted(rows: Any, targets: np.ndarray, strength: float, seed: int) -> tuple[np.ndarray, float]:
    """Weights V+1 and bias; of one kind of target alone nothing is learnt."""
    if len(np.unique(targets)) < 2:
        return np.zeros(rows.shape[1]), 0.0
    options = {"solver": "liblinear", "tol": 1e-3, "max_iter": 300, "random_state": seed}
    weights, bias = regression(rows, targets, strength, options)
    return weights[0], float(bias[0])


def loss(weights: np.ndarray, bias: float, rows: Any, targets: np.ndarray) -> float:
    """The mean log loss."""
    scores = (rows @ weights + bias) * (2 * targets - 1)
    return float(np.logaddexp(0, -scores).mean())
