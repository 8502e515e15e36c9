"""Parts of a block by compiled code: they say what their operations say, and a text's answer is its own."""

import pytest
import torch
from networks import network

from penjing.changes import changes_of
from penjing.changes.change import Changes
from penjing.model import compiled, native
from penjing.model.layers import ACTIVATIONS, mix
from penjing.model.mask import Visible
from penjing.model.operations import Activate

ODD = torch.tensor([0.0, 1e-30, 87.0, -87.0, -89.0, 200.0, -200.0, torch.nan])
LENGTHS = (37, 1, 16, 30)


def plainly(monkeypatch, module, x):
    """What is said without compiled code."""
    with monkeypatch.context() as patch:
        patch.setattr(native, "library", lambda: None)
        return module(x)


def mlp_of(name, said):
    made = network(name)
    Changes(made).adopt(changes_of(said), 0)
    return (made.encoder or made.decoder).blocks[0].mlp


@pytest.mark.parametrize("name", ["bert", "gpt2", "llama", "t5"])
@torch.no_grad()
def test_an_mlp_says_what_its_operations_say(name, monkeypatch):
    for said in ("int8", "int4"):
        mlp = mlp_of(name, said)
        x = torch.randn(60, 16, generator=torch.Generator().manual_seed(0))
        expected, made = plainly(monkeypatch, mlp, x), mlp(x)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-4)
        assert torch.equal(torch.cat([mlp(row[None]) for row in x]), made), "by itself or with others"
        x[1, 3] = torch.nan
        assert torch.equal(mlp(x)[2:], made[2:]) and not mlp(x)[1].isfinite().any()
        assert mlp(x[:0]).shape == (0, 16)


@torch.no_grad()
def test_an_mlp_that_is_watched_is_not_one_piece():
    mlp, seen = mlp_of("bert", "int8"), []
    expected = mlp(x := torch.randn(3, 16))
    mlp.down.register_forward_hook(lambda module, given, made: seen.append(given[0].shape))
    torch.testing.assert_close(mlp(x), expected, atol=1e-5, rtol=1e-4)
    assert seen == [(3, 32)]


@pytest.mark.parametrize("width", [16, 48, 64])
@torch.no_grad()
def test_attention_sees_what_is_real(width, monkeypatch):
    check_attention(width)


def check_attention(width):
    generator = torch.Generator().manual_seed(width)
    query = torch.randn(4, 37, 6, width, generator=generator).transpose(1, 2)
    key, value = torch.randn(2, 4, 3, 37, width, generator=generator) * 2
    left, right = (torch.arange(37)[None] < torch.tensor(LENGTHS)[:, None] for _ in "ab")
    scattered = torch.rand(4, 37, generator=generator) < 0.5
    for mask in (None, left.flip(1), right, scattered):
        visible = Visible(None if mask is None else mask[:, None, None])
        expected = mix(query, key, value, visible, None, 0.0).transpose(1, 2).flatten(2)
        made = compiled.attention(query, key, value, visible, None)
        if made is None:
            assert native.library() is None
            continue
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=1e-5)
        if mask is None:
            continue
        for text, real in enumerate(mask):
            alone = (query[text, None], key[text, None, :, real], value[text, None, :, real])
            assert torch.equal(compiled.attention(*alone, Visible(), None)[0], made[text])
        spoilt = key.masked_fill(~mask[:, None, :, None], torch.nan)
        assert torch.equal(compiled.attention(query, spoilt, value, visible, None), made)


@torch.no_grad()
def test_attention_leaves_what_it_does_not_know():
    heads = torch.randn(2, 3, 20, 16)
    other = {
        "causal": (heads, Visible(causal=True)),
        "a bias": (heads, Visible(torch.zeros(1, 3, 20, 20))),
        "a mask of each query": (heads, Visible(torch.ones(2, 1, 20, 20, dtype=torch.bool))),
        "half precision": (heads.bfloat16(), Visible()),
        "odd widths": (heads[..., :12], Visible()),
        "nothing": (heads[:0], Visible()),
    }
    for what, (one, visible) in other.items():
        assert compiled.attention(one, one, one, visible, None) is None, what
    assert compiled.attention(heads[:, :, :1], heads, heads, Visible(), None) is None, "a step"
    with torch.enable_grad():
        assert compiled.attention(heads, heads, heads, Visible(), None) is None, "gradients"


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_are_exact(name):
    library, function = native.library(), ACTIVATIONS[name]
    x = torch.cat([torch.linspace(-12, 12, 1001), ODD])
    for second in (None, torch.linspace(-1, 1, len(x))):
        to = torch.empty_like(x)
        op = Activate(function, x, second, to).packed()
        if library is None:
            continue
        library.alone(op, 1)
        wanted = function(x.double()) * (1 if second is None else second.double())
        torch.testing.assert_close(to.double(), wanted, atol=2e-6, rtol=2e-6, equal_nan=True)
