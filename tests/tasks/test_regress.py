"""Regression: numbers in any units, others' programs give the same ones, scores are scipy's, and a classical rival."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import pearsonr, spearmanr
from toys import STRANGE, TRAIN, same_weights, teach, toy_model, toy_pieces

from penjing.base.errors import DataError, TaskError
from penjing.evaluate.answers import answers_certificate
from penjing.evaluate.classical.ridge import Baseline
from penjing.tasks.model import Model
from penjing.tasks.regress import Task, number_in

RECORDS = [{"text": text, "label": 1.0 + 2.5 * (label == "good")} for text, label in TRAIN]
PAIRS = [{"text": f"the {one} was late", "text_b": f"a {other} was late", "score": float(one == other)}
         for one in ("tree", "box", "parcel", "快递") for other in ("tree", "box", "parcel", "快递")]  # fmt: skip


def made(records=RECORDS, family="bert", **options):
    return toy_model(task=Task.made(records, **options), family=family)


def taught(records=RECORDS, family="bert", steps=60, **options):
    model = made(records, family, **options)
    teach(model, steps, pieces=model.task.pieces(model, records, True))
    model.eval()
    return model


def test_any_units_teach_the_same():
    """Labels a thousand times as large give answers a thousand times as large."""
    large = [{"text": record["text"], "label": 1000 * record["label"] + 7} for record in RECORDS]
    one, other = (np.asarray([answer["value"] for answer in taught(records).answer(records)])
                  for records in (RECORDS, large))  # fmt: skip
    assert np.allclose(1000 * one + 7, other, rtol=1e-3)
    score = made().task.score([{"value": value} for value in one], RECORDS)
    assert score["pearson"] > 0.9 and score["rmse"] < 0.6


@pytest.mark.parametrize("family", ["bert", "llama", "t5", "modernbert"])
def test_units_become_part_of_the_weights(family, tmp_path):
    """Also where the head has no bias; then transformers reads the labels' own numbers."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model = taught(family=family, steps=10)
    before = [answer["value"] for answer in model.answer(RECORDS)]
    with pytest.raises(TaskError, match="P-TASK-114"):
        model.save(tmp_path / "m")
    model.task = model.task.settled(model, [])
    assert model.task.units is None
    after = [answer["value"] for answer in model.answer(RECORDS)]
    assert np.allclose(before, after, atol=1e-5) and model.task.settled(model, []) == model.task
    model.save(tmp_path / "m")
    theirs, cutter = AutoModelForSequenceClassification.from_pretrained(tmp_path / "m").eval(), None
    cutter = AutoTokenizer.from_pretrained(tmp_path / "m")
    assert theirs.config.problem_type == "regression" and theirs.config.num_labels == 1
    for record, value in list(zip(RECORDS, after, strict=True))[:5]:
        with torch.no_grad():
            assert abs(float(theirs(**cutter([record["text"]], return_tensors="pt")).logits) - value) < 1e-5
    (tmp_path / "m" / "penjing.json").unlink()
    again = Model.load(tmp_path / "m")
    assert again.task == model.task and same_weights(model, again)
    config = json.loads((tmp_path / "m" / "config.json").read_text("utf-8"))
    del config["problem_type"]  # a folder with one label and no more is a regression to transformers too
    (tmp_path / "m" / "config.json").write_text(json.dumps(config), "utf-8")
    assert Model.load(tmp_path / "m").task.name == "regress"


def test_scores_are_scipys():
    chance = np.random.default_rng(0)
    true = chance.normal(size=50).round(1)
    given = true + chance.normal(size=50)
    records = [{"text": "a", "label": str(value)} for value in true]
    answers = [{"value": float(value)} for value in given]
    task, found = Task(), None
    found = task.score(answers, records)
    assert found["pearson"] == pearsonr(given, true).statistic or np.isclose(found["pearson"], pearsonr(given, true)[0])
    assert np.isclose(found["spearman"], spearmanr(given, true).statistic, atol=1e-6)
    assert np.isclose(found["mse"], np.mean((given - true) ** 2)) and np.isclose(found["rmse"] ** 2, found["mse"])
    weights = np.stack([np.ones(50), chance.multinomial(50, np.full(50, 1 / 50)).astype(float)])
    chosen = np.repeat(np.arange(50), weights[1].astype(int))
    again = task.score([answers[i] for i in chosen], [records[i] for i in chosen])
    for name, values in task.resampled(answers, records, weights).items():
        assert np.allclose(values, [found[name], again[name]], atol=1e-9), name
    better = answers_certificate(task, {"model": [{"value": float(v)} for v in true], "ridge": answers}, {}, records,
                                 split="test", resamples=200)  # fmt: skip
    assert better["metric"] == "pearson" and better["lower"] == ["mse", "rmse"]
    assert better["verdict"]["outcome"] == "worth_it"


