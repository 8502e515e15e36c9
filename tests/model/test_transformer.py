"""What every family must do alike: places, padding, cached decoding, half precision, compile, reproducible values."""

import copy

import pytest
import torch
from networks import CROSSED, DECODERS, FOREIGN, VOCABULARY, batch, config, keys_of, network

from penjing.base.errors import ModelError
from penjing.model.batch import Batch
from penjing.model.embedding import Embedding
from penjing.model.families import family_of
from penjing.model.layers import Attention, drop, gelu_tanh, together
from penjing.model.mask import pick
from penjing.model.transformer import Transformer

CLOSE = dict(atol=1e-5, rtol=1e-5)
SIDES = ["none", "right", "left"]


@pytest.fixture(autouse=True)
def still():
    """No gradients where nothing is learned."""
    with torch.no_grad():
        yield


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", FOREIGN)
def test_places_equal_the_rows_of_the_whole(name, side):
    made, given = network(name), batch(name, side)
    whole = made(given)
    given.places = torch.tensor([[0, 3, 11], [12, 12, 5], [17, 9, 10]])
    torch.testing.assert_close(made(given), pick(whole, given.places), **CLOSE)


@pytest.mark.parametrize("name", FOREIGN)
def test_one_layer_takes_places_too(name):
    made, given = network(name, **keys_of(name, 1, "encoder_layers", "decoder_layers")), batch(name, "right")
    whole = made(given)
    given.places = torch.tensor([[0], [12], [5]])
    torch.testing.assert_close(made(given), pick(whole, given.places), **CLOSE)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("name", FOREIGN)
def test_padding_changes_nothing(name, side):
    made, given = network(name), batch(name, side)
    whole = made(given)
    assert torch.isfinite(whole).all()
    for row in range(3):
        real = given.mask[row]
        alone = made(
            Batch(
                given.tokens[row : row + 1, real], target=None if name not in CROSSED else given.target[row : row + 1]
            )
        )
        together = whole[row] if name in CROSSED else whole[row][real]
        torch.testing.assert_close(together, alone[0], **CLOSE)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("name", DECODERS)
def test_cached_decoding_equals_the_whole(name, side):
    made, given = network(name), batch(name, side)
    more = torch.randint(3, VOCABULARY, (3, 6), generator=torch.Generator().manual_seed(9))
    memory = made.start(given, capacity=32)
    steps = [memory.hidden, *(made.step(more[:, i : i + 1], memory) for i in range(3)), made.step(more[:, 3:], memory)]
    cached = torch.cat(steps, 1)
    for row in range(3):
        real = slice(None) if given.mask is None else given.mask[row]
        told = given.target[row] if name in CROSSED else given.tokens[row, real]
        tokens = torch.cat([told, more[row]])[None]
        alone = Batch(given.tokens[row, real][None], target=tokens) if name in CROSSED else Batch(tokens)
        torch.testing.assert_close(cached[row], made(alone)[0, -7:], **CLOSE)


@pytest.mark.parametrize("name", DECODERS)
def test_memory_is_cut_and_shared(name):
    made, given = network(name), batch(name, "left")
    more = torch.randint(3, VOCABULARY, (3, 2), generator=torch.Generator().manual_seed(9))
    memory = made.start(given, capacity=32)
    length, expected = memory.length, made.step(more, memory)
    memory.cut(length)
    torch.testing.assert_close(made.step(more, memory), expected, **CLOSE)
    memory.cut(length)
    rows = torch.tensor([2, 0, 2])
    memory.select(rows)
    torch.testing.assert_close(made.step(more[rows], memory), expected[rows], **CLOSE)


@pytest.mark.parametrize("name", CROSSED)
def test_an_encoder_decoder_starts_without_a_target(name):
    made, given = network(name), batch(name, "right")
    target, given.target = given.target[:, :4], None
    memory = made.start(given)
    steps = torch.cat([made.step(target[:, i : i + 1], memory) for i in range(4)], 1)
    given.target = target
    torch.testing.assert_close(steps, made(given), **CLOSE)


@pytest.mark.parametrize("name", FOREIGN)
def test_half_precision_is_close(name):
    made, given = network(name), batch(name, "right", tokens=40)
    whole, half = made(given), copy.deepcopy(made).bfloat16()(given)
    assert half.dtype == torch.bfloat16
    real = given.mask if name not in CROSSED else torch.ones_like(given.target, dtype=torch.bool)
    apart = (whole - half.float())[real].norm() / whole[real].norm()
    assert apart < 0.05, apart


def test_angles_are_exact_in_half_precision():
    made = network("llama").bfloat16()
    cosine, _ = made.decoder.position.rotation(torch.tensor([[256, 257]]), torch.float32)
    assert abs(float(cosine[0, 1, 0, 0]) - float(torch.tensor(257.0).cos())) < 1e-5


