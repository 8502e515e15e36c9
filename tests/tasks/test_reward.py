"""Reward models: the loss by hand, forms of records, scores of pairs and of judged answers, what a reinforcement asks of them,
and what is refused."""

import json

import numpy as np
import pytest
import torch
from test_preference import asked, said
from toys import KINDS, teach, tokenizer

from penjing.base.errors import PenjingError
from penjing.base.readers.source import Record
from penjing.model.size import fresh_config
from penjing.tasks import task_named
from penjing.tasks.model import Model
from penjing.tasks.preference_rows import by_sides
from penjing.train.rewards import rewards_of

THINGS = ("tree", "box", "parcel", "today")
RECORDS = [{"prompt": f"the {one}", "chosen": f"{one} good", "rejected": f"{one} bad"} for one in THINGS]
JUDGED = [{"prompt": f"the {one}", "completion": f"{one} {word}", "label": word == "good"}
          for one in THINGS for word in ("good", "bad")]  # fmt: skip


def model_of(family="llama", name="reward", window=64, **options):
    task, cutter = task_named(name, **options), tokenizer(KINDS[family])
    config = fresh_config(family, vocab_size=-(-cutter.size // 64) * 64, width=32, layers=1, max_tokens=window,
                          heads=None if family == "lstm" else 2, dropout=0.0, purpose="classify", pad=cutter.pad)  # fmt: skip
    return Model.new(config, family, task, cutter, 0)


def pieces_of(model, records=RECORDS):
    found = [model.task.normal(record) for record in records]
    model.task.check(found, True)
    return model.task.pieces(model, found, True)


@pytest.fixture(scope="module")
def judge():
    model = model_of()
    teach(model, 25, 5e-3, pieces_of(model))
    return model.eval()


@pytest.mark.parametrize("family", ["llama", "bert", "t5", "lstm"])
def test_the_loss_by_hand(family):
    """Bradley and Terry's, of the very scores that answers tell; which answer is the longer one changes nothing."""
    records = [*RECORDS[:2], {"prompt": "the box", "chosen": "good", "rejected": "bad and very late today"}]
    model = model_of(family, centre=0.5)
    pieces = pieces_of(model, records)
    batch = model.task.collate(pieces, np.arange(3), model.tokenizer, None)
    pairs = np.asarray([[one["scores"]["chosen"], one["scores"]["rejected"]] for one in model.answer(records)])
    wanted = np.logaddexp(0, pairs[:, 1] - pairs[:, 0]).sum() + 0.5 * np.square(pairs.sum(1)).sum()
    assert model.task.loss(model, batch).item() == pytest.approx(wanted, rel=1e-4)
    np.testing.assert_allclose(model.task.says(model, batch).detach(), pairs, atol=1e-5)
    assert set(model.seen.means()) == {"reward_margin", "reward_accuracy"} and batch.label_count == 3
    assert torch.equal(by_sides(batch, [torch.zeros(3), torch.ones(3)])[:, 0] > 0, torch.from_numpy(pieces.swapped))


def test_it_learns_and_generalises_to_judged_answers(judge, tmp_path):
    found = judge.answer(JUDGED)
    assert judge.task.score(found, [judge.task.normal(one) for one in JUDGED]) == {"preference_accuracy": 1.0}
    assert judge.task.score(judge.answer(RECORDS), RECORDS)["preference_accuracy"] == 1.0
    judge.save(tmp_path / "judge")
    config = json.loads((tmp_path / "judge" / "config.json").read_text("utf-8"))
    assert config["id2label"] == {"0": "LABEL_0"} and config["architectures"] == ["LlamaForSequenceClassification"]
    assert Model.load(tmp_path / "judge").answer(JUDGED) == found


def test_every_form_of_an_answer_has_the_same_score(judge):
    forms = [
        {"prompt": "the tree", "completion": "tree good"},
        {"prompt": [asked("the tree")], "completion": said("tree good"), "label": True},
        {"messages": [asked("the tree"), said("tree good")]},
        {"conversations": [{"from": "human", "value": "the tree"}, {"from": "gpt", "value": "tree good"}]},
        ("the tree", "tree good"),
    ]
    scores = {one["scores"]["completion"] for one in (judge.answer([form])[0] for form in forms)}
    pair = judge.answer([RECORDS[0]])[0]
    assert (
        len(scores) == 1
        and pair["preferred"] == "chosen"
        and pair["scores"]["chosen"] == pytest.approx(scores.pop(), abs=1e-5)
    )


def test_long_questions_are_cut_alike_and_nothing_is_no_error(judge):
    long = {"prompt": "tree " * 500, "chosen": "good", "rejected": "bad " * 100}
    assert all(
        np.isfinite(list(one["scores"].values())).all()
        for one in judge.answer([long, {"prompt": "x", "completion": ""}])
    )
    assert judge.answer([]) == []


def test_others_reward_models_go_on(judge, tmp_path):
    """What says nothing of Penjing is one score without labels, and is asked as a reward model."""
    judge.save(tmp_path / "judge")
    (tmp_path / "judge" / "penjing.json").unlink()
    foreign = Model.load(tmp_path / "judge")
    assert foreign.task.name == "regress"
    own = foreign.with_task(task_named("reward"), 0).eval()
    (reward,) = rewards_of({"model": {"file": str(tmp_path / "judge")}})
    wanted = [one["scores"]["completion"] for one in own.answer(JUDGED)]
    assert list(reward.of([one["completion"] for one in JUDGED], JUDGED)) == pytest.approx(wanted, abs=1e-5)


def test_a_reinforcement_asks_it(judge, tmp_path):
    judge.save(tmp_path / "judge")
    (reward,) = rewards_of({"model": {"file": str(tmp_path / "judge"), "centre": 1.0, "scale": 2.0}})
    reward.prepare()
    records = [{"prompt": "the tree"}, {"messages": [asked("the tree"), said("late")]}, {"prompt": [asked("the box")]}]
    plain = [one["scores"]["completion"] for one in judge.answer([{"prompt": "the tree", "completion": "tree good"}])]
    found = list(reward.of(["tree good", "tree good", ""], records))
    assert found[:2] == pytest.approx([(plain[0] - 1) / 2] * 2, abs=1e-5) and np.isfinite(found).all()
    good, bad = reward.of(["tree good", "tree bad"], records[:1] * 2)
    assert good > bad
    model_of(name="classify", labels=["a", "b"]).save(tmp_path / "labels")
    with pytest.raises(PenjingError) as caught:
        rewards_of({"model": {"file": str(tmp_path / "labels")}})[0].prepare()
    assert caught.value.code == "P-TRAIN-057"


@pytest.mark.parametrize(("record", "learn", "code"), [
    ({"prompt": "the tree", "chosen": "good"}, True, "P-TASK-130"),
    ({"prompt": "the tree", "chosen": "good", "rejected": "good"}, True, "P-TASK-131"),
    (JUDGED[0], True, "P-TASK-152"),
    ({"prompt": "the tree"}, False, "P-TASK-151"),
    ({"strange": 1}, False, "P-CHAT-020"),
    ({"prompt": "the tree", "completion": 5}, False, "P-CHAT-021"),
])  # fmt: skip
def test_records_that_cannot_be(record, learn, code):
    task = task_named("reward")
    with pytest.raises(PenjingError) as caught:
        task.check([task.normal(Record(record, "train.jsonl", 7))], learn)
    assert (caught.value.code, caught.value.file, caught.value.line) == (code, "train.jsonl", 7)
