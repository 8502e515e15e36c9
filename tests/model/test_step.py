"""The tape of one row's step says what the blocks say, for every family; for whoever edits or watches it steps aside."""

import gc
import weakref
from contextlib import contextmanager

import pytest
import torch
from networks import CROSSED, DECODERS, VOCABULARY, batch, network

from penjing.model.batch import Batch
from penjing.model.cache import STEP
from penjing.model.layers import RMSNorm
from penjing.model.native import library
from penjing.model.products import WORTH, Linear, prepared

CLOSE = dict(atol=2e-5, rtol=1e-5)
TRANSFORMERS = tuple(name for name in DECODERS if name != "lstm")
TOKEN = torch.zeros(1, 1, dtype=torch.int64)
MORE = {  # what no family's toy has
    "llama": dict(rope_scaling=dict(rope_type="dynamic", factor=2.0), max_position_embeddings=24),
    "gpt_neox": dict(use_parallel_residual=False),
    "qwen3": dict(num_key_value_heads=1),
    "bart": dict(
        d_model=15, encoder_ffn_dim=33, decoder_ffn_dim=33, decoder_attention_heads=3, encoder_attention_heads=3
    ),
}


@contextmanager
def recorded(name, compiled=True, **changed):
    """A network, its tape, and a memory that has read one row."""
    made = network(name, **changed)
    with torch.inference_mode(), prepared(made, 1, WORTH):
        made.tape.native = made.tape.native if compiled else None
        yield made, made.tape, read(made, name)
    assert made.tape is None


def read(made, name, rows=1, capacity=40):
    given = batch(name)
    target = given.target[:rows] if name in CROSSED else None
    return made.start(Batch(given.tokens[:rows], target=target), capacity)


def general(made, memory, count):
    """States of so many tokens, one by one, without the tape."""
    tape, made.tape = made.tape, None
    states = steps(made, memory, count)
    made.tape = tape
    return states


def steps(made, memory, count):
    return torch.cat([made.step((TOKEN + i) % VOCABULARY, memory) for i in range(count)], 1)


def runs(tape):
    """How often it runs, counted in a list."""
    counted, run = [], tape.run

    def counting(*asked):
        counted.append(1)
        return run(*asked)

    tape.run = counting
    return counted


def same(name, compiled, **changed):
    with recorded(name, compiled, **changed) as (made, tape, memory):
        assert (tape.native is not None) == (compiled and library() is not None)
        other, counted = read(made, name), runs(tape)
        torch.testing.assert_close(steps(made, memory, 20), general(made, other, 20), **CLOSE)
        assert len(counted) == 20 and memory.length == other.length
        told = made.logits(memory.hidden)
        assert tape.scores(memory.hidden).shape == told.shape == (1, 1, VOCABULARY)
        made.tape = None
        torch.testing.assert_close(told, made.logits(memory.hidden), **CLOSE)
        torch.testing.assert_close(tape.scores(memory.hidden), told)
        for side in ("keys", "values"):
            for ours, theirs in zip(getattr(memory.cache, side), getattr(other.cache, side), strict=True):
                torch.testing.assert_close(ours, theirs, **CLOSE)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_the_tape_says_what_the_blocks_say(name, compiled):
    same(name, compiled)


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", MORE)
def test_so_it_does_where_no_family_goes(name, compiled):
    same(name, compiled, **MORE[name])


@pytest.mark.parametrize("length", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["t5", "bart"])
def test_a_short_source(name, length):
    """Products of few rows come out column by column."""
    made = network(name)
    with torch.inference_mode(), prepared(made, 1, WORTH):
        memory, other = (made.start(Batch(batch(name).tokens[:1, :length]), 40) for _ in range(2))
        torch.testing.assert_close(steps(made, memory, 5), general(made, other, 5), **CLOSE)


def test_going_back_moving_and_growing_are_followed():
    with recorded("llama") as (made, tape, memory):
        counted, wanted = runs(tape), general(made, read(made, "llama"), 9)
        torch.testing.assert_close(steps(made, memory, 9), wanted, **CLOSE)
        memory.cut(memory.length - 9)
        torch.testing.assert_close(steps(made, memory, 9), wanted, **CLOSE)
        memory.select([0])
        memory.cut(memory.length - 9)
        torch.testing.assert_close(steps(made, memory, 5), wanted[:, :5], **CLOSE)
        other = made.reserve(1, 2, bound=40)
        for token in batch("llama").tokens[0]:
            made.step(token.view(1, 1), other)
        torch.testing.assert_close(steps(made, other, 9), wanted, **CLOSE)
        assert len(counted) == 9 + 9 + 5 + 18 + 9 and other.cache.capacity > 2


def test_it_takes_one_token_of_one_row_without_gradients():
    with recorded("llama") as (made, tape, memory):
        counted = runs(tape)
        made.step(torch.zeros(1, 2, dtype=torch.int64), memory)
        made.step(TOKEN.expand(2, 1), read(made, "llama", rows=2))
        made.train()
        made.step(TOKEN, memory)
        made.eval()
        with torch.inference_mode(False), torch.enable_grad():
            assert made.step(TOKEN, read(made, "llama")).requires_grad
        assert not counted
        made.step(TOKEN, memory)
        assert len(counted) == 1


