"""Correlations beside scipy's, retrieval beside its definition written out, resamples beside single records."""

import math

import numpy as np
import pytest
from scipy.stats import pearsonr, rankdata, spearmanr

from penjing.tasks import task_named
from penjing.tasks.correlation import pearson, ranked, resampled, spearman
from penjing.tasks.retrieval import MEASURES, Search, alignment, measured, uniformity


def arrays():
    """Many odd pairs of arrays: with ties, of two values, large, small, of opposite order."""
    chance = np.random.default_rng(0)
    for number in range(60):
        size = int(chance.integers(2, 400))
        x = chance.normal(size=size)
        y = x * chance.normal() + chance.normal(size=size)
        x, y = (np.round(x, 1), np.round(y)) if number % 2 else (x * 10.0**number, y)
        if len(set(x)) > 1 and len(set(y)) > 1:
            yield x, y
    yield np.asarray([1.0, 2.0]), np.asarray([3.0, 1.0])
    yield np.asarray([1, 2, 3, 3]), np.asarray([-1, -2, -3, -3])


def test_correlations_are_scipys_to_the_last_digit():
    for x, y in arrays():
        assert spearman(x, y) == spearmanr(x, y).statistic and pearson(x, y) == pearsonr(x, y).statistic
        assert ranked(x).tolist() == rankdata(x).tolist()
    for x, y in (([], []), ([1.0], [2.0]), ([1.0, 1.0], [1.0, 2.0])):  # scipy: an error, or nan
        assert pearson(np.asarray(x), np.asarray(y)) == spearman(np.asarray(x), np.asarray(y)) == 0.0


def test_a_resample_is_those_records_again():
    chance = np.random.default_rng(1)
    x, y = np.round(chance.normal(size=50), 1), chance.integers(0, 5, 50).astype(float)
    weights = chance.multinomial(50, np.full(50, 1 / 50), size=8)
    found = resampled(x, y, weights)
    for number, times in enumerate(weights):
        drawn = np.repeat(np.arange(50), times)
        assert found["spearman"][number] == pytest.approx(spearmanr(x[drawn], y[drawn]).statistic, abs=1e-12)
        assert found["pearson"][number] == pytest.approx(pearsonr(x[drawn], y[drawn]).statistic, abs=1e-12)
    one = np.zeros((1, 50))
    one[0, 3] = 50  # one record alone is constant
    assert resampled(x, y, one)["pearson"][0] == resampled(x, y, one)["spearman"][0] == 0


def transcribed(scores, relevant):
    """The definitions, slowly, for one query."""
    order = sorted(range(len(scores)), key=lambda place: (-scores[place], place))
    hits = [place in relevant for place in order]
    recall = [sum(hits[:k]) / len(relevant) for k in (1, 5, 10)]
    gain = sum(1 / math.log2(1 + rank) for rank, hit in enumerate(hits[:10], 1) if hit)
    best = sum(1 / math.log2(1 + rank) for rank in range(1, min(len(relevant), 10) + 1))
    return [*recall, 1 / (1 + hits.index(True)), gain / best]


def test_retrieval_is_its_definition():
    chance = np.random.default_rng(2)
    for size in (1, 3, 12, 40):
        relevant = [np.sort(chance.choice(size, int(chance.integers(1, size + 1)), replace=False)) for _ in range(20)]
        scores = np.round(chance.normal(size=(20, size)), 1)  # with ties
        search = Search([str(number) for number in range(size)], relevant)
        for row, right, ranks in zip(scores, relevant, search.ranks(scores), strict=True):
            assert measured(ranks) == pytest.approx(transcribed(row.tolist(), set(right.tolist())), abs=1e-15)
    assert measured([1]) == [1.0] * len(MEASURES)


def test_what_is_searched():
    pairs = [("a", "x"), ("b", "y"), ("a", "z"), ("c", "x")]
    search = Search.of([{"text": one, "text_b": two} for one, two in pairs])
    assert search.candidates == ["x", "y", "z"] and [r.tolist() for r in search.relevant] == [[0, 2], [1], [0, 2], [0]]
    search = Search.of(
        [{"text": "a", "positive": "x", "negative": "y"}, {"text": "b", "positive": "y", "negative": ""}]
    )
    assert search.candidates == ["x", "y", ""] and [r.tolist() for r in search.relevant] == [[0], [1]]


def test_alignment_and_uniformity():
    """Wang & Isola's two figures, beside their formulas; in a resample a text counts as often as it is drawn."""
    chance = np.random.default_rng(3)
    vectors = chance.normal(size=(6, 2, 4))
    vectors /= np.linalg.norm(vectors, axis=-1, keepdims=True)
    flat, once = vectors.reshape(12, 4), np.ones((1, 6))
    wanted = np.mean([np.exp(-2 * ((flat[i] - flat[j]) ** 2).sum()) for i in range(12) for j in range(12) if i != j])
    assert uniformity(vectors, np.arange(12).reshape(6, 2), once)[0] == pytest.approx(math.log(wanted))
    assert alignment(vectors, once)[0] == pytest.approx(((vectors[:, 0] - vectors[:, 1]) ** 2).sum(-1).mean())
    same = np.repeat(vectors[:1], 6, 0)
    assert uniformity(same, np.zeros((6, 2), int), once)[0] == 0.0  # one text: nothing to be apart from
    two = np.asarray([[3.0, 0, 0, 0, 0, 0]])
    apart = np.exp(-2 * ((flat[0] - flat[1]) ** 2).sum())
    assert uniformity(vectors, np.arange(12).reshape(6, 2), two)[0] == pytest.approx(math.log(apart))


@pytest.mark.parametrize("form", ["scored", "pairs", "triplets"])
def test_the_scores_of_a_task(form):
    """Known vectors: what is near is found, and one weight for each record gives the scores themselves."""
    records = {
        "scored": [{"text": "a", "text_b": "b", "score": 5}, {"text": "a", "text_b": "c", "score": 0},
                   {"text": "b", "text_b": "c", "score": 1}],
        "pairs": [{"text": "a", "text_b": "b"}, {"text": "b", "text_b": "c"}],
        "triplets": [{"text": "a", "positive": "b", "negative": "c"}, {"text": "b", "positive": "c", "negative": "b"}],
    }[form]  # fmt: skip
    places = {"a": [1.0, 0.0], "b": [0.9, 0.1], "c": [0.0, 1.0]}
    task = task_named("embed", objective={"scored": None, "pairs": "contrast", "triplets": "triplet"}[form])
    answers = []
    for record in records:
        texts = [record[name] for name in ("text", "text_b", "positive", "negative") if name in record]
        near = [float(np.dot(places[texts[0]], places[text])) for text in texts[1:]]
        answers.append({"cosine": near[0], "cosines": near, "vectors": [places[text] for text in texts]})
    found = task.score(answers, records)
    many = task.resampled(answers, records, np.ones((3, len(records))))
    assert set(many) == set(found) >= {task.main_score, "alignment", "uniformity"}
    for name, values in many.items():
        assert values == pytest.approx([found[name]] * 3)
    if form == "scored":
        assert found["spearman"] == pytest.approx(1) and 0.9 < found["pearson"] < 1
    else:
        assert found["recall@1"] == 0.5 and found["mrr"] == 0.75 and found["recall@5"] == 1
    if form == "triplets":
        assert found["right"] == 0.5
