"""The LSTM generates as a Transformer does: greedy, drawn, with beams, with rules, its state as the cache."""

import itertools

import pytest
import torch
from decoders import STOP, VOCABULARY, prompts

from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.generate.scheduler import Request, Scheduler
from penjing.generate.speculative import Draft, Lookup, Speculative
from penjing.model.batch import Batch
from penjing.model.lstm import LSTM, LSTMConfig


@pytest.fixture(scope="module")
def network():
    made = LSTM.new(LSTMConfig(VOCABULARY, 16, decoder_layers=2, max_tokens=40), 0).eval()
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter.normal_(0, 0.6, generator=torch.Generator().manual_seed(number))
    return made


def logs(network, tokens):
    """Log-probabilities of the next token after each of some tokens, by reading the whole."""
    with torch.no_grad():
        return network.logits(network(Batch(torch.tensor([tokens])))).log_softmax(-1)[0]


def test_greedy_is_what_reading_the_whole_gives(network):
    asked = prompts(5)
    for prompt, (answer,) in zip(
        asked, complete(network, asked, GenerateOptions(max_new_tokens=9, temperature=0)), strict=True
    ):
        read = list(prompt)
        for token, told in zip(answer.tokens, answer.log_probabilities, strict=True):
            best = logs(network, read)[-1]
            assert int(best.argmax()) == token and float(best.max()) == pytest.approx(told, abs=1e-4)
            read.append(token)


def test_rows_alone_and_together_draw_the_same(network):
    options = GenerateOptions(
        max_new_tokens=9, temperature=1.3, top_p=0.95, seed=11, stop_tokens=(STOP, 5, 6), returns=3,
        repetition_penalty=1.2,
    )  # fmt: skip
    asked = prompts(4)
    together = complete(network, asked, options)
    alone = [complete(network, [prompt], options)[0] for prompt in asked]
    assert [[a.tokens for a in answers] for answers in together] == [[a.tokens for a in answers] for answers in alone]
    assert len({tuple(a.tokens) for answers in together for a in answers}) > 6


def test_the_scheduler_gives_the_same_as_alone(network):
    scheduler = Scheduler(network, rows=3, tokens=40, reading=4)
    asked = prompts(7, seed=3)
    asked.append(asked[0] + [7, 8])  # shares what was read before
    handles = [
        scheduler.submit(Request(prompt, GenerateOptions(max_new_tokens=4 + row, seed=row, stop_tokens=(STOP,))))
        for row, prompt in enumerate(asked)
    ]
    while not scheduler.idle:
        scheduler.step()
    for handle in handles:
        ((expected,),) = complete(network, [handle.request.prompt], handle.request.options)
        assert handle.answer.tokens == expected.tokens and handle.reason == expected.reason


@pytest.mark.parametrize("options", [dict(temperature=0), dict(seed=3, temperature=0.5, returns=2)])
def test_guesses_change_no_text(network, options):
    given, asked = GenerateOptions(max_new_tokens=15, stop_tokens=(STOP,), **options), prompts(4, seed=1)
    for guess in (Lookup(), Draft(network, 3)) if not given.temperature else (Lookup(),):
        found = Speculative(network, guess).complete(asked, given)
        plain = complete(network, asked, given)
        assert [[a.tokens for a in answers] for answers in found] == [[a.tokens for a in answers] for answers in plain]


def test_wide_beams_find_the_best_of_all(network):
    """As many beams as there are ways of two tokens: no better answer of three tokens exists."""
    prompt, options = [5, 6, 7], GenerateOptions(max_new_tokens=3, beams=VOCABULARY, length_penalty=0.0)
    ((answer,),) = complete(network, [prompt], options)
    best = -1e9
    firsts = logs(network, prompt)[-1]
    for first, second in itertools.product(firsts.topk(12).indices.tolist(), range(VOCABULARY)):
        found = logs(network, [*prompt, first, second])
        best = max(best, float(found[-3, first] + found[-2, second] + found[-1].max()))
    assert answer.score == pytest.approx(best, abs=1e-3)
