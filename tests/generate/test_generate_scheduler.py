"""Many requests at once: the same tokens as alone, in turn, within bounds, joined and left at any step."""

import random

import numpy
import pytest
import torch
from decoders import STOP, VOCABULARY, decoder, prompts

from penjing.base.errors import GenerateError, PenjingError
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.generate.rules import Rule
from penjing.generate.scheduler import READING, Request, Scheduler
from penjing.model.cache import Cache, Memory
from penjing.model.config import ModelConfig
from penjing.model.rotary import Scaling
from penjing.model.transformer import Transformer


def greedy(most=10, **more):
    return GenerateOptions(max_new_tokens=most, temperature=0, stop_tokens=(STOP,), **more)


def alone(network, request):
    return complete(network, [request.prompt], request.options, request.rules)[0][0]


def equal(network, handles):
    for handle in handles:
        expected = alone(network, handle.request)
        assert handle.answer.tokens == expected.tokens and handle.reason == expected.reason
        assert handle.answer.log_probabilities == pytest.approx(expected.log_probabilities, abs=1e-3)


def encoder_decoder():
    made = Transformer.new(
        ModelConfig(
            VOCABULARY, width=16, heads=2, mlp_width=24, encoder_layers=1, decoder_layers=2, position="relative"
        ),
        0,
    ).eval()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(number))
    return made


def windowed():
    return decoder(window=5, window_layers=(1,))


OPTIONS = [
    dict(temperature=0),
    dict(seed=3),
    dict(seed=4, temperature=0.7, top_k=9, top_p=0.9),
    dict(temperature=0, repetition_penalty=1.5, no_repeat_ngram=2, min_new_tokens=4),
    dict(seed=5, min_p=0.05, typical_p=0.9, frequency_penalty=0.4, logit_bias={7: 2.0}, top_log_probabilities=3),
]


@pytest.mark.parametrize("seed", range(24))
def test_any_order_gives_the_tokens_of_each_alone(seed):
    draw = random.Random(seed)
    network = windowed() if seed % 2 else decoder()
    scheduler = Scheduler(network, draw.randint(1, 4), 40, reading=draw.randint(1, 12))
    if seed % 2:  # a ring so small that it closes
        cache = Cache(network.config, len(scheduler.places), 40, network.embedding.weight, step=7)
        scheduler.memory = Memory(cache)
    asked, handles = prompts(8, seed=seed, longest=20), []
    common = (asked[0] * 12)[:12]
    while asked or not scheduler.idle:
        for _ in range(min(len(asked), draw.randint(0, 2))):
            prompt = asked.pop()
            prompt = common + prompt[:8] if draw.random() < 0.5 else prompt
            more = draw.choice(OPTIONS[:3])
            options = GenerateOptions(max_new_tokens=draw.randint(1, 15), stop_tokens=(STOP,), **more)
            handles.append(scheduler.submit(Request(prompt, options)))
        scheduler.step()
    equal(network, handles)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("made", [decoder, windowed, encoder_decoder])
def test_each_request_has_its_own_options(made, options):
    network = made()
    if made is encoder_decoder:
        options = {**options, "decoder_start": 0}
    scheduler = Scheduler(network, rows=3, tokens=32)
    others = [{**other, "decoder_start": options.get("decoder_start")} for other in OPTIONS]
    mixed = [options, *others]
    handles = [
        scheduler.submit(Request(prompt, GenerateOptions(max_new_tokens=9, stop_tokens=(STOP,), **one)))
        for prompt, one in zip(prompts(6, seed=2), mixed, strict=True)
    ]
    events = list(scheduler.drain())
    equal(network, handles)
    for handle in handles:
        told = [event for event in events if event.handle is handle]
        assert [event.reason for event in told] == [None] * (len(told) - 1) + [handle.reason]
        assert len(told) == len(handle.answering.tokens)
        if handle.request.options.top_log_probabilities:
            assert all(len(event.top) == 3 and event.log_probability <= event.top[0][1] + 1e-6 for event in told)


class Even(Rule):
    """Only even tokens, and every third is the same as the first."""

    def start(self, prompts):
        (self.prompt,) = prompts
        self.taken = []

    def apply(self, scores):
        scores[:, 1::2] = -torch.inf
        if len(self.taken) % 3 == 2:
            keep = scores[:, self.taken[0]].clone()
            scores[:] = -torch.inf
            scores[:, self.taken[0]] = keep
        return scores

    def accept(self, tokens):
        self.taken += tokens


