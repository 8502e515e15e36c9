"""What makes modules smaller: as if what went said nothing, in all families; smaller caches; folders of every layout."""

import pytest
import torch
from networks import CROSSED, DECODERS, batch, network

from penjing.base.errors import ModelError, OptionError
from penjing.changes import changes_of
from penjing.changes.change import Changes
from penjing.changes.edits import base_tensors
from penjing.changes.files import Replay, write_changes
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.model.checkpoint import read_checkpoint, write_checkpoint

CLOSE = dict(atol=1e-5, rtol=1e-5)
SOME = ["bert", "gpt2", "llama", "t5", "bloom", "gpt_neox", "bart"]
BOTH = ["heads", {"neurons": {"across": "network"}}]


def cut(family, said, loss=True):
    made = network(family)
    changes, given = Changes(made), batch(family, "left")
    changes.adopt(changes_of(said), 0, [given], (lambda some: made(some).square().sum()) if loss else None)
    return changes


@torch.no_grad()
def silenced(family, changes):
    """The whole network, in which the outputs of what went count for nothing."""
    made = network(family)
    for path, kept in changes[0].change.kept.items():
        module = made.get_submodule(path)
        size = module.output.in_features // module.key_heads
        for head in set(range(module.key_heads)) - set(kept):
            module.output.weight[:, head * size : (head + 1) * size] = 0
    for path, kept in changes[1].change.kept.items():
        gone = sorted(set(range(made.get_submodule(path).down.in_features)) - set(kept))
        made.get_submodule(path).down.weight[:, gone] = 0
    return made


@pytest.mark.parametrize("family", SOME)
def test_heads_and_neurons_that_went_say_nothing(family, tmp_path):
    changes, given = cut(family, BOTH), batch(family, "left")
    made, whole = changes.network, silenced(family, changes)
    with torch.no_grad():
        torch.testing.assert_close(made(given), whole(given), **CLOSE)
    if family in (*DECODERS, *CROSSED):
        options = GenerateOptions(max_new_tokens=20, temperature=0.0)
        for rows in (1, 3):
            ours, theirs = (complete(one, [[5, 9, 11]] * rows, options) for one in (made, whole))
            assert [row[0].tokens for row in ours] == [row[0].tokens for row in theirs]
        key_heads = [block.attention.key_heads for block in made.decoder.blocks]
        assert [keys.shape[1] for keys in made.reserve(1, 10).cache.keys] == key_heads
        assert max(key_heads) < made.config.keys
    purpose = "masked" if family == "bert" else "seq2seq" if family in CROSSED else "causal"
    write_checkpoint(
        tmp_path, made, family=family, purpose=purpose, tensors=base_tensors(made), whole=False, own=changes.shortened
    )
    write_changes(tmp_path, changes)
    replay = Replay(tmp_path, changes.records())
    again = read_checkpoint(tmp_path, alter=replay).transformer()
    assert replay.filled(again)[0].gone
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in made.state_dict().items())
    with torch.no_grad():
        torch.testing.assert_close(again(given), made(given), **CLOSE)


def test_importance_by_loss_is_the_slope_of_the_loss_by_a_factor():
    """One batch; the factor is on what a head, or a neuron, says."""
    made, given = network("llama"), batch("llama")
    changes = cut("llama", "heads")
    scores = changes[0].change.lost(
        made,
        {"decoder.blocks.0.attention": made.decoder.blocks[0].attention},
        [given],
        lambda one: made(one).square().sum(),
    )["decoder.blocks.0.attention"]
    module, found = made.decoder.blocks[0].attention, []
    for head in range(module.key_heads):
        factor = torch.ones(module.output.in_features, dtype=torch.float64)
        there = slice(head * 8, head * 8 + 8)
        losses = []
        for step in (1e-3, -1e-3):
            factor[there] = 1 + step
            twin = network("llama").double()
            with torch.no_grad():
                twin.decoder.blocks[0].attention.output.weight.mul_(factor)
                losses.append(float(twin(given).square().sum()))
        found.append(abs(losses[0] - losses[1]) / 2e-3)
    torch.testing.assert_close(scores, torch.tensor(found), rtol=1e-3, atol=1e-3)


def test_blocks_go_where_states_hardly_turn():
    """A block that says nothing is the one."""
    made, given = network("gpt2", n_layer=4), batch("gpt2")
    block = made.decoder.blocks[2]
    with torch.no_grad():
        for product in (block.attention.output, block.mlp.down):
            product.weight.zero_()
            product.bias.zero_()
    changes = Changes(made)
    changes.adopt(changes_of("layers"), 0, [given])
    assert changes[0].change.gone == ("decoder.blocks.2",)
    assert [name for name, _ in made.decoder.blocks.named_children()] == ["0", "1", "3"]


def test_local_layers_stay_local_when_others_go():
    changes = cut("qwen2", {"layers": {"gone": ["decoder.blocks.0"]}})
    made = changes.network
    assert [local for _, local in made.decoder.layers()] == [made.config.local(1), made.config.local(2)]
    before = made(batch("qwen2"))
    changes.fuse()
    assert made.config.window_layers == (0, 1) and made.config.decoder_layers == 2
    torch.testing.assert_close(made(batch("qwen2")), before, **CLOSE)


def test_a_first_block_unlike_the_others_is_not_folded_away():
    changes = cut("modernbert", {"layers": {"gone": ["encoder.blocks.0"]}})
    with pytest.raises(ModelError) as caught:
        changes.fuse()
    assert caught.value.code == "P-CHANGE-072" and len(changes) == 1


def test_what_needs_equal_layers_says_so():
    changes = cut("llama", {"heads": {"kept": {"decoder.blocks.0.attention": [1]}}})
    with pytest.raises(ModelError) as caught:
        changes.add(changes_of("prefix")[0], 0)
    assert caught.value.code == "P-CHANGE-076"


def test_twos_of_fours_need_fours():
    with pytest.raises(OptionError) as caught:
        Changes(network("bert", intermediate_size=30)).add(changes_of({"magnitude": {"pattern": "2:4"}})[0], 0)
    assert caught.value.code == "P-CHANGE-075"


@pytest.mark.parametrize("pattern", ["row", "2:4"])
def test_the_weights_that_matter_least_go(pattern):
    """Of each row, or of each four: the smallest, times how large what they meet is."""
    made, given = network("bert"), batch("bert")
    weight = made.encoder.blocks[0].mlp.up.weight.detach().clone()
    seen = []
    handle = made.encoder.blocks[0].mlp.up.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    made(given)
    handle.remove()
    changes = Changes(made)
    changes.adopt(changes_of({"magnitude": {"pattern": pattern, "where": "0.mlp.up"}}), 0, [given])
    left = made.encoder.blocks[0].mlp.up.weight != 0
    scores = weight.abs() * seen[0].flatten(0, 1).square().mean(0).sqrt()
    size = 4 if pattern == "2:4" else 16
    kept, best = left.view(-1, size), scores.view(-1, size).topk(size // 2).indices
    assert (kept.sum(1) == size // 2).all() and kept.gather(1, best).all()
    assert torch.equal(made.encoder.blocks[0].mlp.up.weight[left], weight[left])


def test_laid_on_again_it_is_what_it_had_become():
    changes, given = cut("llama", BOTH), batch("llama")
    with torch.no_grad():
        changes.network.decoder.blocks[0].mlp.up.weight.mul_(1.5)
        healed = changes.network(given)
        changes.lay(changes.lift())
        torch.testing.assert_close(changes.network(given), healed, **CLOSE)
