"""Few bits: how near they stay, what the data are good for, adapters on top, and folders as small as they should be."""

import copy

import pytest
import torch
from networks import batch, network
from toys import toy_model

from penjing.base.errors import PenjingError
from penjing.changes import change_named, changes_of
from penjing.changes.change import Changes
from penjing.changes.edits import edits_of, is_edits
from penjing.changes.files import FILE
from penjing.changes.gptq import gptq
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.model.quantized import Int4, alone
from penjing.tasks.calibrating import calibration
from penjing.tasks.model import Model

CLOSE = dict(atol=1e-5, rtol=1e-5)
LORA = {"lora": {"rank": 2, "where": ".*"}}


def changed(family, *said, batches=None, **more):
    changes = Changes(network(family, **more))
    changes.adopt(changes_of(list(said)), 0, batches)
    return changes


@torch.no_grad()
def scores(changes, given):
    return changes.network.logits(changes.network(given))


def far(family, said, given, **more):
    before = scores(changed(family, **more), given)
    return float((scores(changed(family, said, batches=[given], **more), given) - before).norm() / before.norm())


@pytest.mark.parametrize("family", ["bert", "llama", "t5", "lstm"])
def test_more_bits_and_better_ways_stay_nearer(family):
    given = batch(family, "left")
    eight = [far(family, {"int8": {"activations": way}}, given) for way in ("none", "dynamic")]
    assert 0 < eight[0] < eight[1] < 0.04
    assert eight[1] < far(family, "int4", given) < 0.3


def test_gptq_makes_up_for_errors_where_inputs_go_together():
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(40, 160, generator=generator)
    x = torch.randn(500, 20, generator=generator) @ torch.randn(20, 160, generator=generator)
    x += 0.1 * torch.randn(500, 160, generator=generator)
    for asymmetric in (False, True):
        errors = []
        for fill in (lambda one: one.round(weight), lambda one: gptq(one, weight, x.T @ x / len(x))):
            matrix = Int4(40, 160, asymmetric=asymmetric)
            fill(matrix)
            errors.append((x @ (matrix.dense() - weight).T).norm())
        assert errors[1] < 0.6 * errors[0]


@pytest.mark.parametrize(("task", "family"), [("masked", "bert"), ("causal", "llama"), ("seq2seq", "t5")])
def test_texts_are_what_a_change_looks_at(task, family):
    model = toy_model(task, family)
    texts = ["the parcel", "good", "today today the late parcel came", "", "late " * 99]
    given = [(text, text or "good") for text in texts] if task == "seq2seq" else texts
    batches = calibration(model, given, rows=2)
    assert sum(len(one.tokens) for one in batches) == 5 and max(one.tokens.shape[1] for one in batches) == model.window
    model.adapt(changes_of({"int4": {"method": "gptq"}}), batches=batches)
    for wrong in ([], [3], *([["alone"]] if task == "seq2seq" else [])):
        with pytest.raises(PenjingError) as caught:
            calibration(model, wrong)
        assert caught.value.code == "P-CHANGE-082"


def test_an_input_that_is_always_nothing_is_no_trouble():
    moments = torch.eye(64)
    moments[3] = moments[:, 3] = 0
    matrix = Int4(16, 64)
    gptq(matrix, torch.randn(16, 64), moments)
    assert matrix.dense().isfinite().all()
    gptq(matrix, torch.zeros(16, 64), torch.zeros(64, 64))
    assert not matrix.dense().any()


def test_gptq_of_a_network_is_nearer_on_such_data():
    given = batch("llama")
    plain, better = (far("llama", {"int4": {"method": method}}, given) for method in ("nearest", "gptq"))
    assert better < 0.9 * plain


def small_batch(family, model):
    given = batch(family)
    for tokens in (given.tokens, given.target):
        if tokens is not None:
            tokens.remainder_(model.tokenizer.size)
    return given


