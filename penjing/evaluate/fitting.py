"""Fitting the linear models: features once, the strength of regularisation by log loss on texts held out.

Legend: N texts, C labels, V features. Targets are N label numbers, or N C booleans when a text has several labels; or a
teacher's chances, N C floats: a text then stands once for each label that has a chance, with that chance as its weight.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from penjing.base.errors import EvaluateError, known, needs_extra
from penjing.evaluate.linear import KINDS, Kind, LinearModel, Link, beside, linked, weighted
from penjing.evaluate.metrics import SMALLEST, log_loss
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
LEAST = 0.01  # chances below this count as none, those as near to 1 as one


def fit_linear(
    kind: Kind,
    texts: Sequence[str],
    targets: np.ndarray,
    labels: Sequence[str],
    *,
    valid: tuple[Sequence[str], np.ndarray] | None = None,
    strength: float | None = None,
    several: bool | None = None,
    seed: int = 0,
) -> LinearModel:
    """A fitted model. `valid` (texts, targets) chooses the strength; without it, a tenth of the texts does.

    several: whether a teacher's chances are of labels that may stand together, and needed with them; of other targets
    it is plain.
    """
    known(kind, KINDS, "baseline")
    if several is None and targets.dtype.kind == "f":
        raise TypeError("fit_linear: chances say nothing of `several`: give it")
    begin = time.perf_counter(), time.process_time()
    several = targets.ndim == 2 if several is None else several
    if targets.dtype.kind == "f":
        targets = worth(targets, several)
    check(texts, targets, labels, several)
    if kind == "majority":
        model = majority(targets, labels, several)
    else:
        model = Fitting(kind, texts, targets, list(labels), several, valid, strength, seed).model()
    model.facts |= {"texts": len(texts), "seconds": round(time.perf_counter() - begin[0], 3),
                    "cpu_seconds": round(time.process_time() - begin[1], 3)}  # fmt: skip
    return model


def worth(chances: np.ndarray, several: bool) -> np.ndarray:
    """Chances without those that are hardly any; of one label, beside the text's best one, and they add up to 1."""
    if several:
        return np.where(chances < LEAST, 0.0, np.where(chances > 1 - LEAST, 1.0, chances))
    kept = np.where(chances >= LEAST * chances.max(1, keepdims=True), chances, 0.0)
    return kept / kept.sum(1, keepdims=True)


def check(texts: Sequence[str], targets: np.ndarray, labels: Sequence[str], several: bool) -> None:
    """Nothing to learn from: no texts, or one label only."""
    if not len(texts):
        raise EvaluateError("P-EVAL-001")
    if several:
        return
    found = np.unique(targets if targets.ndim == 1 else np.nonzero(targets)[1])
    if len(found) < 2:
        code = "P-EVAL-002" if targets.ndim == 1 else "P-EVAL-051"
        raise EvaluateError(code, label=labels[int(found[0])], records=len(texts))


