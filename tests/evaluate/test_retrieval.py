"""The retrieval baseline: the answer of the nearest question, in the form of the task's own answers."""

import json

import numpy as np
import pytest

from penjing.base.errors import PenjingError
from penjing.evaluate.classical import load_classical
from penjing.evaluate.classical.retrieval import Baseline
from penjing.tasks import task_named

CALL = {"name": "track", "arguments": {"parcel": 7}}
TRAIN = [
    {"question": "Where is my parcel?", "answer": "It comes today."},
    {"messages": [{"role": "user", "content": "我想退款"}, {"role": "assistant", "content": "请提供订单号。"},
                  {"role": "user", "content": "Track number 7 please"}, {"role": "assistant", "tool_calls": [CALL]}]},
]  # fmt: skip


def fitted(**options):
    task = task_named("chat", **options)
    return Baseline.fit(task, [task.normal(record) for record in TRAIN])


def test_the_answer_of_the_nearest_question():
    model = fitted()
    found = model.answer(
        [{"question": "parcel, where?"}, {"instruction": "怎么退款"}, {"text": "please track 7"}, {"text": "zzz"}]
    )
    assert found[0] == {"text": "It comes today."} and found[1]["text"] == "请提供订单号。"
    assert found[2] == {"text": "", "tool_calls": [CALL]} and found[3]["text"] == "It comes today."
    assert model.facts["questions"] == 3
    with pytest.raises(PenjingError, match="P-CHAT-020"):
        model.answer([{"title": "x"}])


def test_its_scores_are_the_tasks():
    model = fitted()
    records = [model.task.normal(record) for record in TRAIN]
    answers = model.answer(records)
    assert [turn["number"] for turn in answers[1]["turns"]] == [1, 3]
    assert "measured" not in model.answer([{"question": "parcel"}])[0]
    found = model.task.resampled(answers, records, np.ones((1, 2)))
    assert found["word_f1"] == found["exact_match"] == found["exact_calls"] == 1 and "perplexity" not in found
    size = len("It comes today.请提供订单号。".encode()) + len('["track", {"parcel": 7}]')
    assert sum(one["measured"]["bytes"] for one in answers) == size and 0 < found["bits_per_byte"] < 16
    assert len(fitted(turns="last").answer(records)[1]["turns"]) == 1


def test_it_is_kept_whole(tmp_path):
    model = fitted()
    model.save(tmp_path / "one")
    again = load_classical(tmp_path / "one")
    asked = [{"question": "where is the parcel"}, {"question": "退款"}]
    assert again.answer(asked) == model.answer(asked) and again.facts == model.facts and again.task == model.task
    (tmp_path / "one" / "answers.jsonl").write_text('{"text": "x"}\n')
    with pytest.raises(PenjingError, match="P-EVAL-003"):
        load_classical(tmp_path / "one")
    about = json.loads((tmp_path / "one" / "penjing.json").read_text())
    (tmp_path / "one" / "penjing.json").write_text(json.dumps({"kind": about["kind"]}))
    with pytest.raises(PenjingError, match="P-EVAL-003"):
        load_classical(tmp_path / "one")