def test_labels_that_are_no_numbers():
    assert [number_in(value) for value in (3, " 2.5 ", True, None, "high", "nan", float("inf"), [1])] == [
        3.0, 2.5, None, None, None, None, None, None]  # fmt: skip
    with pytest.raises(DataError, match="P-TASK-112") as caught:
        Task.made([{"text": "a", "label": "1.5"}, {"text": "b", "label": "good"}, {"text": "c"}])
    assert caught.value.given == "good" and caught.value.line == 2 and len(caught.value.others) == 1
    with pytest.raises(DataError, match="P-TASK-112"):
        Task.look([{"text": "a", "label": "x"}], {})
    with pytest.raises(DataError, match="P-TASK-113"):
        Task.made([{"text": "a", "label": 2}, {"text": "b", "label": 2.0}])
    with pytest.raises(DataError, match="P-TASK-009"):
        made().answer([{"label": 3}])


def test_pairs_with_scores_are_pairs_with_labels():
    records = [Task.normal(record) for record in PAIRS]
    assert records[0] == {"text": "the tree was late", "text_b": "a tree was late", "label": 1.0}
    theirs = {"sentence1": "the tree was late", "sentence2": "a tree was late", "score": 1.0}
    assert Task.normal(theirs) == records[0]
    model = taught(records, steps=20)
    found = model.answer([*records, {"text": STRANGE[4]}])
    assert all(np.isfinite(answer["value"]) for answer in found)
    lines = list(model.task.lines(records[0], {"value": 0.123456}))
    assert [lines[0][0][0], lines[1][0][0], lines[2][1]] == [
        "the tree was late", "a tree was late", ("0.1235", "strong")]  # fmt: skip
    assert model.task.item(["a", "b"]) == {"text": "a", "text_b": "b"} and model.task.truth(records[0]) == "1.0"


@pytest.mark.parametrize("valid", [True, False])
def test_ridge_learns_and_is_saved(valid, tmp_path):
    model = Baseline.fit(Task(), RECORDS, RECORDS[:20] if valid else [])
    answers = model.answer(RECORDS)
    assert Task().score(answers, RECORDS)["pearson"] > 0.9
    assert model.facts["chosen_on"] == ("valid" if valid else "a tenth of train")
    model.save(tmp_path / "ridge")
    assert Baseline.load(tmp_path / "ridge").answer(RECORDS) == answers
    assert model.answer([]) == []


def test_ridge_knows_how_alike_two_texts_are():
    """The n-grams of new words are unknown, and so is what the two texts share: the cosine of the rest is not."""
    records = [Task.normal(record) for record in PAIRS]
    model = Baseline.fit(Task(), records, records)
    assert model.alike > 0.1
    near, far = (answer["value"] for answer in model.answer([records[0], records[1]]))
    assert near > far


def test_r_drop_of_numbers():
    plain, both = toy_model(task=Task(units=(0.0, 1.0)), dropout=0.2), None
    both = toy_model(task=Task(units=(0.0, 1.0), rdrop=4.0), dropout=0.2)
    pieces = toy_pieces(plain, RECORDS)
    batch = plain.task.collate(pieces, np.arange(8), plain.tokenizer, None)
    with torch.no_grad():
        assert float(plain.eval()(batch)) == float(both.eval()(batch))
        torch.manual_seed(1)
        both.train()
        scores = [both.task.class_scores(both, batch)[:, 0] for _ in range(2)]
        torch.manual_seed(1)
        losses = [float((one - batch.labels).square().sum()) for one in scores]
        expected = sum(losses) / 2 + 2.0 * float((scores[0] - scores[1]).square().sum())
        assert float(both(batch)) == pytest.approx(expected, rel=1e-5)


def test_without_differences_the_loss_is_watched():
    """No correlation with one number: else the first weights would be the best for ever."""
    model = made()
    same = [record | {"label": 3} for record in RECORDS[:4]]
    assert model.task.watched(model, same) is None and model.task.watched(model, RECORDS[:1]) is None
    assert model.task.watched(model, RECORDS[:8]) is not None
    embed = toy_model("embed")
    scored = [{"text": record["text"], "text_b": "the box", "score": row} for row, record in enumerate(RECORDS[:4])]
    assert embed.task.watched(embed, scored) is not None
    assert embed.task.watched(embed, [record | {"score": 1} for record in scored]) is None
