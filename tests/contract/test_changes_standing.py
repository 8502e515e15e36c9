"""What stands in for parameters: the base is not in the folder, and whoever asks for it gets what stands there."""

import copy
from pathlib import Path

import pytest
import torch
from networks import batch, network
from toys import RECORDS, toy_model

from penjing.base.errors import ModelError, OptionError
from penjing.base.records import write_records
from penjing.changes import change_named, changes_of
from penjing.changes.change import Changes
from penjing.changes.edits import edits_of, is_edits, whole_tensors
from penjing.changes.files import FILE
from penjing.model.batch import Batch
from penjing.model.checkpoint import read_checkpoint
from penjing.recipe.stages.merge import merge
from penjing.tasks.adapters import Adapters, save_adapter
from penjing.tasks.model import Model
from penjing.tasks.writer import Writer

CLOSE = dict(atol=1e-5, rtol=1e-5)
LORA = {"lora": {"rank": 2}}
TASKS = [("classify", "bert"), ("causal", "gpt2"), ("seq2seq", "t5"), ("causal", "lstm")]


def changed(family, *said, batches=None):
    changes = Changes(network(family))
    changes.adopt(changes_of(list(said)), 0, batches)
    return changes


@torch.no_grad()
def scores(changes, given):
    return changes.network.logits(changes.network(given))


def stirred(model):
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in model.network.named_parameters():
            if is_edits(name) and parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.05)
    return model.eval()


@torch.no_grad()
def heard(model):
    tokens = torch.tensor([[5, 6, 7, 8, 9]])
    target = tokens[:, :3] if model.network.encoder is not None and model.network.decoder is not None else None
    return model.network(Batch(tokens, target=target))


@pytest.mark.parametrize(("task", "family"), TASKS)
def test_a_folder_holds_what_is_left_and_what_stands_in(task, family, tmp_path):
    model = stirred(toy_model(task, family).adapt(changes_of(["lowrank", LORA])))
    answered, twin = heard(model), model.with_task(model.task, 9).eval()
    assert torch.equal(heard(twin), answered)
    model.save(tmp_path / "model")
    files = {path.name for path in (tmp_path / "model").iterdir()}
    assert "remaining.safetensors" in files and "model.safetensors" not in files
    assert "Model.load" in (tmp_path / "model" / "README.md").read_text()
    with pytest.raises(ModelError) as caught:
        read_checkpoint(tmp_path / "model")
    assert caught.value.code == "P-CHANGE-063"

    again = Model.load(tmp_path / "model")
    torch.testing.assert_close(heard(again), answered, **CLOSE)  # tensors of a file begin elsewhere in memory
    assert again.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }
    with pytest.raises(ModelError) as caught:
        again.changes.drop(0)
    assert caught.value.code == "P-CHANGE-061" and len(again.changes) == 2
    again.save(tmp_path / "again")
    for name in ("remaining.safetensors", FILE):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "model" / name).read_bytes()
    other = again.with_task(again.task, 9).eval()
    torch.testing.assert_close(heard(other), answered, **CLOSE)
    half = heard(Model.load(tmp_path / "model", dtype="bfloat16"))
    assert half.dtype is torch.bfloat16 and (half.float() - answered).norm() < 0.1 * answered.norm()

    again.changes.drop(1)
    again.changes.fuse()
    again.save(tmp_path / "whole")
    assert (tmp_path / "whole" / "model.safetensors").exists()
    assert read_checkpoint(tmp_path / "whole").tensors.keys() >= set(toy_model(task, family).network.state_dict())
    assert twin.changes.held(0) == [] and twin.changes[0].change.name == "lowrank"


def test_a_folder_that_was_whole_is_cleared(tmp_path):
    """The weights of an earlier, whole model in the same folder do not survive the smaller one's."""
    from penjing.model.tensors import write_tensors

    tensors = {"one": torch.ones(3), "two": torch.ones(4)}
    for shard, whole in ((9, True), (99, False), (9, False), (99, True)):
        write_tensors(tmp_path, tensors, shard, whole)
        names = sorted(path.name for path in tmp_path.iterdir())
        assert len(names) == (3 if shard == 9 else 1)
        assert all(name.startswith("model" if whole else "remaining") for name in names)


