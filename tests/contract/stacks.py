"""What every stack of changes keeps to on a network of any family: tests ask it of a spread, benchmarks/contract_stacks.py
of all.

WAYS: change -> the options it is tried with, by a name.
"""

import copy
from dataclasses import replace
from functools import cache

import networks
import pytest
import torch
from networks import CROSSED, DECODERS, FOREIGN, network

from penjing.base.errors import ModelError, PenjingError
from penjing.changes import CHANGES, change_named
from penjing.changes.change import Changes
from penjing.changes.edits import base_tensors, is_edits
from penjing.changes.files import Replay, repeat, write_changes
from penjing.model.batch import Batch
from penjing.model.checkpoint import read_checkpoint, write_checkpoint
from penjing.model.grown import BY_TOKEN
from penjing.model.layers import MLP, Attention

FAMILIES = tuple(FOREIGN)
LEFT = 30  # tokens of a pruned vocabulary
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
ALL = [(name, way) for name in CHANGES for way in WAYS[name]]
USUAL = [(name, next(iter(WAYS[name]))) for name in CHANGES]
PAIRS = [(one, other) for one in ALL for other in USUAL]
CLOSE = dict(atol=1e-5, rtol=1e-5)
AHEAD = ("prefix", "prompt", "ptuning")  # what stands before the text
UNFOLDED = ("adapter", *AHEAD)
ROUNDED = ("int8", "int4")  # what rounds
STANDING = ("lowrank", "magnitude", *ROUNDED)  # what stands in for parameters
CUTS = ("heads", "neurons", "layers", "vocabulary")  # what makes modules smaller
FEW = ("lowrank", "everywhere")  # roundings grow through so few directions
SMALLER = (*STANDING, *CUTS)
APART = [(("lora", way), "neurons") for way in ("usual", "pissa")]  # a cut beside which a change stands elsewhere
APART += [(("adapter", way), "heads") for way in ("pfeiffer", "parallel")]


def batch(family, side="none"):
    """Texts that a network with the fewest tokens reads too."""
    given = networks.batch(family, side)
    tokens, target = (None if t is None else 3 + t % (LEFT - 3) for t in (given.tokens, given.target))
    return replace(given, tokens=tokens, target=target)


def made(name, way):
    return change_named(name, **WAYS[name][way])


@torch.no_grad()
def said(made_network, given):
    """Scores of all real tokens."""
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


@cache
def lacking(family, name):
    """Why a change says nothing to a network, or None."""
    recurrent = family in ("lstm", "bilstm")
    if name in AHEAD and recurrent:
        return "P-CHANGE-041"
    if name in ("heads", "neurons") and recurrent:
        return "P-CHANGE-002"
    if name == "heads" and network(family).config.keys == 1:
        return "P-CHANGE-069"
    without = name == "bitfit" and not any(name.endswith("bias") for name, _ in network(family).named_parameters())
    return "P-CHANGE-002" if without else None


def depth(family):
    """Blocks of its shorter side."""
    config = network(family).config
    return min(filter(None, (config.encoder_layers, config.decoder_layers)))


def reason(family, one, other):
    """Why two changes do not go together on a network, or None."""
    lack = lacking(family, one[0]) or lacking(family, other[0])
    if lack and (lack != "P-CHANGE-069" or lacking(family, one[0])):  # which is seen last
        return lack
    if one[0] == other[0] == "vocabulary":
        return "P-CHANGE-128"
    if other[0] == "vocabulary":
        return "P-CHANGE-068" if on_tables(family, one) else None
    if other[0] in CUTS and one[0] not in (*CUTS, "bitfit", "freeze") and (one, other[0]) not in APART:
        return "P-CHANGE-068"
    if lack:
        return lack
    if one[0] == other[0] == "layers" and depth(family) < 3:
        return "P-CHANGE-010"
    if one[0] in ("magnitude", *ROUNDED) and other[0] in STANDING:
        return "P-CHANGE-064"
    if one[0] == "heads" and other[0] in ("heads", "prefix"):
        left = heads_left(family, one)
        if other[0] == "prefix":
            return "P-CHANGE-076" if len(set(left["last"])) > 1 else None
        return "P-CHANGE-069" if set(left["all"]) == {1} else None
    return None


