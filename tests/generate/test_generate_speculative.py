"""Guesses change the pace, never the text: the same greedy text, the same seeded text, the same counts."""

import math

import pytest
import torch
from decoders import STOP, decoder, prompts
from test_generate_scheduler import Even, encoder_decoder, raised, windowed

from penjing.generate.answering import Answering
from penjing.generate.loop import complete, generate
from penjing.generate.options import GenerateOptions
from penjing.generate.speculative import Draft, Guess, Line, Lookup, Speculative, probabilities, weighed
from penjing.model.batch import Batch


def near(network, noise=0.02):
    """A draft that often agrees."""
    made = decoder()
    made.load_state_dict(network.state_dict())
    with torch.no_grad():
        for number, parameter in enumerate(made.parameters()):
            parameter += noise * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(number))
    return made


def guessers(network):
    return {"lookup": Lookup(), "short": Lookup(1, 2), "near": Draft(near(network)), "far": Draft(decoder(seed=9), 3)}


OPTIONS = [
    dict(temperature=0),
    dict(temperature=0, repetition_penalty=1.3, no_repeat_ngram=3, min_new_tokens=5),
    dict(temperature=0, logit_bias={7: 3.0, 8: 3.0}, top_log_probabilities=2),
    dict(seed=3, temperature=0.4),
    dict(seed=4, temperature=0.5, top_k=5, top_p=0.9, returns=2, frequency_penalty=0.3),
]


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        for a, b in zip(one, other, strict=True):
            assert (a.tokens, a.reason) == (b.tokens, b.reason) and len(a.top) == len(b.top)
            assert a.log_probabilities == pytest.approx(b.log_probabilities, abs=1e-3)


CASES = [(name, options) for name in ("lookup", "short") for options in OPTIONS]
CASES += [
    (name, options) for name in ("near", "far") for options in OPTIONS[:3]
]  # a draft keeps the law, not the draws


@pytest.mark.parametrize("name, options", CASES)
def test_the_text_is_that_of_plain_decoding(name, options):
    network, asked = decoder(), prompts(5, seed=1)
    given = GenerateOptions(max_new_tokens=20, stop_tokens=(STOP,), **options)
    same(Speculative(network, guessers(network)[name]).complete(asked, given), complete(network, asked, given))


def test_the_tally_says_what_guesses_were_worth():
    network, asked = decoder(), prompts(3, seed=1)
    options = GenerateOptions(max_new_tokens=21, temperature=0)
    perfect, far = Speculative(network, Draft(decoder())), Speculative(network, Draft(decoder(seed=9)))
    for way in (perfect, far):
        way.complete(asked, options)
        assert way.tally.tokens == 3 * 20
    assert (perfect.tally.guessed, perfect.tally.kept, perfect.tally.passes) == (48, 48, 12)
    assert perfect.tally.acceptance == 1 and perfect.tally.tokens_per_pass == 5
    assert 0 <= far.tally.acceptance < 0.5 and far.tally.kept == 60 - far.tally.passes


@pytest.mark.parametrize("made", [windowed, encoder_decoder])
def test_other_networks(made):
    network, asked = made(), prompts(4, seed=3)
    options = GenerateOptions(max_new_tokens=16, temperature=0, decoder_start=0 if made is encoder_decoder else None)
    expected = complete(network, asked, options)
    for guesser in (Lookup(), Draft(made())):
        same(Speculative(network, guesser).complete(asked, options), expected)


def test_columns_are_told_in_step():
    network, asked = decoder(), prompts(4, seed=1)
    batch = Batch(torch.tensor([(prompt * 9)[:9] for prompt in asked]))
    options = GenerateOptions(max_new_tokens=18, temperature=0, stop_tokens=(STOP, 5))
    found = list(Speculative(network, Draft(near(network))).generate(batch, options))
    expected = list(generate(network, batch, options))
    assert [(c.tokens, c.reasons) for c in found] == [(c.tokens, c.reasons) for c in expected]


def test_stops_and_rules():
    network, prompt = decoder(), prompts(1, seed=6)[0]
    options = GenerateOptions(max_new_tokens=15, temperature=0)
    way = Speculative(network, Draft(near(network)))
    same(way.complete([prompt], options, [Even()]), complete(network, [prompt], options, [Even()]))
    stops = lambda row, tokens: row == 1 and len(tokens) == 4  # noqa: E731
    same(way.complete([prompt] * 2, options, stops=stops), complete(network, [prompt] * 2, options, stops=stops))


def chi_square(counts, expected):
    """How far counts are from expected ones, as a normal number (Wilson and Hilferty); rare cells are joined."""
    big = expected >= 8
    pairs = list(zip(counts[big].tolist(), expected[big].tolist(), strict=True))
    pairs.append((float(counts[~big].sum()), float(expected[~big].sum())))
    value, degrees = sum((a - b) ** 2 / b for a, b in pairs if b > 0), len(pairs) - 1
    return ((value / degrees) ** (1 / 3) - (1 - 2 / (9 * degrees))) / math.sqrt(2 / (9 * degrees))


