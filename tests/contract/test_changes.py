"""The contract of every change with networks of every kind, alone and in stacks of two.

WAYS: change -> the options it is tried with, by a name. EFFECTS: option -> (one, other[, what is said besides]).
"""

import copy
from dataclasses import replace
from itertools import product

import networks
import numpy as np
import pytest
import torch
from networks import network
from toys import teach, toy_model, toy_pieces

from penjing.base.errors import FileError, ModelError, OptionError, PenjingError
from penjing.base.options import options_of
from penjing.changes import CHANGES, change_named, changes_of
from penjing.changes.change import Changes
from penjing.changes.edits import is_edits, originals
from penjing.changes.files import FILE, repeat
from penjing.changes.paths import matching
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.model.batch import Batch
from penjing.tasks.model import Model

LEFT = 30  # tokens of a pruned vocabulary
FAMILIES = ("bert", "gpt2", "llama", "t5", "lstm", "bilstm")
STACKED = ("bert", "llama", "t5", "lstm")
WAYS = {
    "lora": {
        "usual": {"rank": 2},
        "dora": {"rank": 2, "dora": True, "where": r"(attention|cross|mlp|ahead|back)\..*"},
        "pissa": {"rank": 2, "start": "pissa"},
        "everywhere": {"rank": 2, "where": ".*", "rslora": True, "whole": ".*norm|.*bias|output"},
    },
    "ia3": {"usual": {}},
    "adapter": {
        "houlsby": {"reduction": 4},
        "pfeiffer": {"kind": "pfeiffer", "width": 3, "activation": "gelu"},
        "parallel": {"kind": "parallel", "width": 3, "scale": 4.0},
    },
    "prefix": {"usual": {"length": 5}, "made": {"length": 3, "inner": 7}},
    "prompt": {"random": {"length": 5}, "words": {"length": 3, "tokens": (5, 9)}},
    "ptuning": {"mlp": {"length": 3, "inner": 7}, "lstm": {"length": 3, "inner": 5, "kind": "lstm"}},
    "bitfit": {"usual": {}},
    "freeze": {"top": {}, "more": {"top": 2, "where": "embedding"}},
    "lowrank": {"half": {}, "everywhere": {"rank": 6, "where": ".*"}},
    "int8": {"usual": {}},
    "int4": {"usual": {"activations": "none"}},
    "heads": {"half": {}, "one": {"share": 0.3, "across": "network"}},
    "neurons": {"half": {}, "anywhere": {"share": 0.3, "across": "network"}},
    "layers": {"one": {}},
    "magnitude": {"half": {}, "2:4": {"pattern": "2:4"}},
    "vocabulary": {"some": {"tokens": tuple(range(LEFT))}},
}
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
ALL = [(name, way) for name in CHANGES for way in WAYS[name]]
USUAL = [(name, next(iter(WAYS[name]))) for name in CHANGES]
CLOSE = dict(atol=1e-5, rtol=1e-5)
NONE = {("bitfit", "llama"): "P-CHANGE-002", ("bitfit", "t5"): "P-CHANGE-002"}  # networks without biases
AHEAD = ("prefix", "prompt", "ptuning")  # what stands before the text
NONE |= {(name, family): "P-CHANGE-041" for name in AHEAD for family in ("lstm", "bilstm")}
UNFOLDED = ("adapter", *AHEAD)
ROUNDED = ("int8", "int4")  # what rounds
STANDING = ("lowrank", "magnitude", *ROUNDED)  # what stands in for parameters
CUTS = ("heads", "neurons", "layers", "vocabulary")  # what makes modules smaller
SMALLER = (*STANDING, *CUTS)
NONE |= {(name, family): "P-CHANGE-002" for name in ("heads", "neurons") for family in ("lstm", "bilstm")}
BESIDE = ("lora", "prefix", "freeze")  # what those are stacked with, beside each other
MEANT = [
    [("heads", "half"), ("lowrank", "half"), ("int8", "usual")],
    [("int4", "usual"), ("lora", "usual")],
]


def batch(family, side="none"):
    """Texts that a network with the fewest tokens reads too."""
    given = networks.batch(family, side)
    return replace(given, tokens=given.tokens % LEFT, target=None if given.target is None else given.target % LEFT)


def made(name, way):
    return change_named(name, **WAYS[name][way])


def said(made_network, given):
    """Scores of all real tokens."""
    with torch.no_grad():
        found = made_network.logits(made_network(given))
    mask = given.mask if given.target is None else None
    return found if mask is None else found[mask]