def test_rules_serve_their_own_request():
    network, scheduler = decoder(), Scheduler(decoder(), rows=2, tokens=40)
    asked = prompts(4, seed=5)
    handles = [scheduler.submit(Request(p, greedy(), rules=[Even()] if i % 2 else ())) for i, p in enumerate(asked)]
    list(scheduler.drain())
    for handle in handles:
        rules = [Even()] if handle.request.rules else []
        (answer,) = complete(network, [handle.request.prompt], greedy(), rules)[0]
        assert handle.answer.tokens == answer.tokens


def test_numbers_draw_different_answers_and_ends_end():
    scheduler = Scheduler(decoder(), rows=4, tokens=40)
    prompt, options = [5, 6, 7], GenerateOptions(max_new_tokens=8, seed=1, returns=3)
    expected = [answer.tokens for answer in complete(decoder(), [prompt], options)[0]]
    one = GenerateOptions(max_new_tokens=8, seed=1)
    handles = [scheduler.submit(Request(prompt, one, number=number)) for number in range(3)]
    ended = scheduler.submit(Request(prompt, one, ends=lambda tokens: len(tokens) == 2))
    list(scheduler.drain())
    assert [handle.answer.tokens for handle in handles] == expected and len(set(map(tuple, expected))) == 3
    assert ended.answer.tokens == expected[0][:2] and ended.reason == "stop"


def test_a_long_prompt_holds_nobody_up_and_first_come_first_served():
    scheduler = Scheduler(decoder(max_tokens=300), rows=3, tokens=250, reading=16)
    runner = scheduler.submit(Request([5, 6, 7], GenerateOptions(max_new_tokens=60, temperature=0)))
    scheduler.step()
    long = scheduler.submit(Request([9, 8, 7] * 60, greedy(5)))
    short = scheduler.submit(Request([4, 5], greedy(5)))
    first = {}
    for step in range(40):
        told = [event.handle for event in scheduler.step()]
        assert runner in told
        for handle in told:
            first.setdefault(handle, step)
    assert first[runner] == 0 and 10 <= first[long] <= 12 and first[long] <= first[short]


def test_nobody_starves():
    """A long prompt goes on being read while short ones come all the time."""
    scheduler = Scheduler(decoder(max_tokens=200), rows=4, tokens=150, reading=8)
    generator = torch.Generator().manual_seed(0)
    long = scheduler.submit(Request(torch.randint(3, 30, (80,), generator=generator).tolist(), greedy(3)))
    for _ in range(20):
        prompt = torch.randint(3, 30, (3,), generator=generator).tolist()
        scheduler.submit(Request(prompt, GenerateOptions(max_new_tokens=2, temperature=0)))
        scheduler.step()
    assert long.answering.tokens


def test_what_prompts_begin_with_is_read_once():
    network = decoder(max_tokens=200)
    read, plain = [], network.step

    def step(tokens, memory, counts=None):
        read.append(sum(counts or [tokens.numel()]))
        return plain(tokens, memory, counts)

    network.step = step
    scheduler = Scheduler(network, rows=4, tokens=100)
    beginning = prompts(1, seed=8, longest=12)[0] * 30
    beginning = beginning[:50]
    handles = [scheduler.submit(Request([*beginning, 3 + i, 4], greedy(1))) for i in range(6)]
    list(scheduler.drain())
    assert sum(read) == 52 + 5 * 2
    equal(decoder(max_tokens=200), handles)
    again = scheduler.submit(Request(handles[0].request.prompt, greedy(1)))
    list(scheduler.drain())
    assert sum(read) <= 52 + 5 * 2 + 2 and again.answer.tokens == handles[0].answer.tokens


def test_cancelling():
    scheduler = Scheduler(decoder(), rows=1, tokens=40, reading=4)
    endless = GenerateOptions(max_new_tokens=10, temperature=0)
    running, reading, waiting = [scheduler.submit(Request(p, endless)) for p in ([5, 6], [7] * 11, [8, 9])]
    scheduler.step()
    scheduler.cancel(running)
    scheduler.step()
    assert scheduler.places[0].kind == READING and scheduler.places[0].handle is reading
    scheduler.cancel(reading)
    scheduler.step()
    last = scheduler.submit(Request([5, 6, 7], endless))
    scheduler.cancel(last)
    list(scheduler.drain())
    assert [h.reason for h in (running, reading, last)] == ["cancel"] * 3
    equal(decoder(), [waiting])
    scheduler.cancel(waiting)
    assert waiting.reason == "length"
    assert running.answer.tokens == alone(decoder(), running.request).tokens[:1]


def raised(code, call, *given, **options):
    with pytest.raises(GenerateError) as error:
        call(*given, **options)
    assert error.value.code == code and error.value.text("en") and error.value.text("zh")


