"""The contract of every change with networks of every family, alone and in stacks: see stacks.py.

EFFECTS: option -> (one, other[, what is said besides]).
"""

import copy
from itertools import product

import numpy as np
import pytest
import torch
from networks import network
from stacks import (
    AHEAD,
    ALL,
    CLOSE,
    CUTS,
    FAMILIES,
    SMALLER,
    USUAL,
    batch,
    changed,
    lacking,
    look,
    made,
    moved,
    reason,
    refused,
    said,
)
from toys import teach, toy_model, toy_pieces

from penjing.base.errors import FileError, ModelError, OptionError, PenjingError
from penjing.base.options import options_of
from penjing.changes import CHANGES, change_named, changes_of
from penjing.changes.change import Changes
from penjing.changes.edits import originals
from penjing.changes.files import FILE, repeat
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.model.batch import Batch
from penjing.tasks.model import Model

EFFECTS = {
    "lora": {
        "rank": (1, 2), "alpha": (1.0, 30.0), "where": ("query", "value"), "rslora": (False, True), "dora": (False, True),
        "dropout": (0.0, 0.5), "start": ("usual", "pissa"), "ratio": (1.0, 16.0), "whole": (None, ".*norm"),
    },
    "ia3": {"where": ("key", "value"), "inputs": (None, "mlp.up")},
    "adapter": {
        "kind": ("houlsby", "parallel"), "width": (None, 5), "reduction": (None, 4), "activation": ("relu", "gelu"),
        "scale": (1.0, 4.0), "where": (None, "mlp.up"),
    },
    "prefix": {"length": (2, 3), "inner": (None, 8)},
    "prompt": {
        "length": (2, 3), "words": (None, "tree box"), "tokens": (None, (7, 8)), "first": ("text", "prompt"),
    },
    "ptuning": {
        "length": (2, 3), "kind": ("mlp", "lstm"), "inner": (8, 9), "layers": (None, 1, {"kind": "lstm"}),
        "first": ("text", "prompt"),
    },
    "bitfit": {"where": (".*", "mlp")},
    "lowrank": {
        "rank": (1, 2), "energy": (0.5, 0.8), "keep": (None, 0.3), "where": ("query", "mlp.up"),
        "ranks": (None, {"encoder.blocks.0.attention.key": 2}),
    },
    "int8": {"where": ("query", "mlp.up"), "embeddings": (True, False), "activations": ("dynamic", "none")},
    "int4": {
        "where": ("query", "mlp.up"), "group": (32, 64), "asymmetric": (False, True), "method": ("nearest", "gptq"),
        "tables": (8, 4),
        "embeddings": (True, False), "activations": ("dynamic", "none"),
    },
    "heads": {
        "share": (0.2, 0.5), "across": ("module", "network", {"share": 0.3}), "by": ("magnitude", "taylor"),
        "where": ("attention", "0.attention"),
        "kept": ({"encoder.blocks.0.attention": (0,)}, {"encoder.blocks.0.attention": (1,)}),
    },
    "neurons": {
        "share": (0.3, 0.5), "across": ("module", "network"), "by": ("magnitude", "taylor"), "where": ("mlp", "0.mlp"),
        "kept": ({"encoder.blocks.0.mlp": (0, 1)}, {"encoder.blocks.0.mlp": (0, 2)}),
    },
    "layers": {
        "number": (1, 2), "where": ("encoder", "decoder"), "gone": (("encoder.blocks.0",), ("encoder.blocks.1",)),
    },
    "vocabulary": {
        "min_count": (1, 30), "coverage": (None, 0.5), "keep": ((), ("very late",), {"coverage": 0.1}),
        "characters": ("all", "used"), "tokens": (tuple(range(99)), tuple(range(100))),
    },
    "magnitude": {"share": (0.3, 0.5), "pattern": ("row", "2:4"), "where": ("mlp.up", "mlp.down")},
    "freeze": {
        "top": (0, 1, {"where": "embedding"}), "where": (None, "embedding"), "falling": (1.0, 0.5, {"where": "embedding"}),
        "gradual": (0.0, 0.5, {"where": "embedding"}),
    },
}  # fmt: skip

TRIED = [(one, family) for one, family in product(ALL, ("bert", "gpt2", "llama", "t5", "lstm", "bilstm"))
         if not lacking(family, one[0])]  # fmt: skip
PAIRS = list(product(USUAL, USUAL))
STACKS = {
    "pruned, factored, rounded": [("heads", "half"), ("lowrank", "half"), ("int8", "usual")],
    "an adapter on four bits": [("int4", "usual"), ("lora", "usual")],
}


