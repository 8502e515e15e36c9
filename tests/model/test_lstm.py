"""The LSTM: its formula, padding on either side, its memory cut anywhere, and what it shares with every network."""

import copy
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from penjing.base.errors import ModelError
from penjing.model.batch import Batch
from penjing.model.checkpoint import read_checkpoint, write_checkpoint
from penjing.model.lstm import LSTM, LSTMConfig, Recurrence
from penjing.model.mask import pick
from penjing.model.size import fresh_config

VOCABULARY, WIDTH = 41, 16
CLOSE = dict(atol=1e-5, rtol=1e-5)
SIDES = ["none", "right", "left"]


@pytest.fixture(autouse=True)
def still():
    """No gradients where nothing is learned."""
    with torch.no_grad():
        yield


def network(kind="decoder", layers=2, **changed):
    """A network with values large enough that a wrong detail shows."""
    made = LSTM.new(LSTMConfig(VOCABULARY, WIDTH, **{f"{kind}_layers": layers}, **changed), 3).eval()
    for parameter in made.parameters():
        parameter.normal_(0, 0.5, generator=torch.Generator().manual_seed(parameter.numel()))
    return made


def batch(side="none", tokens=18):
    """Three texts, two of them padded at `side`."""
    drawn = torch.randint(3, VOCABULARY, (3, tokens), generator=torch.Generator().manual_seed(5))
    mask = torch.ones_like(drawn, dtype=torch.bool)
    for row, short in ((1, 5), (2, 9)):
        mask[row, -short:] = side != "right"
        if side == "left":
            mask[row, :short] = False
    return Batch(drawn, None if side == "none" else mask)


def more(tokens):
    return torch.randint(3, VOCABULARY, (3, tokens), generator=torch.Generator().manual_seed(9))


def raised(code, call, *given, **options):
    with pytest.raises(ModelError) as error:
        call(*given, **options)
    assert error.value.code == code
    assert error.value.text("en") and error.value.text("zh")
    return error.value


def theirs_of(one, both=False):
    """torch's own module with the values of a layer."""
    module = torch.nn.LSTM(WIDTH, one.ahead.recurrent.in_features, batch_first=True, bidirectional=both)
    for part, ending in ((one.ahead, ""), (one.back, "_reverse"))[: 1 + both]:
        getattr(module, "weight_ih_l0" + ending).copy_(part.input.weight)
        getattr(module, "weight_hh_l0" + ending).copy_(part.recurrent.weight)
        getattr(module, "bias_ih_l0" + ending).copy_(part.input.bias)
        getattr(module, "bias_hh_l0" + ending).copy_(part.recurrent.bias)
    return module


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_it_is_the_lstm_that_torch_has(kind):
    made, given, both = network(kind), batch("right"), kind == "encoder"
    x = torch.nn.utils.rnn.pack_padded_sequence(
        made.embedding(given.tokens), given.mask.sum(1), batch_first=True, enforce_sorted=False
    )
    for one in getattr(made, kind).blocks:
        x, _ = theirs_of(one, both)(x)
    expected, _ = torch.nn.utils.rnn.pad_packed_sequence(x, batch_first=True)
    torch.testing.assert_close(made(given)[given.mask], expected[given.mask], **CLOSE)