def learn(model, given, steps=12):
    """One batch again and again; returns the losses."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-2)
    labels, losses = given.tokens.flatten(), []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = model.network.vocabulary_loss(model.network(given).flatten(0, 1), labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("bits", ["int8", "int4"])
@pytest.mark.parametrize(("task", "family"), [("masked", "bert"), ("causal", "llama"), ("seq2seq", "t5")])
def test_adapters_on_few_bits_are_trained_saved_and_loaded(task, family, bits, tmp_path):
    """QLoRA (arXiv:2305.14314): only the adapter learns, through rounded matrices."""
    model = toy_model(task, family).adapt(changes_of([bits, {"lora": {"rank": 4}}]), 1)
    given = small_batch(family, model)
    kept = {name: t.clone() for name, t in model.network.state_dict().items() if ".edits.1." not in name}
    losses = learn(model, given)
    assert losses[-1] < 0.95 * losses[0]
    assert all(torch.equal(t, model.network.state_dict()[name]) for name, t in kept.items())
    model.eval().save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(t, theirs[name]) for name, t in ours.items())
    with torch.no_grad():
        torch.testing.assert_close(again.network(given), model.network(given), **CLOSE)
        again.changes.fuse()
        folded, said = again.network(given), model.network(given)
    assert (folded - said).norm() < 0.03 * said.norm()


def test_the_folder_is_as_small_as_the_bits(tmp_path):
    sizes = {}
    for said in (None, "int8", "int4"):
        model = toy_model("causal", "llama", width=128).adapt(changes_of(said)).eval()
        model.save(tmp_path / str(said))
        sizes[said] = sum(path.stat().st_size for path in (tmp_path / str(said)).glob("*.safetensors"))
    assert sizes["int8"] < 0.32 * sizes[None] and sizes["int4"] < 0.24 * sizes[None]
    assert (tmp_path / "int4" / FILE).exists()


@pytest.mark.parametrize("tied", [True, False])
def test_the_table_and_the_head_are_read_as_they_are(tied, monkeypatch):
    changes = changed("llama", "int8", tie_word_embeddings=tied)
    made, given = changes.network, batch("llama")
    answered = scores(changes, given)
    monkeypatch.setattr(type(alone(made.output)), "dense", lambda self: pytest.fail("made whole"))
    torch.testing.assert_close(scores(changes, given), answered, **CLOSE)
    answers = complete(made, [[5, 9, 11]], GenerateOptions(max_new_tokens=20, temperature=0.0))
    assert len(answers[0][0].tokens) == 20
    monkeypatch.undo()
    twin = copy.deepcopy(changes)
    assert alone(twin.network.output) is not alone(made.output)
    twin.adopt(changes_of({"lora": {"rank": 2, "where": "output"}}), 0)  # reads the rows as numbers, unrounded states
    torch.testing.assert_close(scores(twin, given), answered, atol=0.05, rtol=0.05)
    changes.drop()
    assert torch.equal(scores(changes, given), scores(changed("llama", tie_word_embeddings=tied), given))


def test_products_within_a_low_rank_are_rounded_in_their_turn():
    changes = changed("bert", {"lowrank": {"where": ".*", "rank": 4}}, "int8")
    paths = edits_of(changes.network, 1)
    assert "embedding.edits.0.table" in paths and "encoder.blocks.0.mlp.up.edits.0.down" in paths
    assert "embedding" not in paths and "output" not in paths
    near = scores(changed("bert", {"lowrank": {"where": ".*", "rank": 4}}), batch("bert"))
    torch.testing.assert_close(scores(changes, batch("bert")), near, atol=0.1, rtol=0.05)


@torch.no_grad()
def test_a_compiler_sees_the_same_numbers():
    changes = changed("bert", "int8", {"lora": {"rank": 2}})
    compiled = torch.compile(lambda given: scores(changes, given), backend="eager")
    torch.testing.assert_close(compiled(batch("bert")), scores(changes, batch("bert")), **CLOSE)


BAD = [
    ("int8", {"where": "nothing"}, "P-CHANGE-002"),
    ("int8", {"activations": "static"}, "P-OPTION-002"),
    ("int4", {"group": 48}, "P-OPTION-002"),
    ("int4", {"method": "gptq"}, "P-CHANGE-080"),
]


@pytest.mark.parametrize(("name", "options", "code"), BAD)
def test_bad_input_is_one_message_and_changes_nothing(name, options, code):
    base = network("bert")
    state = copy.deepcopy(base.state_dict())
    with pytest.raises(PenjingError) as caught:
        Changes(base).adopt([change_named("lora"), change_named(name, **options)], 0)
    assert caught.value.code == code
    assert base.state_dict().keys() == state.keys() and all(p.requires_grad for p in base.parameters())


@pytest.mark.parametrize("said", ["int8", {"int4": {"method": "gptq"}}])
def test_weights_that_are_no_numbers_are_named(said):
    base = network("llama")
    with torch.no_grad():
        base.decoder.blocks[1].mlp.up.weight[2, 3] = torch.nan
    with pytest.raises(PenjingError) as caught:
        Changes(base).adopt(changes_of(said), 0, [batch("llama")])
    assert caught.value.code == "P-CHANGE-081" and "blocks.1.mlp.up" in str(caught.value)
    assert not any(is_edits(name) for name in base.state_dict())


@pytest.mark.parametrize("first", ["int8", "int4"])
def test_twice_is_told(first):
    with pytest.raises(PenjingError) as caught:
        changed("bert", first, "int8")
    assert caught.value.code == "P-CHANGE-064"


@pytest.mark.parametrize(
    ("task", "family"), [("masked", "bert"), ("causal", "gpt2"), ("causal", "llama"), ("seq2seq", "t5")]
)
def test_tables_of_four_bits(task, family, tmp_path):
    """Their rows are those of the whole table, whatever is asked; heads say their product; half the size of eight."""
    sizes = {}
    for bits in (8, 4):
        model = toy_model(task, family, width=64).eval()
        table = model.network.embedding.weight.detach().clone()
        model.adapt(changes_of({"int4": {"tables": bits, "asymmetric": family == "gpt2"}})).eval()
        model.save(tmp_path / str(bits))
        matrix = model.network.embedding.edits["0"].matrix
        sizes[bits] = sum(one.numel() * one.element_size() for one in matrix.buffers())
        numbers = torch.tensor([[0, 17, 3], [len(table) - 1, 16, 3]])
        rows = model.network.embedding(numbers)
        assert torch.equal(rows, matrix.dense()[numbers]) and model.network.embedding(numbers[0, 0]).shape == (64,)
        assert (rows - table[numbers]).norm() < {8: 0.02, 4: 0.15}[bits] * table[numbers].norm()
        again = Model.load(tmp_path / str(bits))
        assert torch.equal(again.network.embedding(numbers), rows)
        hidden = torch.randn(5, 64, generator=torch.Generator().manual_seed(1))
        output = model.network.output
        rows_of_head = matrix.dense() if output.edits["0"].matrix is matrix else output.weight
        exact = output.states(hidden) @ rows_of_head.T
        said = model.network.logits(hidden) - (0 if output.bias is None else output.bias)
        assert (said - exact).norm() < 0.03 * exact.norm()
        half = again.bfloat16().network.embedding(numbers)
        assert half.dtype is torch.bfloat16
        model.changes.drop()
        assert torch.equal(model.network.embedding.weight, table)
    assert sizes[4] < 0.6 * sizes[8]