@cache
def on_tables(family, one):
    """Whether a change stands on what has a row for each token."""
    trained = made(*one).trains(network(family))
    return one[0] in ROUNDED or one[1] == "everywhere" or any(name in BY_TOKEN for name in trained)


@cache
def heads_left(family, one):
    """Heads of keys after one change: of all attentions, and of the stack that a prefix stands before."""
    base = changed(family, one).network
    last = base.encoder if base.decoder is None else base.decoder
    every = [module.key_heads for module in base.modules() if isinstance(module, Attention)]
    return {"all": every, "last": [block.attention.key_heads for block in last.blocks]}


def hindered(changes, wanted):
    """The codes that tell why a stack is not folded; nothing where it is."""
    config, found = changes.network.config, set()
    if any(name in UNFOLDED for name, _ in wanted):
        found.add("P-CHANGE-004")
    if ("lora", "everywhere") in wanted and config.tied_output:
        found.add("P-CHANGE-005")
    modules = list(changes.network.modules())
    heads = {module.heads for module in modules if isinstance(module, Attention)}
    widths = {module.down.in_features for module in modules if isinstance(module, MLP)}
    biased = getattr(config, "position", "none") in ("relative", "alibi")
    names = {one.change.name for one in changes}
    uneven = "heads" in names and (biased or len(heads) > 1) or "neurons" in names and len(widths) > 1
    bare = not getattr(config, "first_norm", True)  # its first block is unlike the others
    first = bare and any("encoder.blocks.0" in (getattr(one.change, "gone", None) or ()) for one in changes)
    if uneven or first:
        found.add("P-CHANGE-072")
    return found


def refused(family, *wanted):
    """The code that two changes which do not go together are refused with."""
    with pytest.raises(PenjingError) as caught:
        changed(family, *wanted)
    return caught.value.code


def look(family, *wanted, folder=None, compiled=False):
    """Silent at the start, trains its own, learns something, is repeated to the bit, padded, halved, folded, taken back to
    the bit; with a folder also saved and loaded, and seen by a compiler."""
    given, base = batch(family, "left"), network(family)
    state, before = copy.deepcopy(base.state_dict()), said(base, given)
    changes = Changes(base)
    changes.adopt([made(*one) for one in wanted], 0, [given])
    begins(changes, before, given)
    names = {name for name, _ in wanted}
    learnt = learns(changes, state, given, size=0.5 if names & {*AHEAD} and "lora" not in names else 0.05)
    again = repeated(changes, family, given, learnt)
    rounded = bool(names & {*ROUNDED})
    if folder is not None:
        saved(changes, family, folder)
    if compiled:
        compiles(base, given, learnt, rounded)
    padded(again.network, family, rounded)
    halved(again.network, family)
    taken_back(changes, wanted, state, before, given)
    folds(again, wanted, learnt, given, base)


def alike(found, wanted, rounded):
    """Sums in another order are close; where they round, a few that lay between two codes fall on the other."""
    if rounded:
        assert (found - wanted).norm() < 0.02 * wanted.norm()
    else:
        torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def begins(changes, before, given):
    """What a silent stack says is what the base said."""
    begun = said(changes.network, given)
    if all(one.change.silent for one in changes):
        torch.testing.assert_close(begun, before, **CLOSE)  # products that are edited are no longer joined
    else:
        assert begun.isfinite().all() and not torch.equal(begun, before)


def learns(changes, state, given, size):
    """Gradients reach what it trains and nothing else; moved, it says something else. Returns what."""
    base, trained, begun = changes.network, set(changes.trained()), said(changes.network, given)
    base.logits(base(given)).logsumexp(-1).sum().backward()
    for name, parameter in base.named_parameters():
        assert parameter.requires_grad == (name in trained), name
        assert parameter.requires_grad or parameter.grad is None
    adapts = any(one.change.adapts for one in changes)
    own = set() if adapts else set(state)
    untouched = {name: t.clone() for name, t in base.state_dict().items() if name not in trained - own}
    learnt = said(moved(changes, size).network, given)
    moves = adapts or any(map(is_edits, trained))  # few bits leave nothing to learn
    assert torch.allclose(learnt, begun, atol=1e-5) != moves
    now = base.state_dict()
    assert all(torch.equal(now[name], tensor) for name, tensor in untouched.items())
    return learnt