def test_torch_opens_the_weights_by_name(tmp_path):
    made, given = network("encoder"), batch()
    write_checkpoint(tmp_path, made, family="lstm", purpose="masked")
    theirs = torch.nn.LSTM(WIDTH, WIDTH // 2, 2, batch_first=True, bidirectional=True)
    stored = {name.removeprefix("lstm."): t for name, t in load_file(tmp_path / "model.safetensors").items()}
    theirs.load_state_dict({name: t for name, t in stored.items() if "_l" in name})
    expected, _ = theirs(torch.nn.functional.embedding(given.tokens, stored["embedding.weight"]))
    torch.testing.assert_close(read_checkpoint(tmp_path).transformer().eval()(given), expected, **CLOSE)


def test_the_purpose_chooses_how_it_reads():
    sizes = dict(vocab_size=64, width=32, layers=3)
    for purpose, side in (("causal", "decoder"), ("masked", "encoder"), ("classify", "encoder")):
        config = fresh_config("lstm", purpose=purpose, dropout=0.1, max_tokens=99, **sizes)
        assert getattr(config, side + "_layers") == 3 and config.encoder_layers + config.decoder_layers == 3
        assert (config.width, config.dropout, config.max_tokens) == (32, 0.1, 99)
    raised("P-MODEL-013", write_checkpoint, "nowhere", network("encoder"), family="lstm", purpose="causal")
    error = raised("P-MODEL-060", fresh_config, "lstm", heads=2, mlp_width=64, **sizes)
    assert [one.field for one in (error, *error.others)] == ["heads", "mlp_width"]


def test_the_formula_equals_the_kernel_and_edits_are_respected():
    one, x = Recurrence(WIDTH, 12), torch.randn(3, 9, WIDTH)
    state = (torch.randn(3, 12), torch.randn(3, 12))
    (fast, kept), (plain, also) = one(x, state), one.written_out(x, state)
    torch.testing.assert_close(fast, plain, **CLOSE)
    torch.testing.assert_close(kept, also, **CLOSE)
    handle = one.recurrent.register_forward_hook(lambda module, given, made: made + 1)
    assert not torch.allclose(one(x, state)[0], fast, atol=1e-3)
    handle.remove()


def test_gradients_of_both_ways_agree():
    one, x = Recurrence(WIDTH, 12), torch.randn(3, 9, WIDTH)
    nothing = torch.zeros(3, 12)
    found = []
    with torch.enable_grad():
        for way in (one.by_kernel, one.written_out):
            output, _ = way(x, (nothing, nothing))
            found.append(torch.autograd.grad(output.square().sum(), list(one.parameters())))
    for fast, plain in zip(*found, strict=True):
        torch.testing.assert_close(fast, plain, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_places_equal_the_rows_of_the_whole(kind, side):
    made, given = network(kind), batch(side)
    whole = made(given)
    given.places = torch.tensor([[0, 3, 11], [12, 12, 5], [17, 9, 10]])
    torch.testing.assert_close(made(given), pick(whole, given.places), **CLOSE)


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_padding_changes_nothing(kind, side):
    made, given = network(kind), batch(side)
    whole = made(given)
    assert torch.isfinite(whole).all()
    for row in range(3):
        real = given.mask[row]
        torch.testing.assert_close(whole[row][real], made(Batch(given.tokens[row : row + 1, real]))[0], **CLOSE)


def test_a_decoder_never_sees_what_comes_and_an_encoder_does():
    for kind, seen in (("decoder", False), ("encoder", True)):
        made, given = network(kind), batch()
        before = made(given)[:, :-1]
        given.tokens[:, -1] = 3
        assert torch.allclose(made(given)[:, :-1], before) != seen


@pytest.mark.parametrize("side", SIDES)
def test_decoding_equals_the_whole(side):
    made, given, new = network(), batch(side), more(6)
    memory = made.start(given, capacity=32)
    steps = [memory.hidden, *(made.step(new[:, i : i + 1], memory) for i in range(3)), made.step(new[:, 3:], memory)]
    told = torch.cat(steps, 1)
    for row in range(3):
        real = slice(None) if given.mask is None else given.mask[row]
        alone = Batch(torch.cat([given.tokens[row, real], new[row]])[None])
        torch.testing.assert_close(told[row], made(alone)[0, -7:], **CLOSE)


def told(given, new, row, prompt, steps):
    """A row's first real tokens of the prompt, as many as are asked for, and of what came after."""
    real = given.tokens[row] if given.mask is None else given.tokens[row, given.mask[row]]
    return torch.cat([real[:prompt], new[row, :steps]])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("lost", [0, 1, 2, 5, 8, 11, 26])
def test_memory_is_cut_anywhere(side, lost):
    """Between steps, at the prompt's end and into it; then it goes on as if the rest had never been."""
    made, given, new = network(), batch(side), more(8)
    memory = made.start(given, capacity=40)
    prompts = memory.lengths
    for i in range(4):
        made.step(new[:, 2 * i : 2 * i + 2], memory)
    memory.cut(26 - lost)
    kept = [max(0, int(prompt) + 8 - lost) for prompt in prompts]
    assert memory.lengths.tolist() == kept and all(memory.holds(row, n) for row, n in enumerate(kept))
    found = torch.cat([made.step(new[:, :3], memory), made.step(new[:, 3:4], memory)], 1)
    for row, prompt in enumerate(prompts.tolist()):
        whole = torch.cat([told(given, new, row, kept[row], max(0, kept[row] - prompt)), new[row, :4]])
        torch.testing.assert_close(found[row], made(Batch(whole[None]))[0, -4:], **CLOSE)


def test_rows_are_cut_and_go_on_each_by_itself():
    made, given, new = network(), batch("right"), more(4)
    memory = made.start(given, capacity=40)
    made.step(new, memory)
    memory.cut([20, 17, 0])
    found = made.step(new, memory, [4, 2, 3])
    assert memory.lengths.tolist() == [24, 19, 3] and memory.length == 24
    for row, (prompt, steps, count) in enumerate([(18, 2, 4), (13, 4, 2), (0, 0, 3)]):
        whole = torch.cat([told(given, new, row, prompt, steps), new[row, :count]])
        torch.testing.assert_close(found[row, :count], made(Batch(whole[None]))[0, -count:], **CLOSE)


def test_memory_is_shared():
    made, given, new = network(), batch("left"), more(2)
    memory = made.start(given, capacity=32)
    length, expected = memory.length, made.step(new, memory)
    memory.cut(length)
    rows = torch.tensor([2, 0, 2])
    memory.select(rows)
    torch.testing.assert_close(made.step(new[rows], memory), expected[rows], **CLOSE)
    fresh = made.reserve(3, capacity=4, bound=32)
    memory.cut(length)
    for row in range(3):
        fresh.put(row, memory, row, None if row else 5)
    found = made.step(new[rows], fresh)
    torch.testing.assert_close(found[1:], expected[rows][1:], **CLOSE)
    whole = torch.cat([given.tokens[2, given.mask[2]][:5], new[2]])
    torch.testing.assert_close(found[0], made(Batch(whole[None]))[0, -2:], **CLOSE)
    raised("P-MODEL-006", made.reserve(1, capacity=4).put, 0, memory, 1)


def test_a_part_of_the_memory_is_the_same_memory():
    made, given, new = network(), batch("right"), more(2)
    memory = made.start(given, capacity=32)
    expected = made.step(new, made.start(given, capacity=32))
    found = [made.step(new[row : row + 1], memory.part(row, row + 1)) for row in range(3)]
    torch.testing.assert_close(torch.cat(found), expected, **CLOSE)
    memory.part(1, 2).cut([4])
    memory.put(2, memory, 1)
    assert memory.lengths.tolist() == [20, 4, 4]
    made.step(new, memory)
    assert memory.rows[1].tokens == memory.rows[2].tokens[:4] + memory.rows[1].tokens[4:]


def test_memory_keeps_few_states():
    made = network()
    memory = made.start(batch(), capacity=400)
    for _ in range(50):
        made.step(more(1), memory)
    assert all(len(row.states) <= 4 for row in memory.rows)


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_half_precision_is_close(kind):
    made, given = network(kind), batch("right", tokens=40)
    for parameter in made.parameters():
        parameter.mul_(0.5)
    whole, half = made(given), copy.deepcopy(made).bfloat16()(given)
    assert half.dtype == torch.bfloat16
    assert (whole - half.float())[given.mask].norm() / whole[given.mask].norm() < 0.05


@pytest.mark.parametrize("kind", ["encoder", "decoder"])
def test_it_can_be_compiled(kind):
    made, given = network(kind), batch("right")
    wanted = made(given)
    made.compile(backend="eager")
    torch.testing.assert_close(made(given), wanted, **CLOSE)


FRESH = """
import sys
import torch
from penjing.model.batch import Batch
from penjing.model.families import families
from penjing.model.lstm import LSTM
from penjing.model.size import fresh_config
from penjing.model.transformer import Transformer
families()
for family, kind in (("lstm", LSTM), ("llama", Transformer), ("t5", Transformer)):
    made = kind.new(fresh_config(family, vocab_size=41, width=16, layers=1, max_tokens=32, purpose="base"))
with torch.no_grad():
    made(Batch(torch.ones(1, 3, dtype=torch.long), target=torch.ones(1, 3, dtype=torch.long)))
print("torch._dynamo" in sys.modules)
"""


def test_networks_are_made_without_the_compiler():
    """It takes a second to load, and whoever only asks a model never needs it."""
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", FRESH], capture_output=True, text=True)
    assert found.stdout == "False\n", found.stderr


def test_values_follow_from_the_seed():
    config = LSTMConfig(VOCABULARY, WIDTH, decoder_layers=2)
    first, same, other = (LSTM.new(config, seed) for seed in (7, 7, 8))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), same.parameters(), strict=True))
    assert not torch.equal(first.embedding.weight, other.embedding.weight)
    assert first.decoder.blocks[0].ahead.input.bias.tolist() == [0.0] * 16 + [1.0] * 16 + [0.0] * 32