def moved(changes, size=0.05):
    """The same network after its trained parameters were moved at random; where all are trained, those of the edits."""
    generator, adapts = torch.Generator().manual_seed(7), any(one.change.adapts for one in changes)
    with torch.no_grad():
        for name, parameter in changes.network.named_parameters():
            if parameter.requires_grad and (adapts or is_edits(name)):
                parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=size)
    return changes


def changed(family, *wanted, seed=0):
    changes = Changes(network(family))
    changes.adopt([made(*one) for one in wanted], seed, [batch(family, "left")])
    return changes


def pairs():
    """Every way of each change under the first way of each; what makes smaller, under and over itself and a few more."""
    for number, (one, other) in enumerate(product(ALL, USUAL)):
        smaller = [name for name, _ in (one, other) if name in SMALLER]
        if "vocabulary" in smaller and not {one[0], other[0]} <= {"vocabulary", "heads", "int8", "lora", "prefix"}:
            continue  # it touches tables alone
        if not smaller or (one in USUAL and all(name in (*SMALLER, *BESIDE) for name, _ in (one, other))):
            yield number, one, other


def reason(family, one, other):
    """Why two changes do not go together on a network."""
    unlike = [NONE[name, family] for name, _ in (one, other) if (name, family) in NONE]
    if unlike:
        return unlike[0]
    apart = one[0] not in ROUNDED if other[0] == "vocabulary" else (one[0], other[0]) == ("lora", "neurons")
    if other[0] in CUTS and one[0] not in (*CUTS, "bitfit", "freeze") and not apart:
        return "P-CHANGE-068"
    if one[0] == other[0] == "vocabulary":
        return "P-CHANGE-128"
    if one[0] == other[0] == "layers" and family != "bert":
        return "P-CHANGE-010"
    if one[0] in ("magnitude", *ROUNDED) and other[0] in STANDING:
        return "P-CHANGE-064"
    return "P-CHANGE-069" if one[0] == other[0] == "heads" else None


def uneven(changes):
    """Whether a change left modules that are not alike, or some heads of positions that know each."""
    found = [one.change.kept for one in changes if getattr(one.change, "kept", None)]
    alike = all(len({len(units) for units in kept.values()}) == 1 for kept in found)
    whole = all(kept.keys() >= matching(changes.network, ".*", (kind,)).keys() for kept, kind in
                ((one.change.kept, one.change.kind) for one in changes if getattr(one.change, "kept", None)))  # fmt: skip
    biased = changes.network.config.position == "relative" and any(one.change.name == "heads" for one in changes)
    return not alike or not whole or biased


@pytest.mark.parametrize(("one", "family"), [(o, f) for o, f in product(ALL, FAMILIES) if (o[0], f) not in NONE])
def test_one_change(one, family):
    """Silent at the start, trains its own, learns something, is repeated to the bit, folded, taken back to the bit."""
    look(family, one)


