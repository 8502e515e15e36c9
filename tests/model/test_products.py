"""Products of few rows: the same numbers however they are computed, packed only while a generation lasts."""

import pytest
import torch
import torch.nn.functional as F
from networks import batch, network

from penjing.model.products import THIN, WORTH, Linear, prepared

CLOSE = dict(atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("outputs", [6, 7])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (3, 1), (1, 2), (5, 1), (0, 1), (4, 9)])
def test_a_product_is_a_product(shape, bias, outputs):
    linear, x = Linear(5, outputs, bias), torch.randn(*shape, 5)
    expected = F.linear(x, linear.weight, linear.bias)
    with torch.no_grad():
        torch.testing.assert_close(linear(x), expected, **CLOSE)
        made = linear(x[:, 0]) if shape[1] else None
        torch.testing.assert_close(made, expected[:, 0], **CLOSE)
        torch.testing.assert_close(linear.bfloat16()(x.bfloat16()).float(), expected, atol=0.1, rtol=0.1)


def test_gradients_flow():
    linear, x = Linear(5, 6), torch.randn(1, 1, 5, requires_grad=True)
    linear(x).sum().backward()
    torch.testing.assert_close(x.grad[0, 0], linear.weight.sum(0).detach())


@pytest.mark.parametrize("name", ["llama", "t5"])
def test_packed_matrices_say_the_same_and_are_given_back(name):
    made, given = network(name), batch(name, "right")
    with torch.no_grad():
        rows = torch.randn(THIN + 1, 1, 16)
        plain = made.start(given).hidden
        block = made.decoder.blocks[0]
        wanted = [made.logits(rows), block.mlp(rows)]
        with prepared(made, THIN + 1, WORTH):
            held = [one for one in made.modules() if getattr(one, "packed", None) is not None]
            assert len(held) == len(made.products()) and made.output in held
            assert not made.encoder or all(one.packed is None for one in made.encoder.modules() if type(one) is Linear)
            torch.testing.assert_close(made.start(given).hidden, plain, **CLOSE)
            for one, other in zip([made.logits(rows), block.mlp(rows)], wanted, strict=True):
                torch.testing.assert_close(one, other, **CLOSE)
        assert not any(getattr(one, "packed", None) is not None for one in made.modules())


def test_nothing_is_packed_where_it_does_not_pay():
    made = network("llama")
    for rows, steps in ((THIN, WORTH), (THIN + 1, WORTH - 1)):
        with prepared(made, rows, steps):
            assert all(one.packed is None for one, _ in made.products())
    half = network("llama").bfloat16()
    with prepared(half, 9, 99):
        assert all(one.packed is None for one, _ in half.products())


def test_what_others_edit_is_not_packed():
    made = network("llama")
    made.decoder.blocks[0].mlp.up = torch.nn.Linear(16, 32)
    with prepared(made, 9, 99):
        assert not hasattr(made.decoder.blocks[0].mlp.up, "packed")
