"""Classical models of pairs: likeness, search, what they are chosen by, their folders."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from toys_vectors import pairs, scored, triplets

from penjing.base.errors import EvaluateError
from penjing.evaluate.classical import bm25_pairs, tfidf_cosine
from penjing.tasks.embed import Task
from penjing.text.bm25 import BM25

KINDS = [tfidf_cosine.Baseline, bm25_pairs.Baseline]


def texts(records):
    return list(dict.fromkeys(text for record in records for text in (record["text"], record["text_b"])))


def cosine(train, one, two, cut):
    """TF-IDF cosine by its definition."""
    held = Counter(gram for text in train for gram in set(cut(text)))

    def vector(text):
        counts = Counter(cut(text))
        weights = {}
        for gram, times in counts.items():
            known = held[gram] if held[gram] > 1 else 0
            weights[gram] = (1 + math.log(times)) * (math.log((1 + len(train)) / (1 + known)) + 1)
        return weights, math.sqrt(sum(w * w for w in weights.values()))

    (a, length), (b, other) = vector(one), vector(two)
    return sum(w * b.get(gram, 0) for gram, w in a.items()) / (length * other)


def test_tfidf_cosine_is_its_definition():
    records = scored()
    model = tfidf_cosine.Baseline.fit(Task.made(records), records, [])
    for grams in tfidf_cosine.CHOICES:
        holding = {name: tfidf_cosine.counted(texts(records), cut) for name, cut in tfidf_cosine.CUTTERS.items()}
        trial = tfidf_cosine.Baseline(model.task, holding, {**model.facts, "grams": grams})
        for one, two in (("the good tree tree", "a very good box"), ("满意快递", "快递 broken")):
            wanted = [cosine(texts(records), one, two, tfidf_cosine.CUTTERS[n]) for n in tfidf_cosine.CHOICES[grams]]
            assert trial.near(one, two) == pytest.approx(np.mean(wanted))
    best = max(tfidf_cosine.CHOICES, key=lambda grams: model.scored(grams, records) if grams in model.used else 0)
    assert model.facts["grams"] == best and model.facts["features"] > 0
    assert model.near("good", "good") == pytest.approx(1) and model.near("xyz", "good") < 0.2
    assert tfidf_cosine.characters(" A  b") == list(" a b ") + [
        " a",
        "a ",
        " b",
        "b ",
        " a ",
        "a b",
        " b ",
        " a b",
        "a b ",
    ]


def test_bm25_likeness():
    records = scored()
    model, index = bm25_pairs.Baseline.fit(Task.made(records), records, []), BM25.fit(texts(records))
    one, two = "the good tree", "very good"
    own = index.between(one, one) + index.between(two, two)
    assert model.near(one, two) == pytest.approx((index.between(one, two) + index.between(two, one)) / own)
    assert model.near(one, one) == pytest.approx(1) and model.near("", "😀") == 0 == model.near("tree", "")


@pytest.mark.parametrize("kind", KINDS)
def test_they_answer_each_form(kind, tmp_path):
    for records in (scored(), pairs(), triplets()):
        task = Task.made(records)
        model = kind.fit(task, records, records[:10])
        answers = model.answer(records)
        found = task.score(answers, records)
        assert task.main_score in found and "alignment" not in found
        assert set(task.resampled(answers, records, np.ones((2, len(records))))) == set(found)
        assert ("ranks" in answers[0]) == ("score" not in records[0])
        model.save(tmp_path / "baseline")
        again = kind.load(tmp_path / "baseline")
        assert again.answer(records) == answers and again.task == task and again.facts == model.facts
        assert list(task.lines(records[0], answers[0])) and json.loads(json.dumps(answers)) == answers
    assert model.answer([]) == []


def test_search_is_by_likeness():
    """The ranks are those of `near` for TF-IDF, of the index of the candidates for BM25."""
    records = pairs(12)
    task = Task.made(records)
    for kind in KINDS:
        model = kind.fit(task, records, [])
        candidates = list(dict.fromkeys(record["text_b"] for record in records))
        rows = list(model.searched([record["text"] for record in records], candidates))
        if kind is tfidf_cosine.Baseline:
            assert np.allclose(rows, [[model.near(r["text"], c) for c in candidates] for r in records])
        else:
            assert np.allclose(rows[0], BM25.fit(candidates).scores(records[0]["text"]))


@pytest.mark.parametrize("kind", KINDS)
def test_what_they_cannot_read(kind, tmp_path):
    records = [
        *scored(),
        {"text": "\ud800 half", "text_b": "tree", "score": 2.0},
        {"text": "", "text_b": "", "score": 1.0},
    ]
    model = kind.fit(Task.made(records), records, [])
    model.save(tmp_path / "b")
    assert kind.load(tmp_path / "b").answer(records) == model.answer(records)
    with pytest.raises(EvaluateError, match="P-EVAL-030"):
        model.answer([{"text": "tree", "text_b": "box"}, {"text": "alone"}])
    arrays = tmp_path / "b" / "arrays.npz"
    arrays.write_bytes(arrays.read_bytes()[:50])
    with pytest.raises(EvaluateError, match="P-EVAL-003"):
        kind.load(tmp_path / "b")