def test_a_ring_goes_the_general_way():
    made = network("mistral")
    with torch.inference_mode(), prepared(made, 1, WORTH):
        counted, memory = runs(made.tape), read(made, "mistral", capacity=400)
        wanted = made.step(TOKEN, memory)
        assert memory.cache.rings and not counted
        torch.testing.assert_close(made.step(TOKEN, read(made, "mistral")), wanted, **CLOSE)
        assert len(counted) == 1


@pytest.mark.parametrize("compiled", [True, False])
def test_a_cache_that_begins_a_ring_by_growing(compiled):
    """With exactly window + step slots before, the next token goes to slot 0, and not beyond the ring."""
    made = network("mistral")
    with torch.inference_mode(), prepared(made, 1, WORTH):
        made.tape.native = made.tape.native if compiled else None
        slots = made.config.window + STEP
        given = torch.arange(slots - 1)[None] % VOCABULARY
        memory, other = made.reserve(1, slots, bound=600), made.reserve(1, 600)
        for one in (memory, other):
            made.step(given, one)
        assert not memory.cache.rings and other.cache.rings
        torch.testing.assert_close(steps(made, memory, 3), general(made, other, 3), **CLOSE)
        assert memory.cache.rings


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_weights_let_go_in_the_meantime_are_not_read_from_freed_memory(name):
    with recorded(name) as (made, tape, memory):
        wanted = general(made, read(made, name), 1)
        places = [op.matrix for op in tape.native.ops] if tape.native else []
        for module in made.decoder.modules():
            if isinstance(module, torch.nn.LayerNorm | RMSNorm):
                module.weight.data = torch.full_like(module.weight, torch.nan)
        made.double().float()
        room = [torch.full((VOCABULARY,), torch.nan) for _ in range(4 * len(places))]  # would fill what was freed
        kept = {part.data_ptr() for parts in (tape.native.kept if tape.native else []) for part in parts}
        assert {place for place in places if place} <= kept and len(room) == 4 * len(places)
        if tape.native:
            torch.testing.assert_close(tape(TOKEN, memory), wanted, **CLOSE)


def test_a_matrix_that_does_not_lie_row_by_row_goes_by_python():
    made = network("llama")
    for linear in (block.mlp.down for block in made.decoder.blocks):
        linear.weight.data = linear.weight.detach().t().contiguous().t()
    with torch.inference_mode(), prepared(made, 1, WORTH):
        assert made.tape.native is None
        memory, other = read(made, "llama"), read(made, "llama")
        torch.testing.assert_close(steps(made, memory, 5), general(made, other, 5), **CLOSE)


def test_a_hook_is_called():
    with recorded("llama") as (made, tape, memory):
        counted, called = runs(tape), []
        wanted = general(made, read(made, "llama"), 1)
        for module in (
            made.output,
            made.decoder,
            made.decoder.blocks[1].before_mlp,
            made.decoder.blocks[0].attention.key,
        ):
            handle = module.register_forward_hook(lambda *_: called.append(1))
            torch.testing.assert_close(made.step(TOKEN, memory), wanted, **CLOSE)
            made.logits(wanted)
            handle.remove()
            memory.cut(memory.length - 1)
        assert len(called) == 4 and not counted
        made.step(TOKEN, memory)
        assert len(counted) == 1


class Louder(Linear):
    def forward(self, x):
        return 2 * super().forward(x)


def test_what_is_edited_is_not_recorded():
    for change in ("type", "hook", "dtype"):
        made = network("gpt2")
        block = made.decoder.blocks[1]
        if change == "type":
            block.mlp.down.__class__ = Louder
        elif change == "hook":
            block.mlp.register_forward_pre_hook(lambda *_: None)
        else:
            block.before_mlp.double()
        with prepared(made, 1, WORTH):
            assert made.tape is None


@pytest.mark.parametrize("name", ["llama", "bart"])
def test_training_in_the_meantime_is_heard(name):
    made = network(name)
    with prepared(made, 1, WORTH), torch.no_grad():
        counted, memory = runs(made.tape), read(made, name)
        before = made.step(TOKEN, memory)
        for parameter in made.decoder.parameters():
            parameter.mul_(1.5)
        other = read(made, name)
        memory = read(made, name)
        wanted = general(made, other, 1)
        torch.testing.assert_close(made.step(TOKEN, memory), wanted, **CLOSE)
        assert len(counted) == 2 and not torch.allclose(before, wanted)
        made.bfloat16()
        assert not made.tape.fits(memory)


def test_of_two_threads_one_goes_the_general_way():
    with recorded("llama") as (made, tape, memory):
        wanted, counted = general(made, read(made, "llama"), 1), runs(tape)
        with tape.busy:
            torch.testing.assert_close(made.step(TOKEN, memory), wanted, **CLOSE)
            assert tape.scores(wanted) is None
        assert not counted


def test_the_cache_goes_with_the_generation():
    gc.collect()
    gc.disable()
    try:
        with recorded("t5") as (made, tape, memory):
            made.step(TOKEN, memory)
            key = weakref.ref(memory.cache.keys[0])
        del tape, memory
        assert key() is None
    finally:
        gc.enable()
