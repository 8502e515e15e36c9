"""BM25 beside its formula written out, its terms, its order of equals, its file."""

import math
import random
import time

import numpy as np
import pytest

from penjing.base.errors import FileError, OptionError
from penjing.text.bm25 import BM25, highest, terms

TEXTS = [
    "The cat sat on the mat.", "A dog and a cat.", "Dogs bark.", "", "我的快递在哪里", "快递到了，谢谢！", "iPhone手机 is 手机",
    "don't stop 😀 \ud800", "cat cat cat",
]  # fmt: skip


def transcribed(texts, query, k1, b):
    """The definition, slowly."""
    cut = [terms(text) for text in texts]
    mean = sum(map(len, cut)) / len(cut)
    found = []
    for text in cut:
        total = 0.0
        for term in terms(query):
            held = sum(term in other for other in cut)
            idf = math.log(1 + (len(texts) - held + 0.5) / (held + 0.5))
            times = text.count(term)
            total += idf * times / (times + k1 * (1 - b + b * len(text) / mean)) if times else 0
        found.append(total)
    return found


def test_terms():
    assert terms("The CAT's mat, don’t") == ["the", "cat's", "mat", "don’t"]
    assert terms("我的快递") == ["我", "的", "快", "递", "我的", "的快", "快递"]
    assert terms("iPhone手机 is 5G_x") == ["iphone", "手", "机", "手机", "is", "5g", "x"]
    assert terms("") == [] and terms(" 😀!，\ud800") == []


@pytest.mark.parametrize(("k1", "b"), [(1.2, 0.75), (0.0, 0.0), (2.0, 1.0)])
def test_the_definition(k1, b):
    index = BM25.fit(TEXTS, k1=k1, b=b)
    for query in ("cat", "the cat the", "快递 dog", "nothing of it", "", "don't 手机"):
        assert np.allclose(index.scores(query), transcribed(TEXTS, query, k1, b), atol=1e-6)
        each = [index.between(query, text) for text in TEXTS]
        assert np.allclose(index.scores(query), each, atol=1e-6)
    assert len(index) == len(TEXTS) and index.between("giraffe", "a giraffe") > index.between("cat", "a cat") > 0


def test_the_best_come_first_and_equals_by_number():
    index = BM25.fit(TEXTS)
    places, scores = index.best(["cat", "快递"], 3)
    assert places.shape == scores.shape == (2, 3) and places[0, 0] == 8 and set(places[1, :2]) == {4, 5}
    assert (np.diff(scores) <= 0).all()
    assert BM25.fit(["same", "same", "other", "same"]).best(["same"], 3)[0].tolist() == [[0, 1, 3]]
    assert index.best(["cat"], 99)[0].shape == (1, len(TEXTS)) and index.best([], 3)[0].shape == (0, 3)
    chance = np.random.default_rng(0)
    for k in (0, 1, 7, 50):
        many = chance.integers(0, 9, 50).astype(np.float32)
        assert highest(many, k)[0].tolist() == np.argsort(-many, kind="stable")[:k].tolist()


def test_nothing_to_index():
    for texts in ([], ["", "!?"]):
        index = BM25.fit(texts)
        assert index.scores("cat").tolist() == [0.0] * len(texts) and index.best(["cat"], 1)[0].shape[1] == len(
            texts[:1]
        )
    with pytest.raises(OptionError, match="P-OPTION-002"):
        BM25.fit(TEXTS, b=2.0)


def test_saved_and_loaded(tmp_path):
    for texts in (TEXTS, []):
        index = BM25.fit(texts, k1=0.9, b=0.4)
        index.save(tmp_path / "index.npz")
        again = BM25.load(tmp_path / "index.npz")
        assert np.array_equal(again.scores("the cat 快递"), index.scores("the cat 快递"))
        assert (again.k1, again.b, again.mean, again.numbers) == (0.9, 0.4, index.mean, index.numbers)


def test_broken_files(tmp_path):
    file = tmp_path / "index.npz"
    with pytest.raises(FileError, match="P-FILE-001"):
        BM25.load(file)
    BM25.fit(TEXTS).save(file)
    whole = file.read_bytes()
    np.savez(tmp_path / "strange.npz", terms=np.zeros(3))
    np.savez(tmp_path / "unlike.npz", **{**BM25.fit(TEXTS).arrays(), "texts": np.zeros(1, np.int32)})
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.npz").write_text("no archive")
    with open(tmp_path / "array.npz", "wb") as other:
        np.save(other, np.zeros(3))
    for name in ("array", "strange", "unlike", "cut", "text"):
        with pytest.raises(FileError, match="P-FILE-004"):
            BM25.load(tmp_path / f"{name}.npz")


def test_many_texts_are_quick():
    """50,000 texts in a few seconds, a query in milliseconds: bounds far above what is needed."""
    chance = random.Random(0)
    words = [f"word{int(chance.paretovariate(1))}" for _ in range(200_000)]
    texts = [" ".join(chance.choices(words, k=12)) for _ in range(20_000)]
    began = time.perf_counter()
    index = BM25.fit(texts)
    fitted = time.perf_counter()
    assert fitted - began < 20
    index.best(texts[:50], 10)
    assert time.perf_counter() - fitted < 5
