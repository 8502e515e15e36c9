"""Kneser-Ney: probabilities sum to one and are those of the formulas; the baseline spells any text, and is kept whole."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from penjing.base.errors import EvaluateError
from penjing.evaluate.classical import load_classical
from penjing.evaluate.classical.ngram_lm import CHARACTERS, Baseline
from penjing.evaluate.kneser_ney import CHUNK, KneserNey, chunks, counted, discounts, longest
from penjing.tasks.blocks import BLOCK, drawn_blocks

VERSE = "the tree in the tray is a tree, and the tray is a landscape; the landscape is small and the tree is old. " * 6
CHINESE = "盆景之中有山有水，山水之间有树有人。" * 20


def rows(chance, number=6, symbols=5, longest=30):
    return [chance.integers(0, symbols, chance.integers(1, longest)) for _ in range(number)]


@settings(max_examples=25, deadline=None)
@given(some.integers(0, 999), some.integers(1, 4))
def test_probabilities_sum_to_one(seed, order):
    chance = np.random.default_rng(seed)
    model = KneserNey.fit(rows(chance), order, 5)
    contexts = [[], *rows(chance, 10, 5, 6), [4] * order]
    for context in contexts:
        found = model.following(context)
        assert found.shape == (5,) and (found > 0).all() and found.sum() == pytest.approx(1)


def slow(texts, order, symbols, history, symbol):
    """The formulas of Chen & Goodman, word for word, by dictionaries."""
    counts = {length: {} for length in range(1, order + 1)}
    for text in texts:
        whole = [symbols] * (order - 1) + list(text)
        for end in range(order - 1, len(whole)):
            gram = tuple(whole[end - order + 1 : end + 1])
            counts[order][gram] = counts[order].get(gram, 0) + 1
    for length in range(order - 1, 0, -1):
        for gram in counts[length + 1]:
            counts[length][gram[1:]] = counts[length].get(gram[1:], 0) + 1

    def chance(history, symbol):
        length = len(history) + 1
        shorter = chance(history[1:], symbol) if history else 1 / symbols
        here = {gram: count for gram, count in counts[length].items() if gram[:-1] == history}
        if not here:
            return shorter
        cut = discounts(np.asarray(list(counts[length].values())))
        own = here.get((*history, symbol), 0)
        left = sum(cut[min(count, 3)] for count in here.values())
        return (own - (cut[min(own, 3)] if own else 0) + left * shorter) / sum(here.values())

    return chance(tuple(history), symbol)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_the_formulas_word_for_word(order):
    texts = rows(np.random.default_rng(3), 8, 3)
    model = KneserNey.fit(texts, order, 3)
    for history in product(range(4), repeat=order - 1):
        if 3 in history and list(history) != sorted(history, reverse=True):
            continue  # the boundary stands only before a text
        found = [slow(texts, order, 3, history, symbol) for symbol in range(3)]
        begun = [symbol for symbol in history if symbol != 3]
        if begun == list(history) or len(begun) < order - 1:
            np.testing.assert_allclose(model.following(begun), found, rtol=1e-12)
    text = texts[2]
    one_by_one = [model.following(text[:place])[symbol] for place, symbol in enumerate(text)]
    np.testing.assert_allclose(model.chances(text), one_by_one, rtol=1e-12)
    assert len(model.chances(text[:0])) == 0


def test_discounts_are_read_off_the_counts_of_counts():
    counts = np.repeat([1, 2, 3, 4], [40, 20, 12, 8])
    y = 40 / (40 + 2 * 20)
    wanted = [0, 1 - 2 * y * 20 / 40, 2 - 3 * y * 12 / 20, 3 - 4 * y * 8 / 12]
    np.testing.assert_allclose(discounts(counts), wanted)
    assert (discounts(np.ones(3, int)) <= [0, 1, 2, 3]).all() and (discounts(np.arange(1, 9))[1:] > 0).all()


def test_counting_in_pieces_changes_nothing(monkeypatch):
    texts = rows(np.random.default_rng(1), 20)
    whole = counted(texts, 3, 5)
    monkeypatch.setattr("penjing.evaluate.kneser_ney.CHUNK", 30)
    assert len(list(chunks(texts))) > 3 and CHUNK > 30
    again = counted(texts, 3, 5)
    assert (whole[0] == again[0]).all() and (whole[1] == again[1]).all()
    assert longest(5, 8) == 8 and longest(5000, 8) == 5


def test_it_learns_english_and_chinese_and_is_kept_whole(tmp_path):
    for text in (VERSE, CHINESE):
        model = Baseline.fit(None, [{"text": text}])
        blind = Baseline.fit(None, [{"text": text[:20]}])
        (answer,), (other,) = model.answer([{"text": text[:200]}]), blind.answer([{"text": text[:200]}])
        assert answer["bits_per_byte"] < 0.5 * other["bits_per_byte"] < 8
        model.save(tmp_path / "m")
        again = load_classical(tmp_path / "m")
        assert again.answer([{"text": text[:200]}]) == [answer] and again.facts == model.facts
    (tmp_path / "m" / "ngrams.npz").write_bytes(b"PK")
    with pytest.raises(EvaluateError, match="P-EVAL-003"):
        load_classical(tmp_path / "m")
    with pytest.raises(EvaluateError, match="P-EVAL-001"):
        Baseline.fit(None, [{"text": ""}])


def test_unknown_characters_cost_their_share_of_unicode():
    model = Baseline.fit(None, [{"text": VERSE}])
    known, strange = (model.answer([{"text": text}])[0]["bits"][0] for text in ("tree", "tre😀"))
    first = model.model.following([model.alphabet.searchsorted(ord(c)) + 1 for c in "tre"])
    assert strange - known == pytest.approx(
        np.log2(first[1 + model.alphabet.searchsorted(ord("e"))] / first[0]) + np.log2(CHARACTERS - len(model.alphabet))
    )
    for text in ("", " ", "\ud800", "满意😀", "é" * 300):
        answer = model.answer([{"text": text}])[0]
        assert np.isfinite(answer["bits"]).all() and sum(answer["bytes"]) == len(text.encode("utf-8", "replace"))


def test_no_more_text_is_read_than_memory_is_bounded_by(monkeypatch):
    monkeypatch.setattr("penjing.evaluate.classical.ngram_lm.READ", 50)
    model = Baseline.fit(None, iter([{"text": VERSE}, {"text": CHINESE}]))
    assert model.facts["read"] == 50 and model.facts["characters"] < 20


def test_the_order_is_chosen_on_valid():
    chosen = Baseline.fit(None, [{"text": VERSE}], [{"text": VERSE}])
    assert chosen.facts["chosen_on"] == "valid" and chosen.model.order > 3
    noise = "".join(np.random.default_rng(0).choice(list("abcdef"), 3000))
    short = Baseline.fit(None, [{"text": noise[:1000]}], [{"text": noise[1000:]}])
    assert short.model.order == 3


def test_blocks_are_drawn_alike_for_all_and_as_often_as_there_are():
    text = "abc é 盆景 " * 800
    answer = Baseline.fit(None, [{"text": VERSE}]).answer([{"text": text}])[0]
    assert len(answer["bits"]) == -(-len(text) // BLOCK) and sum(answer["bytes"]) == len(text.encode())
    weights = np.random.default_rng(0).multinomial(3, [1 / 3] * 3, size=50)
    one, other = drawn_blocks(weights, [2, 1, 4]), drawn_blocks(weights.astype(float), [2, 1, 4])
    assert one.shape == (50, 7) and (one == other).all() and (one.sum(1) == 7).all()
    assert (drawn_blocks(np.ones((1, 3)), [2, 1, 4]) == 1).all()