def test_parts_of_a_joined_matrix_keep_our_names(tmp_path):
    """GPT-2 keeps queries, keys and values in one matrix; without the queries there is none."""
    model = stirred(toy_model("causal", "gpt2").adapt(changes_of({"lowrank": {"where": "query"}})))
    model.save(tmp_path / "model")
    torch.testing.assert_close(heard(Model.load(tmp_path / "model")), heard(model), **CLOSE)


def test_one_stands_within_another():
    given = batch("bert")
    changes = changed(
        "bert", LORA, {"lowrank": {"where": "mlp.up", "rank": 8}}, {"lowrank": {"where": "mlp.up", "rank": 2}}
    )
    state, answered = whole_tensors(changes.network), scores(changes, given)
    path = "encoder.blocks.0.mlp.up.edits.1.down"
    assert path in edits_of(changes.network, 2)
    with pytest.raises(ModelError) as caught:
        changes.drop(1)
    assert caught.value.code == "P-CHANGE-062" and len(changes) == 3
    changes.drop(0)
    assert path.replace("edits.1", "edits.0") in edits_of(changes.network, 1)
    torch.testing.assert_close(scores(changes, given), answered, **CLOSE)
    twin = copy.deepcopy(changes)
    twin.fuse()
    torch.testing.assert_close(scores(twin, given), answered, **CLOSE)
    assert all(torch.allclose(t, state[n], atol=1e-6) for n, t in twin.network.state_dict().items())
    lifted = changes.lift()
    changes.lay(lifted)
    torch.testing.assert_close(scores(changes, given), answered, **CLOSE)


@pytest.mark.parametrize("number", [0, 1])
def test_training_over_the_base_is_let_go(number):
    changes = changed("llama", *(["lowrank", LORA] if number == 0 else [LORA, "lowrank"]))
    answered = scores(changes, batch("llama"))
    changes.finish()
    with pytest.raises(ModelError) as caught:
        changes.drop(number)
    assert caught.value.code == "P-CHANGE-061"
    changes.drop(1 - number)
    torch.testing.assert_close(scores(changes, batch("llama")), answered, **CLOSE)
    assert all(parameter.requires_grad for parameter in changes.network.parameters())


@pytest.mark.parametrize("dora", [False, True])
def test_an_adapter_goes_around_it_in_any_order_and_back_to_peft(dora, tmp_path):
    """The adapter is saved alone, and read onto the changed base; the fold of both says the same."""
    lora = {"lora": {"rank": 2, "dora": dora, "start": "pissa"}}
    base = toy_model("classify", "bert").adapt(changes_of("lowrank"))
    base.save(tmp_path / "base")
    model = stirred(Model.load(tmp_path / "base").adapt(changes_of(lora)))
    save_adapter(model, tmp_path / "adapter", tmp_path / "base")
    again = Model.load(tmp_path / "adapter")
    torch.testing.assert_close(heard(again), heard(model), **CLOSE)
    adapters = Adapters(Model.load(tmp_path / "base"))
    adapters.load("one", tmp_path / "adapter")
    torch.testing.assert_close(heard(adapters.use("one")), heard(model), **CLOSE)
    torch.testing.assert_close(heard(adapters.use(None)), heard(base.eval()), **CLOSE)
    torch.testing.assert_close(heard(adapters.use("one")), heard(model), **CLOSE)
    write_records(tmp_path / "data" / "test.jsonl", RECORDS[:6])
    model.save(tmp_path / "both")
    merge(tmp_path / "merged", model=tmp_path / "both", data=tmp_path / "data")
    torch.testing.assert_close(heard(Model.load(tmp_path / "merged" / "model")), heard(model), **CLOSE)


def test_who_writes_by_a_folder_heeds_its_changes(tmp_path):
    model = stirred(toy_model("causal", "llama").adapt(changes_of(["lowrank", LORA])))
    model.save(tmp_path / "model")
    torch.testing.assert_close(heard(Writer.load(tmp_path / "model")), heard(model), **CLOSE)