@pytest.mark.parametrize(
    "setting", [(1.0, None, None, None, None), (0.7, 9, 0.9, None, None), (1.3, None, 0.8, 0.02, 0.9)]
)
def test_a_kept_or_redrawn_token_has_the_networks_law(setting):
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(2, 30, generator=generator) * 1.5
    law, guess_law = probabilities(scores, setting)
    draws = 20_000
    answer = Answering(decoder(), [5], GenerateOptions(max_new_tokens=3, seed=0))
    chances = torch.rand(draws, 2, generator=generator)
    guesses = guess_law.multinomial(draws, replacement=True, generator=generator)
    counts = torch.zeros(30)
    for chance, guessed in zip(chances, guesses.tolist(), strict=True):
        answer.chances = torch.stack([chance[:1], chance[:1], chance[1:]])
        counts[weighed(answer, law, guessed, guess_law)[0]] += 1
    assert abs(chi_square(counts, law * draws)) < 4
    assert chi_square(counts, guess_law * draws) > 50


@pytest.mark.parametrize("name", ["lookup", "near", "far"])
def test_pairs_of_tokens_are_counted_as_in_plain_sampling(name):
    """400 rows of three tokens from one prompt; the second token is guessed for, so its counts would show a bias."""
    network, prompt = decoder(), [9, 4, 9]
    options = GenerateOptions(max_new_tokens=3, temperature=0.8, top_k=6, returns=400, seed=1)
    answers = Speculative(network, guessers(network)[name]).complete([prompt], options)[0]
    counts, expected = torch.zeros(37), torch.zeros(37)
    for answer in answers:
        counts[answer.tokens[1]] += 1
    firsts = probabilities(last(network, [prompt]), Answering(network, prompt, options).setting)[0]
    for token in firsts.nonzero().flatten().tolist():
        expected += firsts[token] * probabilities(last(network, [[*prompt, token]]), (0.8, 6, None, None, None))[0]
    assert abs(chi_square(counts, expected * 400)) < 4


@torch.no_grad()
def last(network, rows):
    return network.logits(network(Batch(torch.tensor(rows)))[:, -1]).float()


def test_what_is_looked_up():
    answer = Answering(decoder(), [3, 4, 5, 6, 3, 4, 7, 8, 9], GenerateOptions(max_new_tokens=9, temperature=0))
    line = Line(0, answer, [])
    assert Lookup().guess([line]) == [Guess([])]
    answer.tokens = [3, 4]
    assert Lookup(most=3).guess([line]) == [Guess([7, 8, 9])]
    assert Lookup(most=20).guess([line]) == [Guess([7, 8, 9, 3, 4])]
    answer.tokens = [3, 4, 5]
    assert Lookup(most=2).guess([line]) == [Guess([6, 3])]
    answer.tokens = [1] * 8
    assert Lookup().guess([line]) == [Guess([])]
    assert Lookup(most=2).guess([Line(0, Answering(decoder(), [9, 8], answer.options), [8, 11, 12])]) == [
        Guess([11, 12])
    ]


def test_a_draft_that_trains_guesses_without_dropout():
    draft = decoder(dropout=0.5).train()
    way = Speculative(decoder(), Draft(draft))
    way.complete([[4, 5, 6]], GenerateOptions(max_new_tokens=12, temperature=0))
    assert way.tally.acceptance == 1.0 and draft.training


@pytest.mark.parametrize("name", ["lookup", "near"])
def test_two_generations_in_turns(name):
    network = decoder()
    way, options = Speculative(network, guessers(network)[name]), GenerateOptions(max_new_tokens=12, temperature=0)
    batches = [Batch(torch.tensor([prompt])) for prompt in ([4, 5, 6, 4, 5], [7, 8, 9, 7, 8, 9])]
    alone = [[column.tokens for column in generate(network, batch, options)] for batch in batches]
    pairs = zip(*(way.generate(batch, options) for batch in batches), strict=True)
    assert list(zip(*([one.tokens, other.tokens] for one, other in pairs), strict=True)) == [*map(tuple, alone)]
    assert way.tally.passes


def test_mistakes_are_told():
    network, asked = decoder(), prompts(2)
    options = GenerateOptions(max_new_tokens=4)
    other = Speculative(network, Draft(decoder(vocab_size=36)))
    raised("P-GENERATE-025", other.complete, asked, options)
    way = Speculative(network, Lookup())
    raised("P-GENERATE-026", way.complete, asked, GenerateOptions(max_new_tokens=4, beams=2))
    raised("P-GENERATE-027", way.complete, asked, options, [Even()])
