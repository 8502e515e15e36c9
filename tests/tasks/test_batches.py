"""Batches: every example once, within the budget, little padding, the same from (seed, epoch), anywhere in the middle."""

from itertools import islice

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some

from penjing.tasks.batches import Batches, Position, even_widths, rounded
from penjing.tasks.task import padded


def lognormal(number, seed, middle=60.0, spread=0.8, longest=512):
    chance = np.random.Generator(np.random.PCG64(seed))
    return np.clip(np.exp(chance.normal(np.log(middle), spread, number)), 1, longest).astype(np.int64)


@settings(max_examples=40, deadline=None)
@given(some.integers(1, 400), some.integers(0, 99), some.sampled_from([64, 512, 4096]), some.booleans())
def test_every_example_once_within_the_budget(number, seed, budget, shuffle):
    lengths = lognormal(number, seed)
    batches = Batches(lengths, budget, seed, shuffle=shuffle)
    for epoch in (0, 3):
        found = batches.epoch(epoch)
        assert sorted(np.concatenate(found).tolist()) == list(range(number))
        for rows in found:
            assert len(rows) == 1 or len(rows) * rounded(int(lengths[rows].max())) <= budget


@settings(max_examples=8, deadline=None)
@given(some.integers(0, 999), some.floats(20, 150), some.floats(0.3, 1.0), some.sampled_from([1024, 2048, 4096]))
def test_padding_stays_small_on_lognormal_lengths(seed, middle, spread, budget):
    lengths = lognormal(int(80 * budget / middle), seed, middle, spread)  # some eighty batches
    batches = Batches(lengths, budget, seed)
    for epoch in (0, 1):
        cells = sum(len(rows) * int(lengths[rows].max()) for rows in batches.epoch(epoch))
        assert 1 - lengths.sum() / cells <= 0.05
    assert 0 <= batches.padding() <= 0.05


@settings(max_examples=25, deadline=None)
@given(some.integers(1, 200), some.integers(0, 9), some.integers(0, 40))
def test_the_rest_of_the_sequence_from_any_position(number, seed, taken):
    lengths = lognormal(number, seed)
    whole = list(islice(Batches(lengths, 256, seed).from_position(Position()), taken + 20))
    place = whole[taken - 1][0] if taken else Position()
    rest = list(islice(Batches(lengths.copy(), 256, seed).from_position(place), 20))
    for (after, rows), (other, again) in zip(whole[taken:], rest, strict=True):
        assert after == other and rows.tolist() == again.tolist()


def test_seed_and_epoch_change_the_order():
    lengths = lognormal(200, 0)

    def order(seed, epoch):
        return [rows.tolist() for rows in Batches(lengths, 512, seed).epoch(epoch)]

    assert order(0, 1) == order(0, 1) != order(0, 2) and order(0, 1) != order(1, 1)


def test_rounded_lengths():
    given = np.arange(1, 3000)
    found = rounded(given)
    assert (found >= given).all() and (found <= given * 1.125).all() and (found[:24] == given[:24]).all()
    assert [rounded(int(n)) for n in given[::97]] == found[::97].tolist()


def test_nothing_makes_no_batch():
    assert Batches(np.zeros(0, np.int64), 64, 0, shuffle=False).epoch(0) == []
    assert Batches(np.zeros(0, np.int64), 64, 0).epoch(0) == []


def test_rows_are_padded_to_the_next_step_where_that_is_wanted():
    """Up to the longest of all, and no further; the mask is of what is real."""
    rows = [np.arange(1, 71), np.arange(1, 68)]
    assert padded(rows, 0)[0].shape == (2, 70)
    with even_widths(500):
        tokens, mask = padded(rows, 0)
        assert padded(rows, 0, 90)[0].shape == (2, 90)
    assert tokens.shape == (2, 72) and mask.sum(1).tolist() == [70, 67]
    with even_widths(71):
        assert padded(rows, 0)[0].shape == (2, 71)
    with even_widths(8):  # another side of the example is shorter
        assert padded(rows, 0)[0].shape == (2, 70)
    assert padded(rows, 0)[0].shape == (2, 70)
