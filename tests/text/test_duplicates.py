"""Near duplicates: found when a text is edited a little, not found otherwise, in both languages."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.text.duplicates import across, digests, equal, near_duplicates, signatures, similarity
from penjing.text.splits import DROPPED, SPLITS, TEST, TRAIN, VALID, Clusters, decide

ENGLISH = [
    f"{a}{b}" for a in ("ka", "lo", "mi", "su", "te", "ro", "pa") for b in ("ran", "dol", "fen", "gis", "tum", "bel")
]
CHINESE = [chr(0x4E00 + 13 * i) for i in range(300)]


def document(language, generator):
    words = generator.choices(ENGLISH if language == "en" else CHINESE, k=60 if language == "en" else 120)
    return (" " if language == "en" else "").join(words)


def edited(text, language, generator, count):
    words = text.split(" ") if language == "en" else list(text)
    for _ in range(count):
        words[generator.randrange(len(words))] = generator.choice(
            ["new", "other"] if language == "en" else ["新", "别"]
        )
    return (" " if language == "en" else "").join(words)


@pytest.mark.parametrize("language", ["en", "zh"])
def test_recall_and_precision(language):
    generator = random.Random(5)
    texts = [document(language, generator) for _ in range(300)]
    close = [edited(text, language, generator, 3) for text in texts[:150]]
    found = near_duplicates(signatures(texts + close), 0.7)
    hits = sum(found[300 + i] == i for i in range(150))
    wrong = sum(found[i] != i for i in range(300))
    assert hits >= 147 and wrong == 0
    far = [edited(text, language, generator, 80) for text in texts[:150]]
    assert (near_duplicates(signatures(texts + far), 0.7)[300:] >= 300).all()


def test_similarity_estimates_jaccard():
    words = [f"w{i}" for i in range(400)]
    one = " ".join(words)
    other = " ".join(words[:200] + [f"v{i}" for i in range(200)])
    rows = signatures([one, other])
    assert abs(similarity(rows[:1], rows[1:])[0] - 199 / 599) < 0.15


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_signatures_depend_on_the_text_alone(texts):
    together = signatures(texts)
    alone = np.concatenate([signatures([text]) for text in texts])
    assert np.array_equal(together, alone) and together.nbytes <= 200 * len(texts)


def test_exact():
    assert equal(digests(["a", "b", "a", "", "b", "a"])).tolist() == [0, 1, 0, 3, 1, 0]
    assert equal(digests([]).reshape(-1, 2)).tolist() == []


def test_across():
    generator = random.Random(2)
    texts = [document("en", generator) for _ in range(6)]
    close = edited(texts[1], "en", generator, 2)
    found = across({"test": texts[:3], "train": [texts[4], texts[0], close], "raw": []})
    assert [(a, b) for a, b, _ in found["test", "train"]] == [(0, 1), (1, 2)]
    assert across({"test": ["a"]}) == {}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_decisions_keep_splits_apart(data):
    size = data.draw(st.integers(1, 60))
    split = np.sort(np.array(data.draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)), np.int8))
    roots = np.array(data.draw(st.lists(st.integers(0, 20), min_size=size, max_size=size)))
    near = np.array([np.flatnonzero(roots == r)[0] for r in roots])
    fine = roots * 2 + np.array(data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    exact = np.array([np.flatnonzero(fine == r)[0] for r in fine])
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=size, max_size=size)))
    clusters = Clusters(exact, near, split, labels)
    shares = {"valid_share": 0.2, "test_share": 0.1}
    found = decide(clusters, exact=True, near=True, across="drop", seed=1, **shares).split
    assert (found[split == TEST] == TEST).all()
    for code in (TEST, VALID):
        for other in range(code + 1, len(SPLITS)):
            assert not set(near[found == code]) & set(near[found == other])
    kept = found[(split == TRAIN) & (found != DROPPED)]
    assert set(kept.tolist()) <= {TEST, VALID, TRAIN}


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_no_key_stands_on_two_sides(data):
    size = data.draw(st.integers(1, 40))
    pair = st.tuples(st.integers(0, 9), st.integers(10, 19))
    keys = np.array(data.draw(st.lists(pair, min_size=size, max_size=size)))
    split = np.sort(np.array(data.draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)), np.int8))
    exact = np.array([np.flatnonzero((keys == row).all(1))[0] for row in keys])
    first = np.array([np.flatnonzero(keys[:, 0] == key)[0] for key in keys[:, 0]])
    clusters = Clusters(exact, first, split, np.full(size, -1), keys=keys)
    ways = {"exact": True, "near": False, "valid_share": 0.2, "test_share": 0.2, "seed": 0}
    for what in ("drop", "equal"):
        found = decide(clusters, across=what, **ways).split
        sides = [set(keys[found == code].ravel().tolist()) for code in (TEST, VALID, TRAIN)]
        assert not sides[0] & sides[1] and not sides[0] & sides[2] and not sides[1] & sides[2]
    kept = np.isin(decide(clusters, across="report", **ways).split, (TEST, VALID, TRAIN))
    assert kept[(split < TRAIN) | (split > TRAIN + 1)].all()
    few = decide(clusters, across="equal", most=2, **ways).split
    assert ((few == TRAIN) & (split == TRAIN)).sum() == min(2, ((found == TRAIN) & (split == TRAIN)).sum())