@pytest.mark.parametrize(("number", "one", "other"), list(pairs()))
def test_stacks_of_two(number, one, other):
    """All networks in turn."""
    family = STACKED[(number + number // len(USUAL)) % len(STACKED)]
    if code := reason(family, one, other):
        with pytest.raises(PenjingError) as caught:
            changed(family, one, other)
        assert caught.value.code == code
        return
    look(family, one, other)


@pytest.mark.parametrize("family", ["bert", "llama", "t5"])
@pytest.mark.parametrize("stack", MEANT, ids=lambda stack: "+".join(name for name, _ in stack))
@torch.no_grad()
def test_stacks_that_are_meant(family, stack):
    """Pruned, factored and rounded, and an adapter on four bits: of an encoder, a decoder and both; padded and halved."""
    with torch.enable_grad():
        look(family, *stack)
    base = moved(changed(family, *stack)).network
    for side in ("left", "right"):
        given = batch(family, side)
        together = base.logits(base(given))
        for row in (1, 2):
            real, target = given.mask[row], None if given.target is None else given.target[row : row + 1]
            alone = base.logits(base(Batch(given.tokens[row : row + 1, real], target=target)))[0]
            padded = together[row] if target is not None else together[row, real]
            torch.testing.assert_close(padded, alone, atol=5e-3, rtol=1e-2)
    exact, half = said(base, batch(family)), said(base.bfloat16(), batch(family)).float()
    assert (half - exact).norm() < 0.1 * exact.norm()


def look(family, *wanted):
    given, base = batch(family, "left"), network(family)
    state, before = copy.deepcopy(base.state_dict()), said(base, given)
    changes = Changes(base)
    changes.adopt([made(*one) for one in wanted], 0, [given])
    begun = said(base, given)
    quiet = all(one.change.silent for one in changes)
    if quiet:
        torch.testing.assert_close(begun, before, **CLOSE)  # products that are edited are no longer joined
    else:
        assert begun.isfinite().all() and not torch.equal(begun, before)
    trained = set(changes.trained())
    base.logits(base(given)).logsumexp(-1).sum().backward()
    for name, parameter in base.named_parameters():
        assert parameter.requires_grad == (name in trained), name
        assert parameter.requires_grad or parameter.grad is None
    own = set(state) if not any(one.change.adapts for one in changes) else set()
    untouched = {name: t.clone() for name, t in base.state_dict().items() if name not in trained - own}
    ahead = any(name in AHEAD for name, _ in wanted)
    learnt = said(moved(changes, 0.5 if ahead else 0.05).network, given)
    moves = any(one.change.adapts for one in changes) or any(map(is_edits, trained))  # few bits leave nothing to learn
    assert torch.allclose(learnt, begun, atol=1e-5) != moves
    now = base.state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in untouched.items())

    twin = network(family)
    again = Changes(twin)
    repeat(again, changes.records(), changes.tensors())
    twin.load_state_dict({name: t for name, t in base.state_dict().items() if not is_edits(name)}, strict=False)
    assert torch.equal(said(twin, given), learnt) and set(again.trained()) == trained
    assert twin.state_dict().keys() == base.state_dict().keys()

    last = all(name in STANDING for name, _ in wanted) or any(name in CUTS for name, _ in wanted)
    if last and len(changes) > 1 and (wanted[0][0] in CUTS or wanted[1][0] != "magnitude"):
        with pytest.raises(ModelError) as caught:
            changes.drop(0)
        assert caught.value.code == "P-CHANGE-062"
    while changes:
        changes.drop(-1 if last else 0)
    assert base.state_dict().keys() == state.keys() and torch.equal(said(base, given), before)
    assert all(torch.equal(tensor, state[name]) for name, tensor in base.state_dict().items())
    assert all(parameter.requires_grad for parameter in base.parameters())

    reasons = {"P-CHANGE-004"} if any(name in UNFOLDED for name, _ in wanted) else set()
    if ("lora", "everywhere") in wanted and base.config.tied_output:
        reasons.add("P-CHANGE-005")
    if uneven(again):
        reasons.add("P-CHANGE-072")
    if reasons:
        with pytest.raises(ModelError) as caught:
            again.fuse()
        assert {one.code for one in (caught.value, *caught.value.others)} == reasons
        assert torch.equal(said(twin, given), learnt)
        return
    again.fuse()
    near = dict(atol=0.1, rtol=0.05) if any(name in ROUNDED for name, _ in wanted) else CLOSE  # what is read, unrounded
    torch.testing.assert_close(said(twin, given), learnt, **near)
    assert not again
    if "layers" not in dict(wanted):
        assert [type(module) for module in twin.modules()] == [type(module) for module in base.modules()]
        assert twin.state_dict().keys() == state.keys()


@pytest.mark.parametrize(
    ("one", "family"), [(o, f) for o, f in product(ALL, ("bert", "llama", "t5")) if (o[0], f) not in NONE]
)
@torch.no_grad()
def test_half_precision_and_padding(one, family):
    """Sides of padding say the same, and bfloat16 nearly so."""
    changes = moved(changed(family, one))
    base = changes.network
    whole, left, right = (batch(family, side) for side in ("none", "left", "right"))
    exact = said(base, whole)
    near = dict(atol=5e-3, rtol=1e-2) if one[0] in ROUNDED else CLOSE  # padding moves what lies between two codes
    if family != "t5":
        for row, short in ((1, 5), (2, 9)):
            alone = said(base, Batch(whole.tokens[row : row + 1, short:]))
            padded = base.logits(base(left))[row, short:]
            torch.testing.assert_close(padded, alone[0], **near)
            alone = said(base, Batch(whole.tokens[row : row + 1, :-short]))
            torch.testing.assert_close(base.logits(base(right))[row, :-short], alone[0], **near)
    half = said(base.bfloat16(), whole).float()
    assert (half - exact).norm() < 0.1 * exact.norm()


@pytest.mark.parametrize(
    ("one", "family"), [(o, f) for o, f in product(ALL, ("gpt2", "llama", "t5", "lstm")) if (o[0], f) not in NONE]
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
