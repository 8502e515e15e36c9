"""Two thin matrices beside a wide one, by compiled code in bfloat16: against their formula, forward and back."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st

from penjing.changes import changes_of
from penjing.model import low_rank as module
from penjing.model import native
from penjing.model.low_rank import MOST, low_rank

LIBRARY = native.library()
able = pytest.mark.skipif(LIBRARY is None or not LIBRARY.halves, reason="this processor does not multiply bfloat16")


def plain(base, x, down, up, scale):
    return base + F.linear(F.linear(x, down) * scale, up)


def sides(shape, inputs, outputs, rank):
    made = (
        torch.randn(*shape, outputs),
        torch.randn(*shape, inputs),
        torch.randn(rank, inputs),
        torch.randn(outputs, rank),
    )
    return [one.bfloat16().requires_grad_() for one in made]


def both(asked, change, scale=0.5):
    """What is said and the gradients: by the formula in float32, and here."""
    exact = [one.detach().float().requires_grad_() for one in asked]
    wanted, made = plain(*exact, scale), low_rank(*asked, scale)
    right = torch.autograd.grad(wanted, exact, change.float())
    return (wanted, *right), (made, *torch.autograd.grad(made, asked, change))


def far(one, other):
    return float((one.detach().float() - other.detach()).norm() / other.detach().norm())


@able
@settings(max_examples=40, deadline=None)
@given(
    shape=st.lists(st.integers(1, 40), min_size=1, max_size=2), inputs=st.integers(1, 9), outputs=st.integers(1, 9),
    rank=st.integers(1, MOST),
)  # fmt: skip
@example(shape=[2, 200], inputs=8, outputs=2, rank=8)
def test_it_says_and_teaches_what_the_formula_does(shape, inputs, outputs, rank):
    torch.manual_seed(rank)
    asked = sides(shape, 16 * inputs, 16 * outputs, rank)
    wanted, made = both(asked, torch.randn(*shape, 16 * outputs).bfloat16())
    assert made[0].grad_fn.name() == "LowRankBackward"
    assert all(one.shape == other.shape and far(one, other) < 0.01 for one, other in zip(made, wanted, strict=True))


@able
def test_what_lies_apart_or_is_read_by_columns_is_read_all_the_same():
    torch.manual_seed(0)
    wide = torch.randn(3, 7, 80).bfloat16()
    asked = [wide[..., 1:33], wide.transpose(0, 1).contiguous().transpose(0, 1)[..., 16:64],
             torch.randn(48, 5).bfloat16().t(), torch.randn(5, 32).bfloat16().t()]  # fmt: skip
    asked = [one.detach().requires_grad_() for one in asked]
    change = torch.randn(7, 3, 32).bfloat16().transpose(0, 1)
    assert all(far(one, other) < 0.01 for one, other in zip(*reversed(both(asked, change)), strict=True))


@able
def test_a_row_says_the_same_whatever_stands_beside_it_and_however_many_threads():
    torch.manual_seed(0)
    base, x, down, up = (one.detach() for one in sides((130,), 64, 48, 8))
    whole, threads = low_rank(base, x, down, up, 2.0), torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(low_rank(base, x, down, up, 2.0), whole)
            assert torch.equal(low_rank(base[5:18], x[5:18], down, up, 2.0), whole[5:18])
    finally:
        torch.set_num_threads(threads)


@able
def test_what_needs_no_gradient_gets_none():
    base, x, down, up = sides((4, 9), 32, 32, 4)
    made = low_rank(base.detach(), x.detach(), down, up, 1.0)
    found = torch.autograd.grad(made.sum(), (down, up))
    wanted = torch.autograd.grad(plain(base, x, down, up, 1.0).float().sum(), (down, up))
    assert all(far(one, other.float()) < 0.02 for one, other in zip(found, wanted, strict=True))


@able
@pytest.mark.parametrize("wrong", ["rank", "inputs", "outputs"])
def test_shapes_that_do_not_fit_are_left_to_torch_to_refuse(wrong):
    base, x, down, up = (one.detach() for one in sides((3,), 32, 48, 4))
    down = down[:2] if wrong == "rank" else down[:, :16] if wrong == "inputs" else down
    up = up.repeat(2, 1) if wrong == "outputs" else up
    with pytest.raises(RuntimeError, match="size|shape"):
        low_rank(base, x, down, up, 1.0)


@able
@pytest.mark.parametrize("rank", [1, 15, 17])
def test_infinity_stays_infinity(rank):
    base, x, down, up = torch.zeros(9, 16), torch.ones(9, 32), torch.ones(rank, 32), torch.ones(16, rank)
    x[4, 3] = torch.inf
    made = low_rank(*(one.bfloat16() for one in (base, x, down, up)), 1.0)
    assert made[4].isposinf().all() and made[:4].isfinite().all() and made[5:].isfinite().all()


@pytest.mark.parametrize("reason", ["float32", "width", "rank", "no compiler"])
def test_what_it_cannot_do_is_done_otherwise(reason, monkeypatch):
    if reason == "no compiler":
        monkeypatch.setattr(native, "library", lambda: None)
    width, rank = (24 if reason == "width" else 32), MOST + 1 if reason == "rank" else 4
    asked = [one.detach() for one in sides((3, 5), width, 32, rank)]
    asked = [one.float() for one in asked] if reason == "float32" else asked
    assert torch.equal(low_rank(*asked, 0.5), plain(*asked, 0.5))


@able
def test_lora_asks_it_and_dropout_is_of_what_it_reads(monkeypatch):
    made = changes_of({"lora": {"rank": 4, "dropout": 0.5, "where": ".*"}})[0].edit(None, torch.nn.Linear(32, 48))
    asked = []
    monkeypatch.setattr(module, "run", lambda *given, **named: asked.append(named["x"]))
    x = torch.ones(6, 32).bfloat16()
    made.bfloat16().train().forward(None, lambda one: one.new_zeros(6, 48), x)
    made.eval().forward(None, lambda one: one.new_zeros(6, 48), x)
    assert 0 < int((asked[0] == 0).sum()) < asked[0].numel() and torch.equal(asked[1], x)
