"""Each objective with its family: it learns, is kept whole, resumes exactly, answers alike in any company, is a base."""

import numpy as np
import pytest
import torch
from toys import LABELS, TEXTS, same_weights, teach, toy_model, toy_task
from toys_objectives import PURPOSES, asked, objective_model, raw
from toys_objectives import TEXTS as DOCUMENTS

from penjing.base.errors import TaskError
from penjing.tasks import OBJECTIVES, kind_of_task, task_named
from penjing.tasks.model import Model
from penjing.tasks.objective import cut
from penjing.tasks.pieces import InMemory

ALL = [*PURPOSES, ("masked", "bert")]
RECORDS = [{"text": text} for text in DOCUMENTS]
STRANGE = ["", " ", "满意😀", "\ud800 half", "tree " * 500, "[SEP] [MASK] <pad>", "\n\n\t", "é" * 300]


@pytest.mark.parametrize(("name", "family"), ALL)
def test_it_learns_and_is_kept_whole(name, family, tmp_path):
    model = objective_model(name, family)
    before = model.task.score(model.answer(RECORDS), RECORDS)
    losses = teach(model, 150, 5e-3, raw(model))
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:3])
    answers = model.answer(RECORDS)
    after = model.task.score(answers, RECORDS)
    assert after["bits_per_guess"] < before["bits_per_guess"] and after["accuracy"] > before["accuracy"]
    model.save(tmp_path / "m")
    again = Model.load(tmp_path / "m")
    assert again.task == model.task and again.task.score(again.answer(RECORDS), RECORDS) == pytest.approx(
        after, rel=1e-5
    )
    (tmp_path / "m" / "penjing.json").unlink()  # as others would have written it
    foreign = Model.load(tmp_path / "m")
    assert foreign.task.name == ("seq2seq" if name == "denoise" else name) and same_weights(foreign, again)


@pytest.mark.parametrize(("name", "family"), ALL)
def test_company_and_batches_change_no_answer(name, family):
    more = {"order": True} if name == "next_sentence" else {}  # a stranger comes from the company
    model = objective_model(name, family, **more).eval()
    records = RECORDS[:5] + [{"text": text} for text in STRANGE]
    together, small = model.answer(records), model.task.answer(model, records, 48)
    alone = [model.answer([record])[0] for record in records]
    for one, *others in zip(together, small, alone, strict=True):
        for other in others:
            assert all(one[key] == other[key] for key in one if key != "bits")
            np.testing.assert_allclose(one["bits"], other["bits"], atol=1e-4)
    assert np.isfinite(list(model.task.score(together, records).values())).all()


@pytest.mark.parametrize(("name", "family"), ALL)
def test_the_same_chance_corrupts_alike_and_another_does_not(name, family):
    model = objective_model(name, family)
    one, same, other = (asked(model, seed=seed) for seed in (3, 3, 4))
    assert (one.tokens == same.tokens).all() and (one.labels == same.labels).all()
    assert one.tokens.shape != other.tokens.shape or (one.tokens != other.tokens).any()
    assert model.task.validating() == model.task and one.records == raw(model).records(np.arange(8))


@pytest.mark.parametrize(("name", "family"), PURPOSES)
def test_it_is_a_base_for_fine_tuning(name, family, tmp_path):
    base = objective_model(name, family)
    base.save(tmp_path / "base")
    for task in (toy_task("classify"), *([toy_task("seq2seq")] if name == "denoise" else [])):
        model = Model.load(tmp_path / "base").with_task(task, 3)
        assert torch.equal(model.network.embedding.weight, base.network.embedding.weight) and model.companion is None
    model = Model.load(tmp_path / "base").with_task(toy_task("classify"), 3)
    kept = base.head is not None and torch.equal(model.head.dense.weight, base.head.dense.weight)
    assert kept == (family == "bert")  # the pooler
    teach(model, 10)
    assert model.answer(TEXTS[:1])[0]["label"] in LABELS


def test_a_family_that_has_no_network_for_an_objective_is_told_with_those_that_have():
    with pytest.raises(TaskError, match="P-TASK-100") as error:
        objective_model("denoise", "bert")
    told = error.value.text("en")
    assert "next_sentence" in told and "t5" in told and "marian" in told
    with pytest.raises(TaskError, match="P-TASK-100"):
        toy_model("masked").with_task(task_named("replaced"), 0)
    assert all(kind_of_task(name).purpose for name in OBJECTIVES)


def test_one_long_record_has_an_interval():
    model = objective_model("next_sentence", "bert", order=True)
    chance = np.random.default_rng(0)
    labels = chance.integers(0, 3, 1000).tolist()
    answer = {"labels": labels, "guesses": chance.integers(0, 3, 1000).tolist(), "bits": [1.0] * 1000,
              "next_labels": [0, 1] * 20, "next_guesses": [0] * 40}  # fmt: skip
    blocks = cut(answer)
    assert len(blocks) == 10 and sum((block["labels"] for block in blocks), []) == labels
    assert sum((block["next_labels"] for block in blocks), []) == answer["next_labels"]
    found = model.task.resampled([answer], [{}], np.ones((200, 1)))
    plain = model.task.score([answer], [{}])
    assert np.std(found["accuracy"]) > 0.005 and np.mean(found["accuracy"]) == pytest.approx(
        plain["accuracy"], abs=0.01
    )
    assert plain["next_accuracy"] == 0.5 and plain["bits_per_guess"] == 1


def test_guesses_in_words():
    model = objective_model("masked", "bert")
    answer = {"labels": [5, 6, 6], "guesses": [5, 7, 6], "bits": [1.0, 2.0, 3.0]}
    assert ("2 / 3", "number") in [part for line in model.task.lines(RECORDS[0], answer) for part in line]
    found = model.task.score([answer], RECORDS[:1])
    assert found == pytest.approx({"accuracy": 2 / 3, "majority": 2 / 3, "bits_per_guess": 2.0})


@pytest.mark.parametrize(("name", "family"), PURPOSES)
def test_windows_that_move_hold_as_much(name, family):
    model = objective_model(name, family)
    held = InMemory([np.arange(20, 20 + n) % 40 + 20 for n in (100, 7, 64)])
    pieces = model.task.raw_pieces(held, model.tokenizer, model.window, 3)
    moved = pieces.at_epoch(2)
    assert (moved.start != pieces.start).any() and (moved.lengths == pieces.lengths).all()
    batch = asked(model, range(len(moved)), moved)
    assert batch.tokens.shape[1] <= model.window
