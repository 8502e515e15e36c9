"""The class head: pooling by place, by mean, with padding on either side."""

import pytest
import torch
from networks import batch, config, network

from penjing.model.head import ClassHead, HeadStyle
from penjing.model.transformer import Transformer


@pytest.mark.parametrize("side", ["none", "right", "left"])
@pytest.mark.parametrize("pool", ["first", "last", "mean"])
def test_pooling_ignores_padding(pool, side):
    given, head = batch("bert", side), ClassHead(4, 2, HeadStyle(pool=pool))
    hidden = torch.randn(3, 18, 4)
    mask = torch.ones(3, 18, dtype=torch.bool) if given.mask is None else given.mask
    for row, pooled in enumerate(head.pool(hidden, given)):
        real = hidden[row][mask[row]]
        expected = {"first": real[0], "last": real[-1], "mean": real.mean(0)}[pool]
        torch.testing.assert_close(pooled, expected)


@pytest.mark.parametrize("pool", ["first", "last"])
def test_the_asked_places_suffice(pool):
    made = Transformer.new(config("bert"), vocabulary=False).eval()
    head = ClassHead(16, 2, HeadStyle(pool=pool, dense="dense_plain", activation="gelu", norm="layer")).eval()
    head.initialize(3, std=None)
    given = batch("bert", "right")
    whole = head(made(given), given)
    given.places = head.places(given)
    torch.testing.assert_close(head(made(given), given), whole, atol=1e-5, rtol=1e-5)


def test_dropout_acts_in_training_only():
    head, given, hidden = ClassHead(16, 2, HeadStyle(dropout=0.5)), batch("bert"), torch.randn(3, 18, 16)
    assert not torch.equal(head(hidden, given), head(hidden, given))
    assert torch.equal(head.eval()(hidden, given), head(hidden, given))


def test_a_t5_batch_shifts_its_tokens():
    given = batch("bert", "left").shifted(0)
    for row in range(3):
        real, tokens = given.mask[row], given.tokens[row]
        assert given.target[row][real].tolist() == [0, *tokens[real][:-1].tolist()]
    assert network("t5")(given).shape == (3, 18, 16)
