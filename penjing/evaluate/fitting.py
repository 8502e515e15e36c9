"""Fitting the linear models: features once, the strength of regularisation by log loss on texts held out.

Legend: N texts, C labels, V features. Targets are N label numbers, or N C booleans when a text has several labels.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.base.errors import EvaluateError, known, needs_extra
from penjing.evaluate.linear import KINDS, Kind, LinearModel, Link, beside, linked, weighted
from penjing.evaluate.metrics import log_loss
from penjing.evaluate.ngrams import View, alphabet_of

STRENGTHS = {"tfidf": (3.0, 10.0, 30.0, 100.0, 300.0), "nb_ngrams": (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)}  # C
VIEWS = {  # kind -> alphabet -> (cutter, low, high)
    "tfidf": {
        "words": [("words", 1, 2)],
        "characters": [("characters", 1, 4)],
        "mixed": [("words_and_characters", 1, 2), ("characters", 1, 4)],
    },
    "nb_ngrams": {
        "words": [("words", 1, 3)],
        "characters": [("characters", 1, 4)],
        "mixed": [("words_and_characters", 1, 3), ("characters", 1, 4)],
    },
}
MOST_FEATURES = 2_000_000  # in one view
MOST_WEIGHTS = 40_000_000  # features times labels: 160 MB on disk
HELD_OUT = 0.1  # share of the training texts that choose the strength when there is no valid split
ABSENT = -12.0  # score of a label that no training text has


def fit_linear(
    kind: Kind,
    texts: Sequence[str],
    targets: np.ndarray,
    labels: Sequence[str],
    *,
    valid: tuple[Sequence[str], np.ndarray] | None = None,
    strength: float | None = None,
    seed: int = 0,
) -> LinearModel:
    """A fitted model. `valid` (texts, targets) chooses the strength; without it, a tenth of the texts does."""
    known(kind, KINDS, "baseline")
    several, begin = targets.ndim == 2, (time.perf_counter(), time.process_time())
    check(texts, targets, labels)
    if kind == "majority":
        model = majority(targets, labels, several)
    else:
        model = Fitting(kind, texts, targets, list(labels), valid, strength, seed).model()
    model.facts |= {"texts": len(texts), "seconds": round(time.perf_counter() - begin[0], 3),
                    "cpu_seconds": round(time.process_time() - begin[1], 3)}  # fmt: skip
    return model


def check(texts: Sequence[str], targets: np.ndarray, labels: Sequence[str]) -> None:
    """Nothing to learn from: no texts, or one label only."""
    if not len(texts):
        raise EvaluateError("P-EVAL-001")
    if targets.ndim == 1 and len(np.unique(targets)) < 2:
        raise EvaluateError("P-EVAL-002", label=labels[int(targets[0])], records=len(texts))


def majority(targets: np.ndarray, labels: Sequence[str], several: bool) -> LinearModel:
    """Label frequencies with half a text added to each label."""
    number = len(labels)
    if several:
        share = (targets.sum(0) + 0.5) / (len(targets) + 1)
        bias, link = np.log(share) - np.log1p(-share), "independent"
    else:
        bias, link = np.log(np.bincount(targets, minlength=number) + 0.5), "softmax"
    empty = np.zeros((0, number), np.float32)
    return LinearModel("majority", list(labels), several, [], empty, bias.astype(np.float64), link)


class Fitting:
    """One fit: features X (N V, scipy sparse), then weights for a list of strengths."""

    def __init__(
        self,
        kind: Kind,
        texts: Sequence[str],
        targets: np.ndarray,
        labels: list[str],
        valid: tuple[Sequence[str], np.ndarray] | None,
        strength: float | None,
        seed: int,
    ):
        self.kind, self.targets, self.labels, self.seed = kind, targets, labels, seed
        self.alphabet, self.share = alphabet_of(texts)
        most = max(1000, min(MOST_FEATURES, MOST_WEIGHTS // len(labels)))
        fitted = [
            View.fit(texts, cutter, low, high, least=2 if len(texts) >= 200 else 1, most=most)
            for cutter, low, high in VIEWS[kind][self.alphabet]
        ]
        self.views = [view for view, _ in fitted]
        frequency = np.concatenate([count for _, count in fitted])
        self.idf = None
        if kind == "tfidf":
            self.idf = (np.log((1 + len(texts)) / (1 + frequency)) + 1).astype(np.float32)
        self.rows = self.matrix(texts)
        self.valid = None if valid is None or not len(valid[0]) else (self.matrix(valid[0]), valid[1])
        self.strengths = STRENGTHS[kind] if strength is None else (strength,)

    def matrix(self, texts: Sequence[str]) -> Any:
        """The features of texts as a scipy sparse matrix."""
        try:
            from scipy.sparse import csr_matrix
        except ImportError:
            needs_extra("scipy", "evaluate", "fitting a baseline")
        sizes = [len(view.keys) for view in self.views]
        rows = weighted(beside([view.counts(texts) for view in self.views], sizes), self.idf)
        return csr_matrix((rows.values.astype(np.float64), rows.columns, rows.starts), shape=(len(texts), sum(sizes)))

    @property
    def link(self) -> Link:
        if self.targets.ndim == 2:
            return "independent"
        if len(self.labels) == 2:
            return "two"
        return "softmax" if self.kind == "tfidf" else "normalised"

    def model(self) -> LinearModel:
        """Choose the strength, fit on all training texts."""
        rows, targets, tried = self.rows, self.targets, {}
        train, test = (rows, targets), self.valid
        if test is None and len(self.strengths) > 1:
            train, test = self.held_out()
        best: tuple[float, float, Any] | None = None
        for strength in self.strengths:
            weights, bias = self.weights(*train, strength)
            if test is None:
                best = (0.0, strength, (weights, bias))
                break
            loss = log_loss(linked(test[0] @ weights + bias, self.link), test[1])
            tried[str(strength)] = round(loss, 5)
            if best is not None and loss >= best[0]:
                break
            best = (loss, strength, (weights, bias))
        assert best is not None
        weights, bias = best[2] if train[0] is rows else self.weights(rows, targets, best[1])
        facts = {"alphabet": self.alphabet, "cjk_share": round(self.share, 4), "features": weights.shape[0],
                 "strength": best[1], "loss_by_strength": tried,
                 "chosen_on": "nothing" if test is None else "valid" if self.valid else "a tenth of train"}  # fmt: skip
        return LinearModel(self.kind, self.labels, self.targets.ndim == 2, self.views, weights.astype(np.float32),
                           bias.astype(np.float64), self.link, self.idf, facts)  # fmt: skip

    def held_out(self) -> tuple[tuple[Any, np.ndarray], tuple[Any, np.ndarray]]:
        """A tenth of the training texts apart from the rest; every label keeps its first text in training."""
        order = np.random.default_rng(self.seed).permutation(len(self.targets))
        apart = order[: max(1, round(HELD_OUT * len(order)))]
        if self.targets.ndim == 1:
            apart = np.setdiff1d(apart, np.unique(self.targets, return_index=True)[1])
        rest = np.setdiff1d(order, apart)
        if not len(apart):
            apart = rest
        return (self.rows[rest], self.targets[rest]), (self.rows[apart], self.targets[apart])

    def weights(self, rows: Any, targets: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """V K and K for one strength."""
        if self.link == "softmax":
            return self.joint(rows, targets, strength)
        if self.link == "two":
            columns = [targets == 1]
        else:
            columns = (
                list(targets.T.astype(bool)) if targets.ndim == 2 else [targets == c for c in range(len(self.labels))]
            )
        found = [self.one(rows, column, strength) for column in columns]
        return np.stack([weights for weights, _ in found], 1), np.array([bias for _, bias in found])

    def one(self, rows: Any, positive: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
        """Logistic regression of one label against the rest; the log-count ratios are folded into the weights."""
        if positive.all() or not positive.any():
            return np.zeros(rows.shape[1], np.float32), -ABSENT if positive.all() else ABSENT
        ratio = np.ones(rows.shape[1])
        if self.kind == "nb_ngrams":
            ratio = log_count_ratio(rows, positive)
            rows = rows.copy()
            rows.data *= ratio[rows.indices]
        options = {"solver": "liblinear", "dual": True, "tol": 0.1, "max_iter": 300, "random_state": self.seed}
        weights, bias = regression(rows, positive.astype(int), strength, options)
        return (weights[0] * ratio).astype(np.float32), float(bias[0])

    def joint(self, rows: Any, targets: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """Multinomial logistic regression over the labels that training texts have."""
        present = np.unique(targets)
        weights = np.zeros((rows.shape[1], len(self.labels)), np.float32)
        bias = np.full(len(self.labels), ABSENT)
        found, there = regression(rows, targets, strength, {"solver": "lbfgs", "tol": 1e-3, "max_iter": 200})
        if len(present) == 2:  # one column of scores stands for two labels
            found, there = np.concatenate([-found / 2, found / 2]), np.concatenate([-there / 2, there / 2])
        weights[:, present], bias[present] = found.T, there
        return weights, bias


def log_count_ratio(rows: Any, positive: np.ndarray) -> np.ndarray:
    """log (p / |p|) / (q / |q|) with p, q = 1 + in how many texts of each side a feature is (V)."""
    p = 1 + np.bincount(rows[positive].indices, minlength=rows.shape[1])
    q = 1 + np.bincount(rows[~positive].indices, minlength=rows.shape[1])
    return np.log(p / p.sum()) - np.log(q / q.sum())


def regression(
    rows: Any, targets: np.ndarray, strength: float, options: dict[str, Any]
) -> tuple[np.ndarray, np.ndarray]:
    """Weights K V and bias K of scikit-learn's logistic regression; reaching the iteration limit is no failure here."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        needs_extra("sklearn", "evaluate", "fitting a baseline")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=strength, **options).fit(rows, targets)
    return model.coef_, model.intercept_