def repeated(changes, family, given, learnt):
    """Made again from the records and the tensors, on a network of the family: the same to the bit."""
    base, twin = changes.network, network(family)
    again = Changes(twin)
    repeat(again, changes.records(), changes.tensors())
    twin.load_state_dict({name: t for name, t in base.state_dict().items() if not is_edits(name)}, strict=False)
    assert torch.equal(said(twin, given), learnt) and set(again.trained()) == set(changes.trained())
    assert twin.state_dict().keys() == base.state_dict().keys()
    return again


def saved(changes, family, folder):
    """Written into a folder and read: the same bits."""
    base = changes.network
    purpose = "seq2seq" if family in CROSSED else "causal" if family in DECODERS else "masked"
    write_checkpoint(
        folder, base, family=family, purpose=purpose, tensors=base_tensors(base), whole=not changes.standing,
        own=changes.shortened,
    )  # fmt: skip
    write_changes(folder, changes)
    replay = Replay(folder, changes.records())
    loaded = read_checkpoint(folder, alter=replay).transformer()
    found = replay.filled(loaded)
    assert found.records() == changes.records() and set(found.trained()) == set(changes.trained())
    ours, theirs = base.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys() and all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def compiles(base, given, learnt, rounded):
    """A compiler sees the same numbers."""
    torch._dynamo.reset()
    seen = torch.compile(lambda given: base.logits(base(given)), backend="eager")
    with torch.no_grad():
        found = seen(given)
    alike(found if given.target is not None else found[given.mask], learnt, rounded)


@torch.no_grad()
def padded(base, family, rounded):
    """Rows say on either side of padding what they say alone."""
    for side in ("left", "right"):
        given = batch(family, side)
        together = base.logits(base(given))
        for row in (1, 2):
            real = given.mask[row]
            target = None if given.target is None else given.target[row : row + 1]
            alone = base.logits(base(Batch(given.tokens[row : row + 1, real], target=target)))[0]
            alike(together[row] if target is not None else together[row, real], alone, rounded)


def halved(base, family):
    """bfloat16 says nearly the same; where its weights alone, rounded, move the answer more, about as nearly."""
    whole, half = batch(family), copy.deepcopy(base).bfloat16()
    exact = said(base, whole)
    off = (said(half, whole).float() - exact).norm()
    assert off < 0.1 * exact.norm() or off < 5 * (said(half.float(), whole) - exact).norm()


def taken_back(changes, wanted, state, before, given):
    """One change after the other; then the base has the bits that it had."""
    base = changes.network
    last = all(name in STANDING for name, _ in wanted) or any(name in CUTS for name, _ in wanted)
    if last and len(changes) == 2 and (wanted[0][0] in CUTS or wanted[1][0] != "magnitude"):
        with pytest.raises(ModelError) as caught:
            changes.drop(0)
        assert caught.value.code == "P-CHANGE-062"
    while changes:
        changes.drop(-1 if last else 0)
    assert base.state_dict().keys() == state.keys() and torch.equal(said(base, given), before)
    assert all(torch.equal(tensor, state[name]) for name, tensor in base.state_dict().items())
    assert all(parameter.requires_grad for parameter in base.parameters())


def folds(changes, wanted, learnt, given, base):
    """Into plain modules that say the same, or not at all, with all reasons."""
    twin, names = changes.network, [name for name, _ in wanted]
    if reasons := hindered(changes, wanted):
        with pytest.raises(ModelError) as caught:
            changes.fuse()
        assert {one.code for one in (caught.value, *caught.value.others)} == reasons
        assert torch.equal(said(twin, given), learnt)
        return
    if FEW in wanted and not any(name in ROUNDED for name in names):
        learnt = said(twin.double(), given)
    changes.fuse()
    near = dict(atol=0.1, rtol=0.05) if any(name in ROUNDED for name in names) else CLOSE  # what is read, unrounded
    torch.testing.assert_close(said(twin, given), learnt, **near)
    assert not changes
    if "layers" not in names:
        assert [type(module) for module in twin.modules()] == [type(module) for module in base.modules()]
        assert twin.state_dict().keys() == base.state_dict().keys()