@torch.no_grad()
def test_a_compiler_sees_what_stands_in():
    changes = changed("bert", {"lowrank": {"where": ".*"}})
    compiled = torch.compile(lambda given: scores(changes, given), backend="eager")
    torch.testing.assert_close(compiled(batch("bert")), scores(changes, batch("bert")), **CLOSE)


@pytest.mark.parametrize("family", ["bert", "gpt2", "t5", "lstm"])
def test_data_make_a_low_rank_closer(family):
    """To what the network says of such data; padding counts for nothing."""
    given = batch(family, "left")
    before = scores(changed(family), given)
    far = [
        (scores(changed(family, {"lowrank": {"keep": 0.4}}, batches=batches), given) - before).norm()
        for batches in (None, [given])
    ]
    assert far[1] < 0.9 * far[0]
    strange = Batch(given.tokens.clone(), given.mask, target=given.target, target_mask=given.target_mask)
    if given.mask is not None and family != "lstm":
        strange.tokens[~given.mask.bool()] = 3
        one, other = (changed(family, {"lowrank": {"rank": 2}}, batches=[x]) for x in (given, strange))
        assert all(
            torch.allclose(t, other.network.state_dict()[n], atol=1e-5) for n, t in one.network.state_dict().items()
        )


BAD = [
    ({"rank": 2, "keep": 0.5}, None, "P-CHANGE-066"),
    ({"rank": 16}, None, "P-CHANGE-067"),
    ({"energy": 1.0}, None, "P-CHANGE-067"),
    ({"keep": 1.0}, None, "P-OPTION-002"),
    ({"ranks": {"nothing": 2}}, None, "P-CHANGE-002"),
    ({"ranks": {"encoder.blocks.0.attention.key": 0}}, None, "P-OPTION-002"),
    ({"ranks": {"encoder.blocks.0.attention.key": 1000}}, None, "P-CHANGE-067"),
    ({"keep": 0.01}, None, "P-MODEL-076"),
    ({"where": "nothing"}, None, "P-CHANGE-002"),
    ({}, [], "P-CHANGE-065"),
]


@pytest.mark.parametrize(("options", "batches", "code"), BAD)
def test_bad_input_is_one_message_and_changes_nothing(options, batches, code):
    base = network("bert")
    state = copy.deepcopy(base.state_dict())
    with pytest.raises(Exception) as caught:
        Changes(base).adopt([change_named("lora"), change_named("lowrank", **options)], 0, batches)
    assert caught.value.code == code
    assert base.state_dict().keys() == state.keys() and all(p.requires_grad for p in base.parameters())


def test_a_matrix_of_zeros_gets_no_directions_that_another_could_use():
    base = network("bert")
    paths = [f"encoder.blocks.{layer}.attention.query" for layer in (0, 1)]
    with torch.no_grad():
        base.get_submodule(paths[0]).weight.zero_()
    (changes := Changes(base)).adopt([change_named("lowrank", keep=0.4, where="blocks.[01].attention.query")], 0)
    assert changes[0].change.ranks == dict(zip(paths, (1, 5), strict=True))


def test_what_is_made_of_no_products_is_not_made_smaller_again(monkeypatch):
    from penjing.changes.lowrank import Factors

    changes = changed("bert", "lowrank")
    monkeypatch.setattr(Factors, "named_children", lambda self: iter(()))
    with pytest.raises(OptionError) as caught:
        changes.add(change_named("lowrank"), 0)
    assert caught.value.code == "P-CHANGE-064"


def test_a_missing_tensor_of_the_rest_is_named(tmp_path):
    from penjing.model.tensors import read_file, write_file

    model = toy_model("classify", "bert").adapt(changes_of("lowrank"))
    model.save(tmp_path / "model")
    file = Path(tmp_path / "model" / "remaining.safetensors")
    tensors = read_file(file)
    gone = next(iter(tensors))
    del tensors[gone]
    write_file(file, tensors)
    with pytest.raises(ModelError) as caught:
        Model.load(tmp_path / "model")
    assert caught.value.code == "P-MODEL-014" and gone in str(caught.value)