def test_mistakes_are_told_when_they_are_submitted():
    scheduler = Scheduler(decoder(), rows=1, tokens=12, waiting=2)
    raised("P-GENERATE-024", scheduler.submit, Request([5] * 4, greedy(10)))
    raised("P-GENERATE-022", scheduler.submit, Request([5], GenerateOptions(max_new_tokens=3, beams=2)))
    raised("P-GENERATE-022", scheduler.submit, Request([5], GenerateOptions(max_new_tokens=3, returns=2)))
    raised("P-GENERATE-004", scheduler.submit, Request([], greedy()))
    with pytest.raises(PenjingError):
        scheduler.submit(Request([VOCABULARY], greedy(2)))
    for _ in range(2):
        scheduler.submit(Request([5] * 3, greedy(10)))
    raised("P-GENERATE-023", scheduler.submit, Request([5], greedy(2)))
    assert len(list(scheduler.drain())) <= 20
    raised("P-GENERATE-021", Scheduler, decoder(), rows=0)


class Broken(Rule):
    def accept(self, tokens):
        raise GenerateError("P-GENERATE-009", row=0)


def test_a_request_that_fails_fails_alone():
    network = decoder()
    good = Request([7, 8, 9, 10], greedy())
    expected = alone(network, good).tokens
    with torch.no_grad():
        network.embedding.weight[30] = torch.nan
    scheduler = Scheduler(network, rows=2, tokens=40)
    nothing = Request([11, 12], greedy(bad_words=tuple((t,) for t in range(VOCABULARY))))
    wrong = [Request([5, 30], greedy()), nothing, Request([5, 6], greedy(), rules=[Broken()])]
    asked = [good, *wrong, good, good]
    handles = [scheduler.submit(request) for request in asked]
    events = list(scheduler.drain())
    assert [h.reason for h in handles[1:4]] == ["error"] * 3
    assert [h.error.code for h in handles[1:4]] == ["P-GENERATE-010", "P-GENERATE-009", "P-GENERATE-009"]
    assert all(handle.answer.tokens == expected for handle in (handles[0], *handles[4:]))
    assert sum(event.token is None for event in events) == 3


def test_the_network_trains_on_afterwards():
    network = decoder().train()
    scheduler = Scheduler(network, rows=1, tokens=20)
    scheduler.submit(Request([5], greedy(3)))
    list(scheduler.drain())
    assert network.training


def test_matrices_lie_packed_only_while_several_rows_run():
    network = decoder()
    scheduler = Scheduler(network, rows=8, tokens=40)
    one = scheduler.submit(Request([5, 6], GenerateOptions(max_new_tokens=12, temperature=0)))
    scheduler.step()
    scheduler.step()
    assert network.output.packed is None
    others = [scheduler.submit(Request([7, i], GenerateOptions(max_new_tokens=3, temperature=0))) for i in range(3, 8)]
    scheduler.step()
    scheduler.step()
    assert network.output.packed is not None
    list(scheduler.drain())
    assert network.output.packed is None
    equal(network, [one, *others])


def test_positions_that_follow_from_the_length():
    """A prompt is read as a whole: its tokens stand where they would stand alone."""
    network = decoder(rotary_scaling=Scaling("dynamic", 4.0, 8))
    options = GenerateOptions(max_new_tokens=9, temperature=0)
    asked = prompts(3, longest=12) + [[*range(3, 23)], [*range(3, 20), 30, 31]]
    scheduler = Scheduler(network, rows=2, reading=7)
    handles = [scheduler.submit(Request(prompt, options)) for prompt in asked]
    list(scheduler.drain())
    assert [one.answer.tokens for one in handles] == [complete(network, [p], options)[0][0].tokens for p in asked]


def test_a_seed_draws_the_same_whatever_holds_the_prompt():
    network, options = encoder_decoder(), GenerateOptions(max_new_tokens=9, seed=3, decoder_start=0)
    alone = complete(network, [[5, 6, 7]], options)[0][0].tokens
    scheduler = Scheduler(network, rows=1)
    handle = scheduler.submit(Request(numpy.array([5, 6, 7]), options))
    list(scheduler.drain())
    assert handle.answer.tokens == alone


def test_what_a_caller_raises_ends_its_own_row():
    network, options = decoder(), GenerateOptions(max_new_tokens=9, temperature=0)
    asked = prompts(3, longest=12)

    def failing(tokens):
        if len(tokens) == 3:
            raise ValueError("not ours")
        return False

    scheduler = Scheduler(network, rows=3)
    handles = [scheduler.submit(Request(p, options, ends=failing if n == 0 else None)) for n, p in enumerate(asked)]
    list(scheduler.drain())
    assert [one.reason for one in handles] == ["error", "length", "length"]
    assert isinstance(handles[0].error, ValueError)
    for handle, prompt in list(zip(handles, asked, strict=True))[1:]:
        assert handle.answer.tokens == complete(network, [prompt], options)[0][0].tokens