def test_dropout_acts_in_training_and_on_whole_features():
    made, given = network(dropout=0.5), batch()
    assert torch.equal(made(given), made(given))
    made.train()
    assert not torch.equal(made(given), made(given))
    dropped = (made.decoder.dropped(torch.ones(2, 50, WIDTH)) == 0).float().mean(1)
    assert set(dropped.flatten().tolist()) == {0.0, 1.0}


def test_scores_and_losses_are_the_vocabularys():
    made, given = network(), batch()
    hidden = made(given)
    scores = made.logits(hidden)
    assert scores.shape == (3, 18, VOCABULARY)
    labels = given.tokens.flatten()
    expected = torch.nn.functional.cross_entropy(scores.flatten(0, 1), labels, reduction="sum")
    torch.testing.assert_close(made.vocabulary_loss(hidden.flatten(0, 1), labels), expected, **CLOSE)
    assert network(tied_output=False).output.weight.shape == (VOCABULARY, WIDTH)


def test_mistakes_are_told():
    raised("P-MODEL-009", network("encoder").start, batch())
    raised("P-MODEL-006", network().start, batch(), capacity=17)
    memory = network().start(batch(), capacity=19)
    raised("P-MODEL-006", network().step, more(2), memory)
    raised("P-MODEL-008", LSTM.new(LSTMConfig(5, 4, decoder_layers=1), vocabulary=False).logits, torch.zeros(1, 4))
    error = raised("P-MODEL-001", LSTMConfig, 0, 5, 1, dropout=1.0)
    assert {e.field for e in [error, *error.others]} == {"vocab_size", "width", "dropout"}
    raised("P-MODEL-001", LSTMConfig, 5, 4, 1, 1)
