"""The classical model of questions: candidates by shape, hints that are learnt, no answer, saved and loaded."""

import json
import random

import numpy as np
import pytest

from penjing.base.errors import PenjingError
from penjing.evaluate.classical import load_classical
from penjing.evaluate.classical.span_sentence import Baseline, company, descended, overlap
from penjing.evaluate.span_candidates import ASKED, KINDS, Parts, asked_for
from penjing.tasks import made_task
from penjing.tasks.span_records import Answer

NAMES = ["Ada Lovelace", "Alan Turing", "Grace Hopper", "Kurt Gödel", "Emmy Noether"]
THINGS = ["telescope", "bridge", "museum", "library", "theatre"]


def question(number, none=False):
    """Some sentences of things, people and years, and a question about one of them."""
    chance = random.Random(number)
    names, things = chance.sample(NAMES, 3), chance.sample(THINGS, 3)
    years = [str(chance.randint(1500, 1999)) for _ in names]
    context = " ".join(
        f"The {thing} was built by {name} in {year}." for thing, name, year in zip(things, names, years, strict=True)
    )
    at = chance.randrange(3)
    asked, answer = [("Who built the {}?", names[at]), ("When was the {} built?", years[at])][number % 2]
    other = next(thing for thing in THINGS if thing not in things)
    answers = [] if none else [{"text": answer, "start": context.index(answer)}]
    return {"question": asked.format(other if none else things[at]), "context": context, "answers": answers}


TRAIN, TEST = [question(number) for number in range(80)], [question(number) for number in range(100, 140)]
NONE = [question(number, none=True) for number in range(200, 240)]


def fitted(train, valid=(), **said):
    task = made_task("span", train, said)
    return task, Baseline.fit(task, train, list(valid), 0)


def test_it_learns_what_is_asked_for():
    task, model = fitted(TRAIN)
    answers = model.answer(TEST)
    assert task.score(answers, TEST)["f1"] > 0.9
    assert all(answer["answer"] == record["context"][answer["start"] : answer["end"]]
               for answer, record in zip(answers, TEST, strict=True))  # fmt: skip
    assert model.facts["records"] == 80 and all(answer["no_answer_probability"] == 0 for answer in answers)
    assert {len(answer["candidates"]) for answer in answers} == {3}


def test_it_may_say_that_there_is_no_answer():
    task, model = fitted(TRAIN + NONE, TRAIN[:20] + NONE[:20])
    test = TEST + [question(number, none=True) for number in range(300, 340)]
    found = task.score(model.answer(test), test)
    assert found["no_answer_accuracy"] > 0.8 and found["has_answer_f1"] > 0.8 and 0 <= model.threshold <= 1


def test_it_comes_back_the_same(tmp_path):
    for number, train in enumerate((TRAIN, TRAIN + NONE)):
        _, model = fitted(train, candidates=2)
        model.save(tmp_path / str(number))
        again = load_classical(tmp_path / str(number))
        assert again.answer(TEST) == model.answer(TEST) and again.facts == model.facts and again.task == model.task
        json.dumps(model.answer(TEST[:2]))
    (tmp_path / "0" / "hints.npz").write_bytes(b"no archive")
    with pytest.raises(PenjingError) as caught:
        load_classical(tmp_path / "0")
    assert caught.value.code == "P-EVAL-003"


def test_nothing_to_choose_from():
    _, model = fitted(TRAIN)
    strange = [
        {"question": text, "context": context}
        for text, context in (("", ""), ("Who?", " \n"), ("谁", "！"), ("\ud800", "\ud800"))
    ]
    assert [one["answer"] for one in model.answer(strange)][:3] == ["", "", ""]
    _, empty = fitted([{"question": "Who?", "context": "", "answers": []}])
    assert empty.answer(strange)[0] == {
        "answer": "", "start": None, "end": None, "score": 1.0, "no_answer_probability": 1.0, "candidates": []
    }  # fmt: skip


def test_candidates_by_shape():
    context = (
        "In May 1921 Marie Curie received about 3.5 million dollars from the women of America because radium was dear."
    )
    found = {context[start:end] for start, end in Parts(context).spans}
    assert {"May 1921", "Marie Curie", "3.5 million dollars", "the women", "America"} <= found
    assert any(text.startswith("because") for text in found)
    chinese = "《红楼梦》是曹雪芹于1784年写成的小说，共有120回。它描写了贾府的兴衰。"
    found = {chinese[start:end] for start, end in Parts(chinese).spans}
    assert {"《红楼梦》", "曹雪芹", "1784年", "120回"} <= found


def test_long_contexts_have_a_bound():
    assert len(Parts("Ada met Alan in 1950. " * 2000).spans) <= 100 * len(KINDS)


@pytest.mark.parametrize(
    "question, kind",
    [
        ("Who wrote it?", "who"), ("When was it?", "when"), ("In what year?", "when"), ("How many are there?", "number"),
        ("Where is it?", "where"), ("Why not?", "why"), ("How does it go?", "how"), ("Which one?", "which"),
        ("What is it?", "what"), ("", "what"), ("谁写的？", "who"), ("哪一年？", "when"), ("有多少人？", "number"),
        ("在什么地方？", "where"), ("为什么？", "why"), ("如何做？", "how"), ("哪个？", "which"),
    ],
)  # fmt: skip
def test_what_is_asked_for(question, kind):
    assert list(ASKED)[asked_for(question)] == kind


def test_parts_of_the_fit():
    spans = np.asarray([[0, 4], [2, 6], [8, 9]])
    assert overlap(spans, Answer(0, 4)).tolist() == [1.0, 0.5, 0.0] and not overlap(spans, None).any()
    parts = Parts("red box, blue box. red tree")
    near, inside = company(parts, np.asarray([1.0]), np.asarray([0]))
    where = parts.spans.tolist().index([0, 7])
    assert inside[where] == 1 and near[where] == 0
    weights = descended([np.eye(2), np.eye(2)], [np.asarray([1.0, 0]), np.asarray([0.75, 0.25])])
    assert weights[0] - weights[1] == pytest.approx(np.log(7), abs=0.1)  # seven of eight
