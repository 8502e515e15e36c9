"""Every number equals scikit-learn's."""

import warnings

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn import metrics as theirs

from penjing.evaluate import metrics
from penjing.evaluate.intervals import interval, resampled


def invented(seed, number, labels, several):
    random = np.random.default_rng(seed)
    if several:
        return random.random((number, labels)), random.random((number, labels)) < 0.4
    return random.dirichlet(np.ones(labels), number), random.integers(0, labels, number)


@given(st.integers(0, 10**6), st.integers(2, 30), st.integers(2, 6), st.booleans())
@example(31629, 2, 2, True)
@settings(max_examples=60, deadline=None)
def test_scores_equal_scikit_learn(seed, number, labels, several):
    chances, targets = invented(seed, number, labels, several)
    ours, given_labels = metrics.all_scores(chances, targets), metrics.decisions(chances, several)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert np.isclose(ours["accuracy"], theirs.accuracy_score(targets, given_labels))
        there = np.flatnonzero(targets.any(0) | given_labels.any(0)) if several else None
        expected = 0.0  # scikit-learn's mean over no label at all is not a number; ours is zero_division's 0
        if there is None or len(there):
            expected = theirs.f1_score(targets, given_labels, average="macro", labels=there, zero_division=0)
        assert np.isclose(ours["macro_f1"], expected)
        names = [f"label {c}" for c in range(labels)]
        precision, recall, f1, support = theirs.precision_recall_fscore_support(
            targets, given_labels, labels=range(labels), zero_division=0
        )
        rows = metrics.per_label(targets, given_labels, names)
        assert np.allclose([[r["precision"], r["recall"], r["f1"], r["support"]] for r in rows],
                           np.stack([precision, recall, f1, support], 1))  # fmt: skip
        if several:
            assert np.isclose(
                ours["micro_f1"], theirs.f1_score(targets, given_labels, average="micro", zero_division=0)
            )
            assert np.isclose(ours["log_loss"], np.mean([theirs.log_loss(targets[:, c], chances[:, c], labels=[0, 1])
                                                         for c in range(labels)]))  # fmt: skip
            return
        assert np.isclose(ours["mcc"], theirs.matthews_corrcoef(targets, given_labels))
        assert (metrics.confusion(targets, given_labels, labels)
                == theirs.confusion_matrix(targets, given_labels, labels=range(labels))).all()  # fmt: skip
        assert np.isclose(ours["log_loss"], theirs.log_loss(targets, chances, labels=range(labels)))
        if labels > 2:
            brier = theirs.brier_score_loss(targets, chances, labels=range(labels), scale_by_half=False)
            assert np.isclose(ours["brier"], brier)


def test_calibration():
    sure = np.array([[0.95, 0.05]] * 100)
    assert np.isclose(metrics.calibration_error(sure, np.zeros(100, int)), 0.05)
    assert np.isclose(metrics.calibration_error(sure, np.ones(100, int)), 0.95)
    (bin_,) = metrics.reliability(sure, np.zeros(100, int))
    assert bin_["number"] == 100 and bin_["low"] == 0.9 and bin_["right"] == 1
    chances, targets = invented(1, 500, 3, True)
    assert sum(row["number"] for row in metrics.reliability(chances, targets, bins=5)) == 1500
    assert len(metrics.reliability(chances, targets, bins=5)) == 5


@pytest.mark.parametrize("several", [False, True])
def test_intervals_match_drawing_texts_one_by_one(several):
    chances, targets = invented(3, 300, 4, several)
    given_labels = {"a": metrics.decisions(chances, several), "b": metrics.decisions(np.roll(chances, 1, 0), several)}
    samples = resampled(targets, given_labels, 4, resamples=3000, seed=0)
    random, rows = np.random.default_rng(1), []
    for _ in range(1500):
        pick = random.integers(0, 300, 300)
        parts = metrics.label_counts(targets[pick], given_labels["a"][pick], 4)
        right = given_labels["a"][pick] == targets[pick]
        rows.append(
            [right.all(1).mean() if several else right.mean(), metrics.macro(metrics.f1(*parts), parts[1], parts[2])]
        )
    for column, metric in enumerate(("accuracy", "macro_f1")):
        one = np.array(rows)[:, column]
        assert abs(samples["a"][metric].mean() - one.mean()) < 0.004
        assert abs(samples["a"][metric].std() - one.std()) < 0.003
    assert ("micro_f1" in samples["a"]) == several
    again = resampled(targets, given_labels, 4, resamples=3000, seed=0)
    assert (again["b"]["macro_f1"] == samples["b"]["macro_f1"]).all()
    assert (
        resampled(targets, given_labels, 4, resamples=3000, seed=9)["b"]["macro_f1"] != samples["b"]["macro_f1"]
    ).any()


def test_interval_widens_with_confidence():
    samples = np.random.default_rng(0).normal(size=2000)
    narrow, wide = interval(samples, 0.0, 0.8), interval(samples, 0.0, 0.99)
    assert wide["low"] < narrow["low"] < 0 < narrow["high"] < wide["high"]
