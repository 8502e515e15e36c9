"""Several models that answer as one."""

import json
from itertools import product

import numpy as np
import pytest
import tagged
import torch
from toys import RECORDS, STRANGE, TEXTS, teach, toy_model, toy_task

from penjing.base.errors import DataError, EvaluateError
from penjing.model import crf
from penjing.tasks.committee import Committee
from penjing.tasks.model import Model
from penjing.tasks.tag import Task as Tag


def taught(name="classify", family="bert", steps=12, **more):
    model = toy_model(name, family, **more)
    pieces = None if name != "tag" else model.task.pieces(model, tagged.RECORDS, True)
    teach(model, steps, 1e-2, pieces)
    return model.eval()


def taggers(**first):
    tasks = [Tag.made(tagged.RECORDS, **options) for options in (first, {"crf": True}, {"crf": True})]
    return [taught("tag", seed=seed, task=task, steps=20) for seed, task in enumerate(tasks)]


@pytest.fixture(scope="module")
def three():
    """Other seeds, sizes, families and tokenizers."""
    return [taught(), taught(seed=1, width=16), taught(family="llama", seed=2)]


def test_probabilities_are_the_mean_and_disagreement_the_deviation(three, tmp_path):
    together = Committee(three)
    each = np.stack([model.probabilities(TEXTS) for model in three])
    assert np.allclose(together.probabilities(TEXTS), each.mean(0), atol=0)
    for row, answer in enumerate(together.answer(TEXTS)):
        best = int(each[:, row].mean(0).argmax())
        assert answer["label"] == together.task.labels[best]
        assert answer["probability"] == each[:, row].mean(0)[best]
        assert answer["disagreement"] == pytest.approx(each[:, row, best].std())
    assert max(answer["disagreement"] for answer in together.answer(TEXTS)) > 0.001
    together.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert isinstance(again, Committee) and again.task == together.task
    assert again.answer(RECORDS) == together.answer(RECORDS) and again.answer([]) == []
    assert json.loads((tmp_path / "model" / "penjing.json").read_text())["members"] == 3
    assert Model.load(tmp_path / "model" / "members" / "2").answer(TEXTS) == three[1].answer(TEXTS)


def test_company_changes_no_answer(three):
    together = Committee(three)
    whole = together.answer([*STRANGE, *TEXTS[:5]])
    for text, answer in zip([*STRANGE, *TEXTS[:5]], whole, strict=True):
        (alone,) = together.answer([text], batch_tokens=64)
        assert alone["label"] == answer["label"]
        assert alone["probability"] == pytest.approx(answer["probability"], abs=1e-5)
        assert alone["disagreement"] == pytest.approx(answer["disagreement"], abs=1e-5)


def test_several_labels_and_equal_members():
    models = [toy_model("several", seed=seed) for seed in (0, 0, 5)]
    same = Committee(models[:2]).answer(TEXTS)
    assert [one["labels"] for one in same] == [one["labels"] for one in models[0].answer(TEXTS)]
    assert all(one["disagreement"] == 0 for one in same)
    each = np.stack([model.probabilities(TEXTS) for model in models])
    found = Committee(models).answer(TEXTS)
    assert np.allclose([one["disagreement"] for one in found], each.std(0).max(1))


@pytest.mark.parametrize("first", [{"crf": True}, {}])
def test_taggers_give_the_best_sequence_of_the_mean_of_scores(first, tmp_path):
    models = taggers(**first)
    together, records = Committee(models), [*tagged.RECORDS[:9], {"tokens": []}]
    found = together.answer(records)
    for record, answer in zip(records, found, strict=True):
        assert len(answer["tags"]) == len(record["tokens"])
        assert {"tokens", "tags", "entities", "disagreement"} == set(answer)
        assert all(0 <= entity["disagreement"] <= answer["disagreement"] for entity in answer["entities"])
    together.save(tmp_path / "model")
    assert Model.load(tmp_path / "model").answer(records) == found
    twice = Committee([models[1], models[1]]).answer(records)
    alone = models[1].answer(records)
    assert [one["tags"] for one in twice] == [one["tags"] for one in alone]
    assert all(one["disagreement"] < 1e-12 for one in twice)
    for one, other in zip(twice, alone, strict=True):
        assert [entity["score"] for entity in one["entities"]] == pytest.approx([e["score"] for e in other["entities"]])


def test_the_best_sequence_is_the_likeliest_under_the_product_of_the_members():
    models = taggers(crf=True)
    record = {"tokens": ["saw", "Bo", "Li"]}
    tags = models[0].task.tags
    every = torch.tensor(list(product(range(len(tags)), repeat=3)))
    logs = torch.zeros(len(every), dtype=torch.float64)
    for model in models:
        (scores,), chain = model.task.scored(model, [record], 4096), model.task.chain_here(model)
        logs += torch.stack([-crf.loss(scores[None], row[None], torch.tensor([3]), chain) for row in every])
    best = [tags[number] for number in every[logs.argmax()].tolist()]
    assert Committee(models).answer([record])[0]["tags"] == best


def test_members_that_do_not_fit_are_named(three):
    other = toy_model(task=toy_task("classify").__class__(labels=["bad", "good", "odd"]))
    with pytest.raises(EvaluateError, match="P-EVAL-041.*members/2.*odd") as error:
        Committee([three[0], other, toy_model("several")])
    assert [one.code for one in error.value.others] == ["P-EVAL-041"] and "several" in str(error.value.others[0])
    with pytest.raises(EvaluateError, match="P-EVAL-040.*members/2.*masked"):
        Committee([three[0], toy_model("masked")])
    with pytest.raises(EvaluateError, match="P-EVAL-041.*text_b"):
        Committee([toy_model(pairs=True), toy_model(pairs=False)])
    with pytest.raises(EvaluateError, match="P-EVAL-045"):
        Committee(three[:1])
    with pytest.raises(EvaluateError, match="P-EVAL-044"):
        Committee([toy_model("masked"), toy_model("masked")])
    with pytest.raises(EvaluateError, match="P-EVAL-044"):
        toy_task("masked").together([], [])
    with pytest.raises(EvaluateError, match="P-EVAL-047"):
        _ = Committee(three).network
    with pytest.raises(DataError, match="P-TASK-031"):
        Committee([toy_model(pairs=True), toy_model(pairs=True)]).answer(["one text"])


def test_a_folder_that_lacks_a_member_is_told(three, tmp_path):
    Committee(three).save(tmp_path / "model")
    (tmp_path / "model" / "members" / "2").rename(tmp_path / "gone")
    with pytest.raises(EvaluateError, match="P-EVAL-048.*members/2"):
        Model.load(tmp_path / "model")
    about = json.loads((tmp_path / "model" / "penjing.json").read_text())
    (tmp_path / "model" / "penjing.json").write_text(json.dumps(about | {"members": "three"}))
    with pytest.raises(EvaluateError, match="P-EVAL-003"):
        Model.load(tmp_path / "model")
