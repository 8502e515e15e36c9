"""Comparison, ensemble and certificate."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest

from penjing.base.errors import EvaluateError
from penjing.evaluate.baselines import load_baselines
from penjing.evaluate.certificate import certificate, fit_and_save_baselines
from penjing.evaluate.compare import TAUGHT, mcnemar
from penjing.evaluate.ensemble import Ensemble, best_temperature, fit_ensemble, lowest, tempered
from penjing.evaluate.metrics import log_loss

LABELS = ["bad", "good"]
PAIRS = [("great and warm", "good"), ("fine film", "good"), ("dull and cold", "bad"), ("poor film", "bad")] * 6
TRAIN = [{"text": text, "label": label} for text, label in PAIRS]


def chances(targets, share, random):
    """Probabilities that are right for a share of the texts."""
    sure = np.where(random.random(len(targets)) < share, 0.9, 0.1)
    found = np.stack([1 - sure, sure], 1)
    return np.where(targets[:, None] == 1, found, found[:, ::-1])


@pytest.mark.parametrize(
    "shares, outcome, words, chinese",
    [((0.9, 0.7), "worth_it", "worth it: +", "值得："),
     ((0.7, 0.9), "not_worth_it", "not worth it: use the classical model tfidf (saved at b/tfidf)", "不值得"),
     ((0.8, 0.8), "no_clear_difference", "no clear difference", "没有明显差别")],
)  # fmt: skip
def test_verdict(shares, outcome, words, chinese):
    random = np.random.default_rng(5)
    targets = random.integers(0, 2, 1000)
    found = certificate(
        {"model": chances(targets, shares[0], random), "tfidf": chances(targets, shares[1], random),
         "majority": np.full((1000, 2), 0.5)},
        targets, LABELS, split="test", paths={"tfidf": "b/tfidf"},
    )  # fmt: skip
    verdict = found["verdict"]
    assert found["best_baseline"] == "tfidf" and verdict["outcome"] == outcome
    assert verdict["en"].startswith(words) and verdict["zh"].startswith(chinese)
    assert "95 % interval" in verdict["en"]
    assert json.loads(json.dumps(found)) == found
    scores = found["candidates"]["model"]["scores"]["accuracy"]
    assert scores["low"] < scores["value"] < scores["high"]
    assert found["ensemble_verdict"] is None


@pytest.mark.parametrize(
    "shares, words, chinese",
    [((0.9, 0.7), "the teacher helps: +", "教师有帮助"), ((0.7, 0.9), "the teacher does harm: use tfidf", "教师反而有害"),
     ((0.8, 0.8), "the teacher gives nothing that shows", "看不出教师有帮助")],
)  # fmt: skip
def test_a_teacher_is_no_baseline(shares, words, chinese):
    random = np.random.default_rng(5)
    targets = random.integers(0, 2, 1000)
    given = {name: chances(targets, share, random) for name, share in zip(("model", "tfidf"), shares, strict=True)}
    given["teacher"] = chances(targets, 0.99, random)
    found = certificate(given, targets, LABELS, split="valid", paths={"tfidf": "baselines/tfidf"}, words=TAUGHT)
    assert found["best_baseline"] == "tfidf" and found["verdict"]["difference"]["to"] == "tfidf"
    assert found["verdict"]["en"].startswith(words) and found["verdict"]["zh"].startswith(chinese)
    assert [one["to"] for one in found["mcnemar"]] == ["tfidf", "teacher"]
    lost = next(one for one in found["differences"] if one["to"] == "teacher")
    assert lost["of"] == "model" and lost["value"] < 0


@pytest.mark.parametrize("wrong, outcome", [(3, "no_clear_difference"), (5, "no_clear_difference"), (6, "worth_it")])
def test_few_texts_bear_out_no_verdict(wrong, outcome):
    """Of 5 to 0 the bootstrap's interval is above zero, and the exact test has p > 0.05."""
    targets = np.array([0, 1] * 10)
    good = np.eye(2)[targets] * 0.98 + 0.01
    poor = good.copy()
    poor[:wrong] = poor[:wrong, ::-1]
    found = certificate({"model": good, "tfidf": poor}, targets, LABELS, split="test")
    assert found["differences"][0]["low"] > 0 or wrong == 3
    assert found["verdict"]["outcome"] == outcome
    assert ("only 5 texts tell them apart (p = 0.062)" in found["verdict"]["en"]) == (wrong == 5)
    assert ("只有 5 条文本" in found["verdict"]["zh"]) == (wrong == 5)


def test_without_a_baseline_there_is_no_verdict():
    found = certificate({"model": np.full((4, 2), 0.5)}, np.array([0, 1, 0, 1]), LABELS, split="valid", resamples=50)
    assert found["verdict"] is None and found["differences"] == []