@pytest.mark.parametrize(
    ("one", "family"), TRIED, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_one_change(one, family):
    look(family, one)


@pytest.mark.parametrize("number", range(len(PAIRS)))
def test_stacks_of_two(number):
    """Each on a family, all families in turn. benchmarks/contract_stacks.py asks every way of each, of all families."""
    one, other = PAIRS[number]
    family = FAMILIES[(number + number // len(USUAL)) % len(FAMILIES)]
    if code := reason(family, one, other):
        assert refused(family, one, other) == code
    else:
        look(family, one, other)


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
@pytest.mark.parametrize("stack", STACKS)
def test_stacks_that_are_meant(family, stack, tmp_path):
    """Of an encoder, a decoder and both; saved and loaded too, and one seen by a compiler."""
    compiled = (stack, family) == ("an adapter on four bits", "bert")
    look(family, *STACKS[stack], folder=tmp_path, compiled=compiled)


@pytest.mark.parametrize(
    ("one", "family"), [(o, f) for o, f in product(ALL, ("gpt2", "llama", "t5", "lstm")) if not lacking(f, o[0])]
)
def test_generation_says_what_the_network_says(one, family):
    """Long enough that products are joined, packed and written out as a tape; one row, and several."""
    base = moved(changed(family, one), 0.3).network
    if (one[0], family) == ("lowrank", "lstm"):
        base.double()  # moved so far, it is chaotic: roundings of float32 grow
    for rows in (1, 4):
        prompts = [[5 + row, 9, 11] for row in range(rows)]
        answers = complete(base, prompts, GenerateOptions(max_new_tokens=20, temperature=0.0))
        for prompt, (answer,) in zip(prompts, answers, strict=True):
            start = [base.config.decoder_start] if family == "t5" else prompt
            text = torch.tensor([start + answer.tokens])
            given = Batch(torch.tensor([prompt]), target=text) if family == "t5" else Batch(text)
            scores = said(base, given)[0, len(start) - 1 : -1].log_softmax(-1)
            assert scores.argmax(-1).tolist() == answer.tokens
            found = torch.tensor(answer.log_probabilities, dtype=scores.dtype)
            torch.testing.assert_close(scores.amax(-1), found, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_a_compiler_sees_the_same_network():
    base = moved(changed("bert", ("lora", "everywhere"), ("ia3", "usual"), ("lora", "dora"), ("freeze", "top"))).network
    given = batch("bert")
    compiled = torch.compile(lambda given: base.logits(base(given)), backend="eager")
    torch.testing.assert_close(compiled(given), said(base, given), **CLOSE)


def test_a_generation_under_way_goes_on_with_the_change():
    """A step that was written out before the network was edited is not taken any more."""
    from penjing.model.products import prepared

    base, given = network("llama"), batch("llama")
    with torch.no_grad(), prepared(base, 1, 100):
        assert base.tape is not None
        memory = base.start(Batch(given.tokens[:1]))
        moved(changed_in(base, ("lora", "usual")), 0.3)
        base.step(torch.tensor([[7]]), memory)
        assert base.tape is None


def changed_in(base, *wanted):
    changes = Changes(base)
    changes.adopt([made(*one) for one in wanted], 0)
    return changes


@pytest.mark.parametrize("name", CHANGES)
def test_every_option_has_an_effect(name):
    """In the losses of a few steps, or an error."""
    assert set(options_of(type(change_named(name)))) == set(EFFECTS[name])
    idle = []
    for option, (one, other, *more) in EFFECTS[name].items():
        views = [view(name, {option: value} | (more[0] if more else {})) for value in (one, other)]
        idle += [option] * (views[0] == views[1])
    assert not idle, f"{name}: these options change nothing: {idle}"


def view(name, options):
    task = "classify" if name in AHEAD else "masked"  # one reads the first state
    model, batches = toy_model(task, "bert", layers=3 if name in CUTS else 1), None
    if name in SMALLER:
        pieces = toy_pieces(model)
        batches = [model.task.collate(pieces, np.arange(4), model.tokenizer, np.random.default_rng(0))]
    try:
        model.adapt([change_named(name, **options)], 3, batches, labelled=True)
    except OptionError as error:
        return error.code
    torch.manual_seed(0)
    return teach(model, 6, 1e-2)


@pytest.mark.parametrize(
    ("task", "family"), [("classify", "bert"), ("causal", "llama"), ("seq2seq", "t5"), ("causal", "lstm")]
)
def test_a_model_is_saved_and_loaded_with_its_changes(task, family, tmp_path):
    model = toy_model(task, family)
    base = copy.deepcopy(model)
    model.adapt(changes_of([{"lora": {"rank": 2, "where": ".*"}}, {"freeze": {"top": 1}}]), 5)
    moved(model.changes)
    model.eval().save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    ours, theirs = model.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert again.changes.records() == model.changes.records()
    assert {n for n, p in again.named_parameters() if p.requires_grad} == {
        n for n, p in model.named_parameters() if p.requires_grad
    }
    other = again.with_task(again.task, 9)
    assert all(torch.equal(t, other.network.state_dict()[n]) for n, t in again.network.state_dict().items())
    for _ in range(2):
        again.changes.drop()
    state = again.network.state_dict()
    assert all(torch.equal(tensor, state[name]) for name, tensor in base.network.state_dict().items())
    (tmp_path / "model" / FILE).unlink()
    with pytest.raises(FileError) as caught:
        Model.load(tmp_path / "model")
    assert caught.value.code == "P-FILE-001"


def test_paths_are_of_the_original_network():
    changes = changed("llama", ("lora", "everywhere"), ("ia3", "usual"), ("lora", "usual"))
    assert [path for path, _ in originals(changes.network)] == [path for path, _ in network("llama").named_modules()]
    assert changes.network.decoder.blocks[0].attention.query.weight.shape == (16, 16)


BAD = [
    ("lora", {"where": "atention.quary"}, "P-CHANGE-002"),
    ("lora", {"whole": "nothing"}, "P-CHANGE-002"),
    ("lora", {"where": "query("}, "P-CHANGE-003"),
    ("lora", {"rank": 0}, "P-OPTION-002"),
    ("lora", {"rang": 4}, "P-OPTION-001"),
    ("lora", {"dora": True, "where": ".*"}, "P-CHANGE-008"),
    ("ia3", {"where": "mlp.down"}, "P-CHANGE-009"),
    ("ia3", {"inputs": "nothing"}, "P-CHANGE-002"),
    ("bitfit", {"where": "nothing"}, "P-CHANGE-002"),
    ("freeze", {"top": 9}, "P-CHANGE-010"),
    ("adapter", {"where": "mlp"}, "P-CHANGE-002"),
    ("adapter", {"width": 0}, "P-OPTION-002"),
    ("adapter", {"width": 4, "reduction": 4}, "P-CHANGE-040"),
    ("prefix", {"length": 0}, "P-OPTION-002"),
    ("prefix", {"length": 64}, "P-CHANGE-042"),
    ("prompt", {"length": 63, "tokens": [128]}, "P-CHANGE-044"),
    ("prompt", {"words": ""}, "P-OPTION-002"),
    ("prompt", {"words": "\n"}, "P-CHANGE-045"),
    ("ptuning", {"layers": 2}, "P-CHANGE-046"),
    ("int4", {"tables": 4, "embeddings": False}, "P-CHANGE-129"),
    ("lore", {}, "P-OPTION-004"),
]


@pytest.mark.parametrize(("name", "options", "code"), BAD)
def test_bad_input_is_one_message_and_changes_nothing(name, options, code):
    model = toy_model("masked", "bert")
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(PenjingError) as caught:
        model.adapt([change_named("lora"), change_named(name, **options)])
    assert caught.value.code == code
    assert model.state_dict().keys() == state.keys() and not model.changes
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_ia3_scales_keys_values_and_what_the_last_products_read():
    edits = change_named("ia3").edits(network("bert"))
    assert {path.split(".", 3)[-1] for path in edits} == {"attention.key", "attention.value", "mlp.down"}


def test_nearest_paths_are_told():
    with pytest.raises(OptionError) as caught:
        changed_in(network("bert")).adopt([change_named("lora", where="atention.quary")], 0)
    assert caught.value.known[0] == "encoder.blocks.0.attention.query"


def test_nothing_to_train_is_an_error():
    with pytest.raises(ModelError) as caught:
        toy_model("base", "bert").adapt([change_named("freeze", top=0)])
    assert caught.value.code == "P-CHANGE-001"


def test_tensors_of_another_base_are_all_named():
    changes = changed("bert", ("lora", "usual"))
    tensors = changes.tensors()
    one, two = list(tensors)[:2]
    wrong = {**tensors, one: tensors[one][:, :3], "strange": tensors[two]}
    del wrong[two]
    with pytest.raises(ModelError) as caught:
        repeat(Changes(network("bert")), changes.records(), wrong)
    assert caught.value.code == "P-CHANGE-007"
    assert one in str(caught.value) and "(2, 3), not (2, 16)" in str(caught.value) and "+ strange" in str(caught.value)


def test_a_change_is_not_folded_through_another():
    changes = changed("llama", ("ia3", "usual"), ("lora", "usual"))
    with pytest.raises(ModelError) as caught:
        changes[1].change.fuse(changes.network, 1)
    assert caught.value.code == "P-CHANGE-006"


def test_what_is_no_linear_edit_is_not_folded(monkeypatch):
    from penjing.changes.edits import Edit
    from penjing.changes.ia3 import ScaledOutput

    changes = changed("llama", ("lora", "usual"), ("ia3", "usual"))
    before = said(changes.network, batch("llama"))
    monkeypatch.setattr(ScaledOutput, "folded", Edit.folded)
    with pytest.raises(ModelError) as caught:
        changes.fuse()
    assert caught.value.code == "P-CHANGE-004" and len(changes) == 2
    assert torch.equal(said(changes.network, batch("llama")), before)


def test_said_in_one_word_or_in_a_list():
    assert not changes_of(None)
    both = changes_of(["ia3", {"lora": {"rank": 2}}])
    assert [change.name for change in both] == ["ia3", "lora"] and both[1].rank == 2
    assert changes_of("lora")[0] == changes_of({"lora": None})[0]
