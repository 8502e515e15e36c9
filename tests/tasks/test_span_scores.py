"""Exact match and F1 against plain transcriptions of the official definitions, by worked examples and by chance."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from span_reference import cmrc, squad, squad_f1, squad_sweep

from penjing.tasks import task_named
from penjing.tasks.span_scores import best_threshold, chinese, english, judged, signs

WORDS = st.lists(st.sampled_from(["the", "a", "An", "cat", "Cat's", "sat,", "1990", "-", "é", "mat."]), max_size=5)
TEXTS = WORDS.map(" ".join)
CHINESE = st.text(st.sampled_from("盆景很小，。：《》· aB12"), max_size=8)


def record(*answers, question="Who sat on the mat?", context="The cat sat on the mat."):
    return {"question": question, "context": context, "answers": [{"text": text} for text in answers]}


@pytest.mark.parametrize(
    "answer, references, exact, f1",
    [
        ("the Cat.", ["cat"], 1, 1),
        ("a cat", ["the cat", "dog"], 1, 1),
        ("black cat sat", ["the black cat"], 0, 0.8),  # 2 of 3 and 2 of 2
        ("", ["cat"], 0, 0),
        ("cat", [], 0, 0),
        ("", [], 1, 1),
        ("the", ["a"], 1, 1),  # both are nothing: the only reference is none, so the empty text is right
        ("cat cat", ["cat"], 0, 2 / 3),  # words are counted
        ("U.S.", ["US"], 1, 1),
        ("twenty-one", ["twenty one"], 0, 0),
    ],
)
def test_worked_examples(answer, references, exact, f1):
    assert judged(answer, record(*references)) == pytest.approx((exact, f1), abs=1e-15)
    assert squad(references, answer) == pytest.approx((exact, f1), abs=1e-15)


@settings(max_examples=200, deadline=None)
@given(TEXTS, st.lists(TEXTS, max_size=3))
def test_english_is_as_defined(answer, references):
    assert judged(answer, record(*references)) == pytest.approx(squad(references, answer), abs=1e-15)


@pytest.mark.parametrize(
    "answer, references, exact, f1",
    [
        ("盆景", ["盆景。"], 1, 1),
        ("一九九零年", ["一九九一年"], 0, 0.6),  # three characters in a row of five and five
        ("年一九", ["一九年"], 0, 2 / 3),  # a run, not a bag of characters
        ("GDP增长3.5%", ["gdp增长3.5%"], 1, 1),
        ("", ["盆景"], 0, 0),
        ("盆景很小", ["大树", "盆景"], 0, 2 / 3),
        ("", [], 1, 1),
        ("盆", [], 0, 0),
    ],
)
def test_worked_examples_in_chinese(answer, references, exact, f1):
    one = record(*references, question="盆景是什么？", context="盆景很小。")
    assert judged(answer, one) == pytest.approx((exact, f1), abs=1e-15)


@settings(max_examples=200, deadline=None)
@given(CHINESE, st.lists(CHINESE, min_size=1, max_size=3))
def test_chinese_is_as_defined(answer, references):
    found = [chinese(answer, reference) for reference in references]
    wanted = cmrc(references, answer)
    if signs(answer) or all(map(signs, references)):  # two texts of nothing but marks are alike here, and score 0 there
        assert (max(e for e, _ in found), max(f for _, f in found)) == pytest.approx(wanted, abs=1e-15)


def test_words_among_characters():
    assert signs("2008年GDP为3.14万亿, 约U.S.") == [
        "2008",
        "年",
        "gdp",
        "为",
        "3.14",
        "万",
        "亿",
        ",",
        "约",
        "u",
        ".",
        "s",
        ".",
    ]


def test_the_language_of_the_question_decides():
    both = dict(context="盆景 means a tray landscape. " * 9, answers=[{"text": "tray landscape"}])
    assert judged("a landscape", {"question": "What is it?", **both})[1] == pytest.approx(2 / 3)
    assert judged("盆景很小", record("盆景", question="什么很小？", context="盆景很小"))[1] == pytest.approx(2 / 3)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.1, 0.3, 0.30001, 0.8]), st.floats(0, 1), st.booleans()), min_size=1, max_size=9
    )
)
def test_the_threshold_is_the_best(rows):
    chances, f1, answerable = map(list, zip(*rows, strict=True))
    gains = [score if has else -1.0 for score, has in zip(f1, answerable, strict=True)]
    threshold = best_threshold(chances, gains)

    def mean(at):
        given = [not chance > at for chance in chances]
        return np.mean([(score if has else 0) if says else (0 if has else 1)
                        for says, score, has in zip(given, f1, answerable, strict=True)])  # fmt: skip

    best = max(mean(at) for at in [0.0, 0.2, 0.300005, 0.5, 0.9, 1.0])
    assert mean(threshold) == pytest.approx(best)
    if len(set(chances)) == len(chances):
        assert best == pytest.approx(squad_sweep(chances, f1, answerable))


def test_a_threshold_far_from_both_neighbours():
    assert best_threshold([0.2, 0.4, 0.9], [1, 1, -1]) == pytest.approx(0.65)
    assert best_threshold([0.2, 0.4], [1, 1]) == 1.0 and best_threshold([0.2, 0.4], [-1, -1]) == pytest.approx(0.1)


def test_scores_of_a_set():
    records = [record("cat"), record("the black cat"), record(), record()]
    answers = [{"answer": text} for text in ("the cat", "black cat sat", "", "mat")]
    task = task_named("span", unanswerable=True)
    found = task.score(answers, records)
    assert found == pytest.approx(
        {"f1": (1 + 0.8 + 1) / 4, "exact_match": 0.5, "has_answer_f1": 0.9, "has_answer_exact_match": 0.5,
         "no_answer_accuracy": 0.5}
    )  # fmt: skip
    assert list(task_named("span").score(answers, records)) == ["f1", "exact_match"]
    assert squad_f1("the black cat", "black cat sat") == pytest.approx(english("black cat sat", "the black cat")[1])
    weights = np.asarray([[1, 1, 1, 1], [2, 0, 0, 2]], float)
    assert task.resampled(answers, records, weights)["f1"] == pytest.approx([0.7, 0.5])


def test_all_unanswerable():
    task = task_named("span", unanswerable=True)
    found = task.score([{"answer": ""}, {"answer": "x"}], [record(), record()])
    assert found == {
        "f1": 0.5,
        "exact_match": 0.5,
        "has_answer_f1": 0,
        "has_answer_exact_match": 0,
        "no_answer_accuracy": 0.5,
    }
    assert task.score([], []) == dict.fromkeys(found, 0)


def test_the_definition_is_told():
    notes = task_named("span").notes([record("cat"), record("盆", question="什么？", context="盆景")])
    assert notes == {"definition": "SQuAD 2.0 (1 records), CMRC 2018 (1 records)"}
