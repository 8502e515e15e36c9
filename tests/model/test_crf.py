"""The CRF against all sequences written out."""

import itertools

import pytest
import torch

from penjing.model.crf import CRF, FORBIDDEN, Chain, best, loss, marginals

LENGTHS = torch.tensor([4, 1, 3])


def chance(seed=0):
    """Emissions 3 4 3 and a chain in which label 2 may neither begin nor follow label 0."""
    random = torch.Generator().manual_seed(seed)
    emissions, steps = (torch.randn(*shape, generator=random, dtype=torch.float64) for shape in ((3, 4, 3), (3, 3)))
    first, last = torch.randn(2, 3, generator=random, dtype=torch.float64)
    steps[0, 2] = first[2] = FORBIDDEN
    return emissions, Chain(steps, first, last)


def written_out(emissions, length, chain, whole=(True, True)):
    """(sequence, score) of all sequences of one row."""
    for labels in itertools.product(range(3), repeat=length):
        score = sum(emissions[place, label] for place, label in enumerate(labels))
        score = score + sum(chain.steps[a, b] for a, b in itertools.pairwise(labels))
        yield labels, score + whole[0] * chain.first[labels[0]] + whole[1] * chain.last[labels[-1]]


def test_loss_is_that_of_all_sequences():
    emissions, chain = chance()
    labels = torch.tensor([[1, 1, 2, 0], [0, 9, 9, 9], [0, 1, 2, -100]])
    whole = torch.tensor([[True, True], [True, False], [False, True]])
    for given in (None, whole):
        expected = 0.0
        for row, length in enumerate(LENGTHS.tolist()):
            ends = (True, True) if given is None else given[row].tolist()
            every = dict(written_out(emissions[row], length, chain, ends))
            expected += torch.stack(list(every.values())).logsumexp(0) - every[tuple(labels[row, :length].tolist())]
        torch.testing.assert_close(loss(emissions, labels, LENGTHS, chain, given), expected)


def test_gradients_are_exact():
    emissions, chain = chance(1)
    labels = torch.tensor([[1, 1, 2, 0], [0, 0, 0, 0], [0, 1, 2, 0]])
    steps = torch.where(chain.steps == FORBIDDEN, -3.0, chain.steps)
    inputs = [t.clone().requires_grad_() for t in (emissions, steps, chain.last)]
    assert torch.autograd.gradcheck(
        lambda e, s, last: 2 * loss(e, labels, LENGTHS, Chain(s, chain.last, last)), inputs, eps=1e-6, atol=1e-6
    )


def test_the_best_sequence_and_marginals():
    for seed in range(20):
        emissions, chain = chance(seed)
        found, chances = best(emissions, LENGTHS, chain), marginals(emissions, LENGTHS, chain)
        for row, length in enumerate(LENGTHS.tolist()):
            every = list(written_out(emissions[row], length, chain))
            assert tuple(found[row, :length].tolist()) == max(every, key=lambda pair: pair[1])[0]
            shares = torch.stack([score for _, score in every]).softmax(0)
            expected = torch.zeros(length, 3, dtype=torch.float64)
            for (labels, _), share in zip(every, shares, strict=True):
                expected[torch.arange(length), torch.tensor(labels)] += share
            torch.testing.assert_close(chances[row, :length], expected)


def test_padding_and_forbidden_steps_change_nothing():
    emissions, chain = chance(3)
    labels = torch.tensor([[1, 1, 2, 0], [0, 0, 0, 0], [0, 1, 2, 0]])
    alone = sum(loss(emissions[[r], :n], labels[[r], :n], LENGTHS[[r]], chain) for r, n in enumerate(LENGTHS.tolist()))
    assert loss(emissions, labels, LENGTHS, chain) == pytest.approx(float(alone), abs=1e-12)
    wild = emissions.clone()
    wild[:, :, 2] = 50.0  # what is ruled out stays so, whatever the network says
    found = best(wild, LENGTHS, chain)
    assert (found[:, 0] != 2).all() and not ((found[:, :-1] == 0) & (found[:, 1:] == 2))[0].any()
    assert marginals(wild, LENGTHS, chain)[:, 0, 2].max() == 0


def test_learnt_scores_begin_as_nothing():
    made, (_, chain) = CRF(3), chance()
    assert all(torch.equal(*pair) for pair in zip(made.chain(chain), chain, strict=True))
    with torch.no_grad():
        made.transitions += 1
    assert torch.equal(made.chain(chain).steps, chain.steps + 1)
    made.initialize()
    assert not made.transitions.any()