def majority(targets: np.ndarray, labels: Sequence[str], several: bool) -> LinearModel:
    """Label frequencies with half a text added to each label."""
    number = len(labels)
    if several:
        share = (targets.sum(0) + 0.5) / (len(targets) + 1)
        bias, link = np.log(share) - np.log1p(-share), "independent"
    else:
        count = np.bincount(targets, minlength=number) if targets.ndim == 1 else targets.sum(0)
        bias, link = np.log(count + 0.5), "softmax"
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
        several: bool,
        valid: tuple[Sequence[str], np.ndarray] | None,
        strength: float | None,
        seed: int,
    ):
        self.kind, self.targets, self.labels, self.several, self.seed = kind, targets, labels, several, seed
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
        if self.several:
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
            loss = self.loss(test[0] @ weights + bias, test[1])
            tried[str(strength)] = round(loss, 5)
            if best is not None and loss >= best[0]:
                break
            best = (loss, strength, (weights, bias))
        assert best is not None
        weights, bias = best[2] if train[0] is rows else self.weights(rows, targets, best[1])
        facts = {"alphabet": self.alphabet, "cjk_share": round(self.share, 4), "features": weights.shape[0],
                 "strength": best[1], "loss_by_strength": tried,
                 "chosen_on": "nothing" if test is None else "valid" if self.valid else "a tenth of train"}  # fmt: skip
        return LinearModel(self.kind, self.labels, self.several, self.views, weights.astype(np.float32),
                           bias.astype(np.float64), self.link, self.idf, facts)  # fmt: skip

    def loss(self, scores: np.ndarray, targets: np.ndarray) -> float:
        """The log loss; where a text has a chance of more than one label, its mean over the chances."""
        chances = linked(scores, self.link)
        if self.several or targets.ndim == 1:
            return log_loss(chances, targets)
        return float(-(targets * np.log(np.clip(chances, SMALLEST, 1))).sum(1).mean())

    def held_out(self) -> tuple[tuple[Any, np.ndarray], tuple[Any, np.ndarray]]:
        """A tenth of the training texts apart from the rest; every label keeps its first text in training."""
        order = np.random.default_rng(self.seed).permutation(len(self.targets))
        apart = order[: max(1, round(HELD_OUT * len(order)))]
        if not self.several:
            given = self.targets if self.targets.ndim == 1 else self.targets.argmax(1)
            apart = np.setdiff1d(apart, np.unique(given, return_index=True)[1])
        rest = np.setdiff1d(order, apart)
        if not len(apart):
            apart = rest
        return (self.rows[rest], self.targets[rest]), (self.rows[apart], self.targets[apart])

    def weights(self, rows: Any, targets: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """V K and K for one strength."""
        if self.link == "softmax":
            return self.joint(rows, targets, strength)
        numbers = (1,) if self.link == "two" else range(len(self.labels))
        columns = (targets == c if targets.ndim == 1 else targets[:, c] for c in numbers)
        found = [self.one(rows, column, strength) for column in columns]
        return np.stack([weights for weights, _ in found], 1), np.array([bias for _, bias in found])

    def one(self, rows: Any, positive: np.ndarray, strength: float) -> tuple[np.ndarray, float]:
        """Logistic regression of one label against the rest; the log-count ratios are folded into the weights.

        Where texts stand on both sides, the dual takes longer at high strengths and ends further off, so the primal is solved.
        """
        shares = None
        if positive.dtype.kind == "f":
            rows, positive, shares = spread(rows, np.stack([1 - positive, positive], 1))
        positive = positive.astype(bool)
        if positive.all() or not positive.any():
            return np.zeros(rows.shape[1], np.float32), -ABSENT if positive.all() else ABSENT
        ratio = np.ones(rows.shape[1])
        if self.kind == "nb_ngrams":
            ratio = log_count_ratio(rows, positive, shares)
            rows = rows.copy()
            rows.data *= ratio[rows.indices]
        way = {"dual": True, "tol": 0.1} if shares is None else {"dual": False, "tol": 1e-4}
        options = {"solver": "liblinear", "max_iter": 300, "random_state": self.seed} | way
        weights, bias = regression(rows, positive.astype(int), strength, options, shares)
        return (weights[0] * ratio).astype(np.float32), float(bias[0])

    def joint(self, rows: Any, targets: np.ndarray, strength: float) -> tuple[np.ndarray, np.ndarray]:
        """Multinomial logistic regression over the labels that training texts have."""
        shares = None
        if targets.ndim == 2:
            rows, targets, shares = spread(rows, targets)
        present = np.unique(targets)
        weights = np.zeros((rows.shape[1], len(self.labels)), np.float32)
        bias = np.full(len(self.labels), ABSENT)
        options = {"solver": "lbfgs", "tol": 1e-3, "max_iter": 200}
        found, there = regression(rows, targets, strength, options, shares)
        if len(present) == 2:  # one column of scores stands for two labels
            found, there = np.concatenate([-found / 2, found / 2]), np.concatenate([-there / 2, there / 2])
        weights[:, present], bias[present] = found.T, there
        return weights, bias


def spread(rows: Any, shares: np.ndarray) -> tuple[Any, np.ndarray, np.ndarray]:
    """Each text once for each column of which it has a share (N K): rows, the column of each, its share."""
    row, column = np.nonzero(shares)
    return rows[row], column, shares[row, column]


def log_count_ratio(rows: Any, positive: np.ndarray, shares: np.ndarray | None = None) -> np.ndarray:
    """log (p / |p|) / (q / |q|) with p, q = 1 + in how many texts of each side a feature is (V); a share counts as such."""

    def count(side: np.ndarray) -> np.ndarray:
        texts = rows[side]
        each = None if shares is None else np.repeat(shares[side], np.diff(texts.indptr))
        return 1 + np.bincount(texts.indices, each, rows.shape[1])

    p, q = count(positive), count(~positive)
    return np.log(p / p.sum()) - np.log(q / q.sum())


def regression(
    rows: Any, targets: np.ndarray, strength: float, options: dict[str, Any], shares: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Weights K V and bias K of scikit-learn's logistic regression; reaching the iteration limit is no failure here.

    shares: what each row weighs; left out: all the same.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        needs_extra("sklearn", "evaluate", "fitting a baseline")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = LogisticRegression(C=strength, **options).fit(rows, targets, sample_weight=shares)
    return model.coef_, model.intercept_
