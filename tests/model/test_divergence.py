"""Divergences: by hand, at their ends, and over a vocabulary in chunks as all at once."""

import pytest
import torch

from penjing.model import divergence
from penjing.model.divergence import NEVER, Divergence, vocabulary_divergence

OWN, THEIRS = torch.tensor([[1.0, 0.0, -2.0]]), torch.tensor([[0.0, 3.0, -torch.inf]])


def by_hand(one, other):
    return sum(a * (a / b).log() for a, b in zip(one, other, strict=True) if a > 0)


def test_the_three_ways_by_hand():
    p, q = (THEIRS[0] / 2).softmax(-1), (OWN[0] / 2).softmax(-1)
    mean = 0.3 * p + 0.7 * q
    wanted = {"forward": by_hand(p, q), "jsd": 0.3 * by_hand(p, mean) + 0.7 * by_hand(q, mean)}
    for way, value in wanted.items():
        assert float(Divergence(way, 2.0, 0.3)(OWN, THEIRS)) == pytest.approx(4 * float(value), rel=1e-5)
    sure = torch.tensor([[0.5, 1.0, 0.0]])
    assert float(Divergence("reverse")(OWN, sure)) == pytest.approx(
        float(by_hand(OWN[0].softmax(-1), sure[0].softmax(-1))), rel=1e-5
    )


@pytest.mark.parametrize("way", ["forward", "reverse", "jsd"])
def test_nothing_is_between_equals_and_what_cannot_be_is_a_number(way):
    scores = torch.tensor([[0.3, -torch.inf, 2.0]], requires_grad=True)
    value = Divergence(way, 1.5)(scores, scores.detach())
    value.sum().backward()
    assert float(value.detach()) == pytest.approx(0, abs=1e-6) and torch.isfinite(scores.grad).all()
    assert float(Divergence(way)(OWN, THEIRS)) > 0 and NEVER < -1000


@pytest.mark.parametrize("way", ["forward", "reverse", "jsd"])
def test_in_chunks_as_at_once(way, monkeypatch):
    monkeypatch.setattr(divergence, "CELLS", 30)
    chance = torch.Generator().manual_seed(0)
    hidden, weight, bias = (
        torch.randn(*shape, generator=chance, requires_grad=True) for shape in ((7, 4), (12, 4), (12,))
    )
    theirs = torch.randn(7, 6, generator=chance), torch.randn(10, 6, generator=chance), None
    measure = Divergence(way, 2.0, 0.4)
    whole = measure((hidden @ weight.T + bias)[:, :9], (theirs[0] @ theirs[1].T)[:, :9]).sum()
    wanted = torch.autograd.grad(3 * whole, (hidden, weight, bias))
    found = vocabulary_divergence((hidden, weight, bias), theirs, 9, measure)
    assert float(found.detach()) == pytest.approx(float(whole.detach()), rel=1e-5)
    for one, other in zip(torch.autograd.grad(3 * found, (hidden, weight, bias)), wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
