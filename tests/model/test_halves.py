"""Attention in bfloat16 by compiled code: against its formula in float32, forward and back."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.model import half_rows, halves, native
from penjing.model.layers import ACTIVATIONS, NUMBERS, mix, written_out
from penjing.model.mask import Visible, describe
from penjing.model.positions import rotate
from penjing.model.products import product, stay

LIBRARY = native.library()
able = pytest.mark.skipif(LIBRARY is None or not LIBRARY.halves, reason="this processor does not multiply bfloat16")


def some(texts, heads, tokens, width):
    return torch.randn(texts, tokens, heads, width).bfloat16().transpose(1, 2).requires_grad_()


def seen(kind, texts, queries, keys):
    """What the queries see, by a word."""
    real = torch.ones(texts, keys, dtype=torch.bool)
    for row in range(texts):
        if kind == "left":
            real[row, : row * 5] = False
        else:
            real[row, keys - row * 5 :] = False
    return {
        "all": Visible(),
        "causal": Visible(causal=True),
        "padded": describe(real, queries, keys),
        "both": describe(real, queries, keys, causal=True),
        "left": describe(real, queries, keys, causal=True),
        "window": describe(real, queries, keys, causal=True, window=9),
    }[kind]


def far(one, other):
    one, other = one.detach().float(), other.detach().float()
    return float((one - other).abs().max() / other.abs().max())


@able
@pytest.mark.parametrize("kind", ["all", "causal", "padded", "both", "left", "window"])
@pytest.mark.parametrize(("heads", "key_heads", "tokens", "width"), [(4, 4, 70, 32), (4, 2, 129, 16), (3, 1, 40, 64)])
def test_it_says_and_teaches_what_the_formula_does(kind, heads, key_heads, tokens, width):
    torch.manual_seed(0)
    asks, looked = some(3, heads, tokens, width), [some(3, key_heads, tokens, width) for _ in range(2)]
    visible = seen(kind, 3, tokens, tokens)
    made = halves.attention(asks, *looked, visible, width**-0.5)
    wanted = written_out(*(one.float() for one in (asks, *looked)), *visible, width**-0.5)
    change = torch.randn_like(made)
    found = torch.autograd.grad(made, (asks, *looked), change)
    right = torch.autograd.grad(wanted, (asks, *looked), change.float())
    assert far(made, wanted) < 0.01
    assert all(far(one, other) < 0.01 for one, other in zip(found, right, strict=True))


@able
@settings(max_examples=20, deadline=None)
@given(st.integers(1, 3), st.integers(1, 100), st.integers(1, 100), st.sampled_from([16, 48]))
def test_any_number_of_queries_and_keys(texts, queries, keys, width):
    torch.manual_seed(queries)
    asks, looked = some(texts, 2, queries, width), [some(texts, 2, keys, width) for _ in range(2)]
    made = halves.attention(asks, *looked, Visible(), 0.3)
    wanted = written_out(*(one.float() for one in (asks, *looked)), None, False, 0.3)
    assert far(made, wanted) < 0.01


@able
def test_what_is_padded_changes_no_bit():
    torch.manual_seed(0)
    sides = [some(2, 2, 100, 32) for _ in range(3)]
    real = (torch.arange(100) < 61).expand(2, 100)
    padded = halves.attention(*sides, describe(real, 100, 100), 0.2)[:, :, :61]
    assert torch.equal(padded, halves.attention(*(one[:, :, :61] for one in sides), Visible(), 0.2))


@able
def test_a_query_that_sees_nothing_gets_nothing():
    sides = [some(1, 2, 40, 32) for _ in range(3)]
    made = halves.attention(*sides, Visible(torch.zeros(1, 1, 1, 40, dtype=torch.bool)), 0.2)
    found = torch.autograd.grad(made.sum(), sides)
    assert not made.any() and not any(one.any() for one in found)


@able
def test_no_number_stays_none():
    sides = [some(1, 1, 40, 32).detach() for _ in range(3)]
    sides[1][0, 0, 3, 0] = torch.nan
    assert halves.attention(*sides, Visible(), 0.2).isnan().all()


@able
def test_it_says_the_same_each_time_whatever_the_threads():
    sides, threads = [some(3, 2, 90, 32) for _ in range(3)], torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 2):
            torch.set_num_threads(count)
            made = halves.attention(*sides, Visible(causal=True), 0.2)
            found.append([made, *torch.autograd.grad(made, sides, torch.ones_like(made))])
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(one, two) for other in found[1:] for one, two in zip(found[0], other, strict=True))


@pytest.mark.parametrize("reason", ["float32", "bias", "narrow", "by head"])
def test_what_it_cannot_do_is_done_otherwise(reason):
    sides = [some(2, 2, 40, 24 if reason == "narrow" else 32).detach() for _ in range(3)]
    visible = Visible()
    if reason == "float32":
        sides = [one.float() for one in sides]
    elif reason == "bias":
        visible = Visible(torch.randn(1, 2, 40, 40).bfloat16())
    elif reason == "by head":
        visible = Visible(torch.ones(1, 2, 40, 40, dtype=torch.bool))
    assert halves.attention(*sides, visible, 0.2) is None
    assert mix(*sides, visible, 0.2, 0.0).isfinite().all()


def test_without_a_compiler_it_is_written_out(monkeypatch):
    monkeypatch.setattr(native, "library", lambda: None)
    sides = [some(2, 2, 40, 32).detach() for _ in range(3)]
    assert torch.equal(mix(*sides, Visible(), 0.2, 0.0), written_out(*sides, None, False, 0.2))


def test_a_matrix_that_stays_says_what_it_said():
    """Packed for both directions; one whose bias is trained, or that is asked without gradients, as it was."""
    torch.manual_seed(0)
    weight, bias = torch.randn(48, 32).bfloat16(), torch.randn(48).bfloat16()
    kept = stay(weight.clone())
    for rows in ((1,), (3, 20)):
        x = torch.randn(*rows, 32).bfloat16().requires_grad_()
        made, wanted = product(x, kept, bias), product(x, weight, bias)
        change = torch.randn_like(made)
        assert far(made, wanted) < 0.01
        assert far(*(torch.autograd.grad(one, x, change)[0] for one in (made, wanted))) < 0.01
    learnt = bias.clone().requires_grad_()
    product(x, kept, learnt).sum().backward()
    assert learnt.grad is not None
    with torch.no_grad():
        assert torch.equal(product(x, kept, bias), product(x, weight, bias))


@able
@pytest.mark.parametrize("learnt", [True, False])
def test_root_mean_square_norms(learnt):
    torch.manual_seed(0)
    x, weight = torch.randn(3, 41, 48).bfloat16().requires_grad_(), torch.randn(48).bfloat16().requires_grad_(learnt)
    made, wanted = half_rows.norm(x, weight, 1e-5), F.rms_norm(x.float(), (48,), weight.float(), 1e-5)
    change, asked = torch.randn_like(made), (x, weight) if learnt else (x,)
    found, right = torch.autograd.grad(made, asked, change), torch.autograd.grad(wanted, asked, change.float())
    assert far(made, wanted) < 0.01
    assert all(far(one, other) < 0.01 for one, other in zip(found, right, strict=True))


@able
@pytest.mark.parametrize("texts", [1, 3])
def test_rotary_positions(texts):
    torch.manual_seed(0)
    x, angles = some(3, 2, 41, 64).transpose(1, 2), torch.rand(texts, 41, 1, 32) * 6
    rotation = torch.cat([angles.cos()] * 2, -1).bfloat16(), torch.cat([-angles.sin(), angles.sin()], -1).bfloat16()
    made, wanted = half_rows.turned(x, rotation), rotate(x.float(), tuple(one.float() for one in rotation))
    change = torch.randn_like(made)
    (found,), (right,) = torch.autograd.grad(made, x, change), torch.autograd.grad(wanted, x, change.float())
    assert far(made, wanted) < 0.01 and far(found, right) < 0.01
    assert half_rows.turned(x.float(), rotation) is None
    assert half_rows.turned(x[..., :40], tuple(one[..., :40] for one in rotation)) is None


@able
@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("gated", [True, False])
def test_activations_and_gates(name, gated):
    """Of any size, and of sides that lie side by side."""
    torch.manual_seed(0)
    function, both = ACTIVATIONS[name], (torch.randn(2, 17, 64) * torch.logspace(-3, 1.5, 64)).bfloat16()
    x, y = (one.requires_grad_() for one in both.split(32, -1))
    asked = (x, y) if gated else (x,)
    made = half_rows.activated(x, y if gated else None, NUMBERS[function])
    exact = [one.detach().float().requires_grad_() for one in asked]
    wanted = function(exact[0]) * exact[1] if gated else function(exact[0])
    change = torch.randn_like(made)
    found, right = torch.autograd.grad(made, asked, change), torch.autograd.grad(wanted, exact, change.float())
    for one, other in zip((made, *found), (wanted, *right), strict=True):
        assert torch.allclose(one.detach().float(), other.detach(), rtol=0.01, atol=2e-3)
    assert half_rows.activated(x, None, None) is None and half_rows.activated(x[..., :9], None, 0) is None


@able
@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 9), size=st.integers(2, 90), smoothing=st.sampled_from([0.0, 0.1]), wide=st.floats(0.1, 30))
def test_cross_entropy_and_its_gradient(rows, size, smoothing, wide):
    """Of any size of vocabulary, with the label in any place; what is not wanted is not written."""
    torch.manual_seed(rows * size)
    scores, labels = (torch.randn(rows, size) * wide).bfloat16(), torch.randint(size, (rows,))
    labels[0] = size - 1
    exact, made = scores.double().requires_grad_(), scores.clone()
    wanted = F.cross_entropy(exact, labels, reduction="none", label_smoothing=smoothing)
    (right,) = torch.autograd.grad(wanted.sum(), exact)
    losses = half_rows.cross_entropy(made, labels, smoothing, False)
    assert torch.equal(made, scores) and torch.allclose(losses.double(), wanted, rtol=1e-5, atol=5e-5)
    assert torch.equal(half_rows.cross_entropy(made, labels, smoothing, True), losses)
    assert torch.allclose(made.double(), right, rtol=0.005, atol=2e-4)
    assert half_rows.cross_entropy(scores.float(), labels, 0.0, True) is None
    for none in (labels - size, labels + 1, labels.repeat(2)):  # labels that are none, or of other rows
        assert half_rows.cross_entropy(scores, none, 0.0, True) is None


@able
def test_cross_entropy_of_what_is_no_number():
    for bad in (torch.nan, torch.inf):
        for place in (0, 17, 20):
            scores = torch.zeros(2, 21).bfloat16()
            scores[0, place] = bad
            losses = half_rows.cross_entropy(scores, torch.tensor([3, 3]), 0.0, True)
            assert losses[0].isnan() and not losses[1].isnan()
    scores = torch.zeros(1, 21).bfloat16()
    scores[0, 5] = -torch.inf  # a token that cannot come
    assert float(half_rows.cross_entropy(scores, torch.tensor([3]), 0.0, True)) == pytest.approx(2.9957, abs=1e-4)
    assert scores[0, 5] == 0 and scores.isfinite().all()


@able
def test_dropout_is_the_same_going_back():
    """Which shares are left follows from torch's generator; values of one hot dimension each tell them."""
    keys = 48
    asks, looked = some(2, 2, 40, 48), some(2, 2, keys, 48)
    value = torch.eye(keys).expand(2, 2, keys, keys).bfloat16().contiguous().requires_grad_()
    torch.manual_seed(3)
    made = halves.attention(asks, looked, value, Visible(), 0.1, 0.25)
    torch.manual_seed(3)
    again = halves.attention(asks, looked, value, Visible(), 0.1, 0.25)
    assert torch.equal(made, again)
    left = (made != 0).float()
    assert abs(float(left.mean()) - 0.75) < 0.02 and abs(float(left[0, 0].mean() - left[1, 1].mean())) < 0.1
    exact = [one.detach().float().requires_grad_() for one in (asks, looked, value)]
    wanted = (((exact[0] * 0.1) @ exact[1].mT).softmax(-1) * left / 0.75) @ exact[2]
    change = torch.randn_like(made)
    found = torch.autograd.grad(made, (asks, looked, value), change)
    right = torch.autograd.grad(wanted, exact, change.float())
    assert far(made, wanted) < 0.01
    assert all(far(one, other) < 0.01 for one, other in zip(found, right, strict=True))


@able
def test_shapes_that_do_not_fit_are_left_to_torch_to_refuse():
    asks, looked = some(2, 3, 40, 32).detach(), some(2, 2, 40, 32).detach()
    assert halves.attention(asks, looked, looked, Visible(), 0.2) is None
    assert halves.attention(looked, looked, looked[..., :16], Visible(), 0.2) is None
    assert halves.attention(looked, looked, looked, Visible(torch.ones(1, 1, 5, 40, dtype=torch.bool)), 0.2) is None
    assert half_rows.norm(asks, torch.ones(16).bfloat16(), 1e-5) is None


def test_a_matrix_that_is_trained_or_changed_after_all_is_not_taken_as_it_was():
    kept, x = stay(torch.randn(16, 32).bfloat16()), torch.randn(3, 32).bfloat16().requires_grad_()
    product(x, kept, None)
    kept.zero_()
    assert not product(x, kept, None).any()
    kept = stay(torch.randn(16, 32).bfloat16()).requires_grad_()
    product(x, kept, None).sum().backward()
    assert kept.grad is not None
