"""The stage evaluate on an invented finetune step, with a stand-in for the network."""

import json
import types

import numpy as np
import pytest

from penjing.base.errors import EvaluateError
from penjing.base.progress import listen
from penjing.evaluate import ensemble as ensembles
from penjing.evaluate.certificate import fit_and_save_baselines
from penjing.evaluate.ensemble import Ensemble
from penjing.recipe.stages.evaluate import evaluate

GOOD, BAD = ["great and warm", "fine warm film", "loved it"], ["dull and cold", "poor cold film", "hated it"]
RECORDS = [{"text": f"{text} {i % 5}", "label": label} for i in range(8) for label, texts in
           (("good", GOOD), ("bad", BAD)) for text in texts]  # fmt: skip


class Network:
    """Sure of the words warm and cold, unsure of the rest."""

    def __init__(self, labels, several=False, value=0.9):
        self.task, self.value = types.SimpleNamespace(labels=labels, several=several, probabilities=None), value

    def probabilities(self, records):
        texts = [r if isinstance(r, str) else r["text"] for r in records]
        good = np.array([self.value if "warm" in t else 1 - self.value if "cold" in t else 0.5 for t in texts])
        return np.stack([1 - good, good], 1)


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """A clean step and a finetune step."""
    data, trained = tmp_path / "clean-1", tmp_path / "finetune-1"
    (trained / "model").mkdir(parents=True)
    (trained / "model" / "config.json").write_text("{}")
    data.mkdir()
    for split, records in {"train": RECORDS, "valid": RECORDS[:20], "test": RECORDS[5:45]}.items():
        (data / f"{split}.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    monkeypatch.setattr(ensembles, "load_network", lambda folder: Network(["bad", "good"]))
    fit_and_save_baselines(trained, RECORDS, RECORDS[:20], ["bad", "good"])
    out = tmp_path / "evaluate-1"
    out.mkdir()
    return types.SimpleNamespace(data=data, trained=trained, out=out)


def test_fills_its_folder(steps):
    found = evaluate(steps.out, data=steps.data, model=steps.trained, bootstrap=200)
    assert set(found["baselines"]) == {"majority", "tfidf", "nb_ngrams"} and found["split"] == "test"
    assert (
        found["model"]["accuracy"]["low"] <= found["model"]["accuracy"]["value"] <= found["model"]["accuracy"]["high"]
    )
    assert found["ensemble"]["accuracy"]["value"] >= found["model"]["accuracy"]["value"]
    assert found["verdict"].startswith("not worth it") and "finetune-1/baselines/" in found["verdict"]
    scores = json.loads((steps.out / "scores.json").read_text())
    assert np.sum(scores["model"]["confusion"]) == 40 and len(scores["model"]["per_label"]) == 2
    lines = [json.loads(line) for line in (steps.out / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 40 and set(lines[0]["candidates"]) == {"model", "majority", "tfidf", "nb_ngrams", "ensemble"}
    right = [line["true"] == line["candidates"]["model"]["predicted"] for line in lines]
    assert np.isclose(np.mean(right), found["model"]["accuracy"]["value"])
    certificate = json.loads((steps.out / "certificate.json").read_text())
    assert (
        certificate["candidates"]["tfidf"]["bytes"] > 0 and certificate["candidates"]["model"]["texts_per_second"] > 0
    )
    mixed = Ensemble.load(steps.out / "ensemble")
    chosen = [line["candidates"]["ensemble"]["predicted"] for line in lines]
    assert [answer["label"] for answer in mixed.answer([line["text"] for line in lines])] == chosen


def test_every_option_has_an_effect(steps):
    def run(name, **options):
        out = steps.out / name
        out.mkdir()
        return evaluate(out, data=steps.data, model=steps.trained, **{"bootstrap": 200} | options)

    plain = run("plain")["model"]
    assert run("valid", split="valid")["records"] == 20
    assert run("more", bootstrap=300)["model"]["macro_f1"] != plain["macro_f1"]
    assert run("seed", seed=7)["model"]["macro_f1"] != plain["macro_f1"]
    assert run("wide", confidence=0.6)["model"]["accuracy"]["low"] > plain["accuracy"]["low"]
    assert "ensemble" not in run("alone", ensemble=False)


def test_without_a_test_split_valid_is_used_and_said(steps):
    (steps.data / "test.jsonl").unlink()
    events = []
    with listen(events.append):
        found = evaluate(steps.out, data=steps.data, model=steps.trained, bootstrap=100)
    assert found["split"] == "valid"
    assert sum(event.kind == "warning" for event in events) == 2
    (steps.data / "valid.jsonl").unlink()
    with pytest.raises(EvaluateError, match="P-EVAL-006"):
        evaluate(steps.out, data=steps.data, model=steps.trained)


def test_several_labels(steps, monkeypatch):
    for split in ("train", "valid", "test"):
        path = steps.data / f"{split}.jsonl"
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        path.write_text("".join(json.dumps({"text": r["text"], "labels": [r["label"]]}) + "\n" for r in lines))
    monkeypatch.setattr(ensembles, "load_network", lambda folder: Network(["bad", "good"], several=True))
    train = [{"text": r["text"], "labels": [r["label"]]} for r in RECORDS]
    fit_and_save_baselines(steps.trained, train, train[:9], ["bad", "good"])
    found = evaluate(steps.out, data=steps.data, model=steps.trained, bootstrap=200)
    assert "micro_f1" in found["model"] and "micro-F1" in found["verdict"]
    first = json.loads((steps.out / "predictions.jsonl").read_text().splitlines()[0])
    assert isinstance(first["candidates"]["model"]["predicted"], list)


def test_mistakes_are_told(steps, monkeypatch):
    monkeypatch.setattr(ensembles, "load_network", lambda folder: Network(["good", "bad"]))
    with pytest.raises(EvaluateError, match="P-EVAL-007"):
        evaluate(steps.out, data=steps.data, model=steps.trained)
    monkeypatch.setattr(ensembles, "load_network", lambda folder: Network(["bad", "good"], value=np.nan))
    with pytest.raises(EvaluateError, match="P-EVAL-009"):
        evaluate(steps.out, data=steps.data, model=steps.trained)
    with pytest.raises(EvaluateError, match="P-EVAL-008"):
        evaluate(steps.out, data=steps.data, model=steps.data)
    assert not list(steps.out.iterdir())