def test_several_labels_are_judged_by_micro_f1():
    random = np.random.default_rng(2)
    targets = random.random((200, 3)) < 0.5
    good, poor = np.where(targets, 0.8, 0.2), random.random((200, 3))
    found = certificate({"model": good, "tfidf": poor, "ensemble": good}, targets, ["a", "b", "c"], split="test")
    assert found["metric"] == "micro_f1" and found["verdict"]["outcome"] == "worth_it"
    assert found["ensemble_verdict"]["outcome"] == "worth_it"
    assert {d["metric"] for d in found["differences"]} == {"accuracy", "macro_f1", "micro_f1"}


def test_mcnemar_equals_the_exact_binomial_test():
    random = np.random.default_rng(0)
    for number in (10, 300, 9000):
        right, other = random.random(number) < 0.6, random.random(number) < 0.55
        found = mcnemar(right, other)
        exact = binomtest(found["only_first_right"], found["only_first_right"] + found["only_second_right"]).pvalue
        assert np.isclose(found["p"], exact, rtol=0.05)


def test_temperature_and_weight_lower_the_loss():
    random = np.random.default_rng(1)
    targets = random.integers(0, 3, 2000)
    scores = random.normal(size=(2000, 3)) + 1.2 * np.eye(3)[targets]
    honest = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
    boastful = tempered(honest, 0.25, False)
    assert log_loss(tempered(boastful, best_temperature(boastful, targets), False), targets) < log_loss(
        boastful, targets
    )
    several = tempered(np.array([[0.9, 0.2]]), 2.0, True)
    assert 0.5 < several[0, 0] < 0.9 and 0.2 < several[0, 1] < 0.5
    assert np.isclose(lowest(lambda x: (x - 0.3) ** 2, 0, 1), 0.3, atol=1e-6)
    other = np.roll(boastful, 1, 0)
    mixed = fit_ensemble({"model": (None, "m"), "tfidf": (None, "t")}, {"model": honest, "tfidf": other}, targets,
                         ["a", "b", "c"], False)  # fmt: skip
    assert mixed.members[0].weight > 0.9
    assert log_loss(mixed.mixed({"model": honest, "tfidf": other}), targets) <= log_loss(honest, targets) + 1e-3
    halves = fit_ensemble({"model": (None, "m"), "tfidf": (None, "t")}, {}, None, ["a", "b", "c"], False)
    assert [member.weight for member in halves.members] == [0.5, 0.5]


def test_baselines_are_saved_and_certified_and_mix(tmp_path):
    summary = fit_and_save_baselines(tmp_path, TRAIN, TRAIN[:6], LABELS)
    assert json.loads((tmp_path / "certificate.json").read_text())["split"] == "valid"
    assert set(summary) == {"majority", "tfidf", "nb_ngrams"} and summary["tfidf"]["accuracy"]["value"] == 1.0
    models = load_baselines(tmp_path)
    assert list(models) == ["majority", "tfidf", "nb_ngrams"]
    members = {name: (models[name], tmp_path / "baselines" / name) for name in ("tfidf", "nb_ngrams")}
    texts, targets = [r["text"] for r in TRAIN], np.array([r["label"] == "good" for r in TRAIN]).astype(int)
    mixed = fit_ensemble(members, {n: models[n].probabilities(texts) for n in members}, targets, LABELS, False)
    mixed.save(tmp_path / "ensemble")
    again = Ensemble.load(tmp_path / "ensemble")
    assert (again.probabilities(texts) == mixed.probabilities(texts)).all()
    assert again.answer(["great film"])[0]["label"] == "good"
    (tmp_path / "baselines" / "tfidf").rename(tmp_path / "gone")
    with pytest.raises(EvaluateError, match="P-EVAL-008"):
        Ensemble.load(tmp_path / "ensemble")
    assert fit_and_save_baselines(tmp_path / "b", TRAIN, None, LABELS, ["majority"])["majority"]["fit_seconds"] < 1
    assert not (tmp_path / "b" / "certificate.json").exists()


def test_unusable_probabilities_are_told():
    targets = np.array([0, 1])
    with pytest.raises(EvaluateError, match="P-EVAL-009") as error:
        certificate({"model": np.full((2, 2), np.nan), "tfidf": np.ones((2, 3))}, targets, LABELS, split="test")
    assert len(error.value.others) == 1


@pytest.mark.parametrize("about", [{}, {"members": 3}, {"members": [{"name": "a"}]}, []])
def test_a_broken_ensemble_is_told(tmp_path, about):
    (tmp_path / "penjing.json").write_text(json.dumps(about))
    with pytest.raises(EvaluateError, match="P-EVAL-003"):
        Ensemble.load(tmp_path)
