"""The losses of vectors beside their formulas written out."""

import math

import pytest
import torch
import torch.nn.functional as F

from penjing.tasks.contrasting import apart, cosines_of, in_batch, near_scores, ordered, text_numbers


def vectors(count, batch, seed=0):
    made = torch.randn(count, batch, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(made, dim=-1)


def info_nce(scores, own, allowed):
    """- log of the own candidate's share among the allowed ones."""
    return -math.log(math.exp(scores[own]) / sum(math.exp(scores[place]) for place in allowed))


@pytest.mark.parametrize("count", [2, 3])
def test_contrast_without_repeats(count):
    given, batch = vectors(count, 4), 4
    texts = torch.arange(count * batch).view(count, batch)
    scores = (given[0] @ given[1:].flatten(0, 1).T / 0.1).tolist()
    wanted = sum(info_nce(scores[row], row, range((count - 1) * batch)) for row in range(batch))
    assert float(in_batch(given, texts, 0.1, False)) == pytest.approx(wanted)
    back = sum(info_nce([scores[j][row] for j in range(batch)], row, range(batch)) for row in range(batch))
    assert float(in_batch(given, texts, 0.1, True)) == pytest.approx((wanted + back) / 2)


def test_what_is_labelled_right_is_no_wrong_answer():
    """Texts: rows 0 and 1 ask the same; rows 2 and 3 have the same answer; row 4's answer is row 0's question."""
    given = vectors(2, 5)
    texts = torch.tensor([[0, 0, 1, 2, 3], [4, 5, 6, 6, 0]])
    scores = (given[0] @ given[1].T / 0.1).tolist()
    allowed = [[0, 2, 3], [1, 2, 3], [0, 1, 2, 4], [0, 1, 3, 4], [0, 1, 2, 3, 4]]
    wanted = sum(info_nce(scores[row], row, allowed[row]) for row in range(5))
    assert float(in_batch(given, texts, 0.1, False)) == pytest.approx(wanted)
    ahead = [[0, 2, 3, 4], [1, 2, 3, 4], [0, 1, 2, 4], [0, 1, 3, 4], [2, 3, 4]]  # of each second text, the first ones
    back = sum(info_nce([scores[j][row] for j in range(5)], row, ahead[row]) for row in range(5))
    assert float(in_batch(given, texts, 0.1, True)) == pytest.approx((wanted + back) / 2)


def test_ordered_scores():
    cosines, wanted = torch.tensor([0.9, 0.1, 0.5, 0.5]).double(), torch.tensor([1.0, 2.0, 2.0, 0.0])
    total = sum(
        math.exp((float(cosines[j]) - float(cosines[i])) / 0.2)
        for i in range(4) for j in range(4) if wanted[i] > wanted[j]
    )  # fmt: skip
    assert float(ordered(cosines, wanted, 0.2)) == pytest.approx(4 * math.log(1 + total))
    assert float(ordered(cosines[:1], wanted[:1], 0.2)) == 0
    assert float(ordered(cosines, torch.ones(4), 0.2)) == 0  # no order, nothing to learn


def test_the_others():
    one = vectors(3, 4)
    assert torch.allclose(cosines_of(one[0], one[1]), F.cosine_similarity(one[0], one[1], dim=-1))
    assert float(near_scores(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 2.5]), 0.0, 5.0)) == pytest.approx(0.25)
    plain = F.relu(0.3 + cosines_of(one[0], one[2]) - cosines_of(one[0], one[1])).sum()
    assert float(apart(one, 0.3)) == pytest.approx(float(plain))


def test_equal_rows_have_equal_numbers():
    numbers = text_numbers(torch.tensor([[1, 2], [3, 4], [1, 2], [5, 0]]), 2)
    assert numbers.shape == (2, 2) and numbers[0, 0] == numbers[1, 0]
    assert len(set(numbers.flatten().tolist())) == 3
