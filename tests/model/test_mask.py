"""The described mask means what the plainly drawn one means, and is described no larger than needed."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.model.mask import biased, describe, first_place, last_place, positions


def drawn(padding, rows, keys, slots, causal, window):
    """The whole table, one question at a time."""
    table = torch.zeros(rows, len(slots[0]), keys, dtype=torch.bool)
    for row in range(rows):
        for i, query in enumerate(slots[row]):
            for key in range(keys):
                seen = (not causal or key <= query) and (window is None or abs(key - query) <= window)
                table[row, i, key] = seen and (padding is None or bool(padding[row, key]))
    return table


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_described_is_drawn(data):
    keys, rows = data.draw(st.integers(1, 7)), 2
    causal = data.draw(st.booleans())
    window = data.draw(st.sampled_from([None, 1, 2, 9]))
    padding = None
    if data.draw(st.booleans()):
        short = [data.draw(st.integers(0, keys - 1)) for _ in range(rows)]
        left = data.draw(st.booleans())
        padding = torch.tensor([[i >= n if left else i < keys - n for i in range(keys)] for n in short])
    places, first, queries = None, 0, keys
    kind = data.draw(st.sampled_from(["whole", "places", "step"]))
    if kind == "places":
        queries = data.draw(st.integers(1, 3))
        slots = [[data.draw(st.integers(0, keys - 1)) for _ in range(queries)] for _ in range(rows)]
        places = torch.tensor(slots)
    if kind == "step":
        first = data.draw(st.integers(0, keys - 1))
        queries = keys - first
    if kind != "places":
        slots = [list(range(first, keys))] * rows
    options = dict(causal=causal, window=window, first=first, places=places)
    visible = describe(padding, queries, keys, **options)
    expected = drawn(padding, rows, keys, slots, causal, window)
    told = torch.ones(rows, queries, keys, dtype=torch.bool)
    if visible.causal:
        told = told.tril()
    if visible.mask is not None:
        told = told & visible.mask[:, 0]
    for row in range(rows):
        for i, query in enumerate(slots[row]):
            if expected[row, i].any() and (padding is None or bool(padding[row, query])):
                assert torch.equal(told[row, i], expected[row, i])
            assert told[row, i].any()


def test_the_cheapest_description_is_chosen():
    padding = torch.tensor([[True, True, False]])
    assert describe(None, 3, 3) == (None, False)
    assert describe(None, 3, 3, causal=True) == (None, True)
    assert describe(None, 1, 3, causal=True, first=2) == (None, False)
    assert describe(None, 3, 3, window=2) == (None, False)
    assert describe(padding, 3, 3).mask.shape == (1, 1, 1, 3)
    assert describe(None, 3, 3, window=1).mask.shape == (1, 1, 3, 3)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 9), st.integers(0, 8), st.booleans())
def test_positions_and_ends(length, short, left):
    short = min(short, length - 1)
    mask = torch.tensor([[i >= short if left else i < length - short for i in range(length)]])
    assert positions(mask)[mask].tolist() == list(range(length - short))
    real = mask[0].nonzero().flatten().tolist()
    assert int(first_place(mask, mask)) == real[0] and int(last_place(mask, mask)) == real[-1]


def test_a_bias_joins_any_description():
    bias, padding = torch.randn(1, 2, 3, 3), torch.tensor([[True, True, False]])
    assert biased(describe(None, 3, 3), bias).mask is bias
    hidden = biased(describe(None, 3, 3, causal=True), bias).mask
    assert torch.equal(hidden.softmax(-1).triu(1), torch.zeros(1, 2, 3, 3))
    hidden = biased(describe(padding, 3, 3), bias).mask
    assert torch.equal(F.softmax(hidden, -1)[..., 2], torch.zeros(1, 2, 3))