@pytest.mark.parametrize("name", ["bert", "modernbert"])
def test_compiles_without_a_break(name):
    made, given = network(name), batch(name, "right")
    given.places = torch.tensor([[0, 3], [1, 2], [4, 5]])
    compiled = torch.compile(made, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(given), made(given), **CLOSE)


@pytest.mark.parametrize("name", FOREIGN)
def test_values_follow_from_the_seed(name):
    first, same, other = (family_of(name).network.new(config(name), seed) for seed in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), same.parameters(), strict=True))
    assert not torch.equal(first.embedding.weight, other.embedding.weight)
    assert all(torch.isfinite(p).all() for p in first.parameters())
    assert first(batch(name)).std() < 20


@pytest.mark.parametrize("name", FOREIGN)
def test_dropout_acts_only_in_training(name):
    made, given = network(name, **keys_of(name, 0.5, "dropout")), batch(name)
    assert torch.equal(made.eval()(given), made(given))
    made.train()
    assert not torch.equal(made(given), made(given))


def test_dropout_keeps_the_mean():
    torch.manual_seed(0)
    for share in (0.1, 0.5):
        dropped = drop(torch.ones(333, 301), share)
        assert abs(float((dropped == 0).float().mean()) - share) < 0.01
        assert abs(float(dropped.mean()) - 1) < 0.01 and len(dropped.unique()) == 2


def test_gelu_in_half_precision_is_as_near_as_its_rounding():
    """Where another formula stands in for the tanh one, values and slopes are no further off than rounding makes them."""
    x = torch.linspace(-8, 8, 10_001)

    @torch.enable_grad()
    def values(x, function):
        x = x.clone().requires_grad_()
        y = function(x)
        return y.detach().float(), torch.autograd.grad(y.sum(), x)[0].float()

    def plain(x):
        return torch.nn.functional.gelu(x, approximate="tanh")

    exact = values(x, plain)
    assert all(torch.equal(one, other) for one, other in zip(values(x, gelu_tanh), exact, strict=True))
    ours, theirs = values(x.bfloat16(), gelu_tanh), values(x.bfloat16(), plain)
    for mine, other, right in zip(ours, theirs, exact, strict=True):
        assert (mine - right).abs().max() < 1.25 * (other - right).abs().max()


def test_attention_dropout_acts():
    made, given = network("bert", attention_probs_dropout_prob=0.5).train(), batch("bert")
    assert not torch.equal(made(given), made(given))


def test_fused_products_equal_single_ones_and_edits_are_respected():
    attention = Attention(config("bert"))
    x = torch.randn(4, 20, 16)
    parts = attention.query, attention.key, attention.value
    alone = [part(x) for part in parts]
    for one, other in zip(together(x, *parts), alone, strict=True):
        torch.testing.assert_close(one, other, **CLOSE)
    handle = attention.query.register_forward_hook(lambda module, given, made: made + 1)
    torch.testing.assert_close(together(x, *parts)[0], alone[0] + 1, **CLOSE)
    handle.remove()


def test_segments_are_seen():
    made, given = network("bert"), batch("bert")
    plain = made(given)
    given.segments = torch.zeros_like(given.tokens)
    torch.testing.assert_close(made(given), plain, **CLOSE)
    given.segments[:, 4:] = 1
    assert not torch.allclose(made(given), plain)


def raised(code, call, *given, **options):
    with pytest.raises(ModelError) as error:
        call(*given, **options)
    assert error.value.code == code
    assert error.value.text("en") and error.value.text("zh")
    return error.value


def test_mistakes_are_told():
    bert, t5 = network("bert", max_position_embeddings=20), network("t5")
    raised("P-MODEL-005", bert, batch("bert", tokens=21))
    raised("P-MODEL-006", network("llama").start, batch("llama"), capacity=17)
    raised("P-MODEL-007", t5, batch("bert"))
    raised("P-MODEL-008", Transformer.new(config("bert"), vocabulary=False).logits, torch.zeros(1, 16))
    raised("P-MODEL-009", bert.start, batch("bert"))


def test_a_batch_checks_its_ids_and_lengths():
    given = batch("bert", tokens=21)
    given.records = [100, 101, 102]
    given.check(config("bert"))
    given.tokens[1, 3] = VOCABULARY
    error = raised("P-MODEL-004", given.check, config("bert", max_position_embeddings=20))
    assert "101" in error.text("en") and [other.code for other in error.others] == ["P-MODEL-005"]


def test_a_batch_counts_and_moves():
    given = batch("t5", "right").to("cpu")
    assert given.token_count == 54 - 14 + 54
    assert given.padding_share == pytest.approx(14 / 108)


def test_a_row_asked_for_often_keeps_its_gradient_in_half_precision():
    found = {}
    for kind in (torch.float32, torch.bfloat16):
        with torch.enable_grad():
            table = Embedding(4, 8).to(kind)
            table(torch.zeros(3000, dtype=torch.int64)).sum().backward()
        found[kind] = table.weight.grad.float()
    assert torch.allclose(found[torch.float32], found[torch.bfloat16], rtol=0.01)
