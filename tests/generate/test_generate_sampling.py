"""Penalties and cuts beside transformers' own; the draw by counts."""

import pytest
import torch
import transformers as theirs
from hypothesis import given
from hypothesis import strategies as st

from penjing.generate import sampling
from penjing.generate.sampling import Candidates

V = 23
ROWS = st.integers(0, 10_000).map(lambda seed: torch.randn(3, V, generator=torch.Generator().manual_seed(seed)) * 3)
SEEN = st.lists(st.lists(st.integers(0, 5), min_size=7, max_size=7), min_size=3, max_size=3).map(torch.tensor)
WORDS = [[3], [1, 2], [0, 0, 4], [5, 1]]


def same(ours, wanted):
    torch.testing.assert_close(ours, wanted, atol=1e-5, rtol=1e-5)


def whole(found: Candidates, shape) -> torch.Tensor:
    """Candidates back in the places of all tokens."""
    if found.tokens is None:
        return found.scores
    return torch.full(shape, -torch.inf).scatter(1, found.tokens, found.scores)


@given(ROWS, SEEN, st.floats(0.5, 2.0))
def test_repetition(scores, seen, penalty):
    same(sampling.repetition(scores, seen, penalty), theirs.RepetitionPenaltyLogitsProcessor(penalty)(seen, scores))


@given(ROWS, SEEN, st.integers(1, 4))
def test_no_repeat(scores, seen, size):
    same(sampling.no_repeat(scores, seen, size), theirs.NoRepeatNGramLogitsProcessor(size)(seen, scores))


@given(ROWS, SEEN)
def test_bad_words(scores, seen):
    same(sampling.forbid(scores, seen, WORDS), theirs.NoBadWordsLogitsProcessor(WORDS)(seen, scores))


@given(ROWS, st.floats(-5, 5))
def test_bias(scores, value):
    wanted = theirs.SequenceBiasLogitsProcessor({(4,): value, (7,): 1.0})(torch.zeros(3, 1, dtype=torch.int64), scores)
    same(sampling.bias(scores, sampling.bias_of({4: value, 7: 1.0}, V, scores)), wanted)


@given(ROWS, SEEN)
def test_stop_tokens_wait(scores, seen):
    wanted = theirs.MinNewTokensLengthLogitsProcessor(4, 9, [2, 6])(seen, scores)
    same(sampling.without(scores, (2, 6)), wanted)


CUTS = {
    "temperature": (0.7, lambda: theirs.TemperatureLogitsWarper(0.7)),
    "k": (5, lambda: theirs.TopKLogitsWarper(5)),
    "p": (0.8, lambda: theirs.TopPLogitsWarper(0.8)),
    "least": (0.1, lambda: theirs.MinPLogitsWarper(0.1)),
    "usual": (0.6, lambda: theirs.TypicalLogitsWarper(0.6)),
}


@pytest.mark.parametrize(
    "names", [(name,) for name in CUTS] + [("k", "p"), ("temperature", "p", "least"), ("k", "usual"), tuple(CUTS)]
)
@given(scores=ROWS)
def test_cuts_alone_and_in_their_order(names, scores):
    wanted = scores
    for name in names:
        wanted = CUTS[name][1]()(None, wanted)
    same(whole(sampling.narrowed(scores, **{name: CUTS[name][0] for name in names}), scores.shape), wanted)


def test_shares_of_all_and_more_candidates_than_tokens_cut_nothing():
    scores = torch.randn(2, V)
    same(whole(sampling.narrowed(scores, p=1.0, usual=1.0, k=V + 5), scores.shape), scores)
    assert (sampling.narrowed(scores, p=1e-6).scores > -torch.inf).sum() == 2, "the likeliest always stays"


def test_frequency_and_presence_count_what_was_made():
    scores, made = torch.zeros(2, 5), torch.tensor([[1, 1, 3], [5, 5, 0]])  # 5 is no token
    wanted = torch.tensor([[0, -2.5, 0, -1.5, 0], [-1.5, 0, 0, 0, 0]])
    same(sampling.frequency(scores, made, 1.0, 0.5), wanted)


def test_rows_that_are_shorter_are_filled_with_no_token():
    scores = torch.ones(1, V)
    seen = torch.tensor([[V, V, 4, 5, 4]])
    assert sampling.repetition(scores, seen, 2.0)[0, [4, 5, 0]].tolist() == [0.5, 0.5, 1.0]
    assert sampling.no_repeat(scores, seen, 2)[0, 5] == -torch.inf
    assert torch.isfinite(sampling.no_repeat(scores, torch.tensor([[V, V, 4]]), 2)).all()


def test_draws_follow_the_probabilities():
    scores = torch.tensor([[1.0, 0.0, -torch.inf, 2.0]])
    numbers = sampling.chances(5, [3], 0, 40_000)
    for found in (Candidates(scores), sampling.ranked(scores)):
        rows = Candidates(*(None if t is None else t.expand(len(numbers), -1) for t in found))
        counts = torch.bincount(sampling.draw(rows, numbers), minlength=4)
        expected = scores.softmax(-1)[0] * len(numbers)
        assert counts[2] == 0
        assert ((counts - expected) ** 2 / expected.clamp(min=1)).sum() < 16  # chi-square, 2 degrees of freedom


def test_the_largest_number_draws_a_token_that_can_come():
    scores = torch.tensor([[0.0, 1.0, -torch.inf]])
    assert sampling.draw(Candidates(scores), torch.tensor([1 - 2**-24])).tolist() == [1]
    assert sampling.draw(Candidates(scores), torch.tensor([0.0])).tolist() == [0]


def test_numbers_follow_from_seed_prompt_and_answer():
    same(sampling.chances(5, [3], 1, 9), sampling.chances(5, [3], 1, 9))
    keys = ((5, [3], 1), (5, [3], 0), (6, [3], 1), (5, [4], 1), (None, [3], 1), (None, [3], 1))
    assert len({tuple(sampling.chances(*key, 9).tolist()) for key in keys}) == len(keys)
