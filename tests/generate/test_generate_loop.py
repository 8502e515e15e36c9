"""The loop: transformers' tokens, rows alone and together, ends, numbers told, and one message for each mistake."""

import dataclasses

import pytest
import torch
from decoders import DECODERS, STOP, VOCABULARY, decoder, pair, prompts

from penjing.base.errors import PenjingError
from penjing.generate.loop import complete, generate
from penjing.generate.options import GenerateOptions
from penjing.generate.rules import Rule
from penjing.model.batch import Batch

START = {"llama": None, "t5": 0}


def greedy(name="llama", **given):
    return GenerateOptions(temperature=0, decoder_start=START[name], **{"max_new_tokens": 10} | given)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pairs")


def cut(tokens):
    return tokens[: tokens.index(STOP)] if STOP in tokens else tokens


@pytest.mark.parametrize(
    "more",
    [
        {},
        dict(repetition_penalty=1.5),
        dict(no_repeat_ngram_size=2),
        dict(bad_words_ids=[[5], [7, 9]], min_new_tokens=4),
        dict(forced_bos_token_id=9, forced_eos_token_id=STOP),
        dict(sequence_bias=[[[6], -4.0], [[9], -3.0]]),
    ],
)
@pytest.mark.parametrize("name", DECODERS)
def test_greedy_equals_transformers(name, more, folder):
    ours, theirs = pair(name, str(folder / name))
    mine = {k: v for k, v in more.items() if k in ("repetition_penalty", "min_new_tokens")}
    mine |= {"no_repeat_ngram": more["no_repeat_ngram_size"]} if "no_repeat_ngram_size" in more else {}
    mine |= {"bad_words": more["bad_words_ids"]} if "bad_words_ids" in more else {}
    mine |= {"logit_bias": {token: value for (token,), value in more.get("sequence_bias", ())}}
    if "forced_bos_token_id" in more:
        mine |= {"first_token": 9 if name == "t5" else None, "last_token": STOP}  # theirs only after a single token
    asked = prompts(6, longest=12)
    asked = [prompt for prompt in asked if len(prompt) > 1]
    options = greedy(name, stop_tokens=(STOP,), **mine)
    together = complete(ours, asked, options)
    varied = set()
    for prompt, (answer,) in zip(asked, together, strict=True):
        made = theirs.generate(torch.tensor([prompt]), max_new_tokens=10, do_sample=False, **more)[0].tolist()
        assert answer.tokens == cut(made[1:] if name == "t5" else made[len(prompt) :])
        varied.add(tuple(answer.tokens))
    assert len(varied) > 1


@pytest.mark.parametrize("name", DECODERS)
def test_rows_alone_and_together_draw_the_same(name, folder):
    network, _ = pair(name, str(folder / name))
    options = GenerateOptions(
        max_new_tokens=9, temperature=1.3, top_p=0.95, seed=11, stop_tokens=(STOP, 5, 6), returns=3,
        decoder_start=START[name], frequency_penalty=0.3,
    )  # fmt: skip
    asked = prompts(4)
    together = complete(network, asked, options)
    alone = [complete(network, [prompt], options)[0] for prompt in asked]
    assert [[a.tokens for a in answers] for answers in together] == [[a.tokens for a in answers] for answers in alone]
    assert len({tuple(a.tokens) for answers in together for a in answers}) > 6
    assert {a.reason for answers in together for a in answers} == {"stop", "length"}


def test_seeds_reproduce_and_none_differs():
    network, asked = decoder(), [[5, 6, 7]]
    draw = lambda seed: complete(network, asked, GenerateOptions(max_new_tokens=20, seed=seed))[0][0].tokens  # noqa: E731
    assert draw(1) == draw(1) != draw(2)
    assert draw(None) != draw(None)


def test_columns_add_up_to_answers_and_name_their_ends():
    network, asked = decoder(), prompts(4)
    options = GenerateOptions(max_new_tokens=12, seed=2, stop_tokens=(STOP, 9, 11))
    answers = [answer for (answer,) in complete(network, asked, options)]
    longest = max(map(len, asked))
    tokens, mask = torch.zeros(4, longest, dtype=torch.int64), torch.zeros(4, longest, dtype=torch.bool)
    for row, prompt in enumerate(asked):
        tokens[row, : len(prompt)], mask[row, : len(prompt)] = torch.tensor(prompt), True
    columns = list(generate(network, Batch(tokens, mask), options))  # padded at the right
    for row, answer in enumerate(answers):
        made = [c.tokens[row] for c in columns if c.tokens[row] is not None]
        reasons = [c.reasons[row] for c in columns if c.tokens[row] is not None]
        assert [t for t in made if t not in options.stop_tokens] == answer.tokens
        assert reasons == [None] * (len(made) - 1) + [answer.reason]
        assert (made[-1] in options.stop_tokens) == (answer.reason == "stop")
        assert answer.end is None or answer.end[0] == made[-1]


def test_log_probabilities_are_the_networks():
    network, prompt = decoder(), [5, 6, 7, 8]
    options = GenerateOptions(max_new_tokens=6, seed=3, temperature=0.5, top_k=4, top_log_probabilities=3)
    ((answer,),) = complete(network, [prompt], options)
    with torch.no_grad():
        logs = network.logits(network(Batch(torch.tensor([prompt + answer.tokens])))).log_softmax(-1)[0, 3:-1]
    torch.testing.assert_close(
        torch.tensor(answer.log_probabilities), logs.gather(1, torch.tensor(answer.tokens)[:, None])[:, 0],
        atol=1e-4, rtol=1e-4,
    )  # fmt: skip
    for found, row in zip(answer.top, logs, strict=True):
        assert [token for token, _ in found] == row.topk(3).indices.tolist()
        assert found[0][1] == pytest.approx(float(row.max()), abs=1e-4)


def test_ended_rows_are_computed_no_more():
    network, asked = decoder(), prompts(5)
    seen, plain = [], network.step
    network.step = lambda tokens, *given: (seen.append(len(tokens)), plain(tokens, *given))[1]
    options = GenerateOptions(max_new_tokens=12, seed=2, stop_tokens=tuple(range(2, 12)))
    lengths = sorted(
        len(a.tokens) + (a.reason == "stop") for (a,) in complete(network, asked, options)
    )  # columns of each row
    assert len(set(lengths)) > 2
    assert seen[1:] == [sum(size > step for size in lengths) for step in range(1, max(lengths))]


def test_stops_end_single_rows():
    network, asked = decoder(), prompts(3)
    plain = complete(network, asked, greedy())
    stopped = complete(network, asked, greedy(), stops=lambda row, tokens: row == 1 and len(tokens) == 4)
    assert [a.tokens for (a,) in stopped] == [a.tokens[: 4 if row == 1 else 10] for row, (a,) in enumerate(plain)]
    assert [a.reason for (a,) in stopped] == ["length", "stop", "length"]


def test_closing_stops_and_training_comes_back():
    network = decoder().train()
    going = generate(network, Batch(torch.tensor([[5, 6]])), greedy())
    next(going)
    assert not network.training
    going.close()
    assert network.training


class Odd(Rule):
    """Only odd tokens; notes what it is told."""

    def start(self, prompts):
        self.rows, self.told = [list(prompt) for prompt in prompts], []

    def apply(self, scores):
        scores[:, ::2] = -torch.inf
        return scores

    def accept(self, tokens):
        for row, token in zip(self.rows, tokens, strict=True):
            row.append(token)

    def select(self, rows):
        self.told.append(list(rows))
        self.rows = [list(self.rows[row]) for row in rows]


@pytest.mark.parametrize("name", DECODERS)
def test_rules_are_told_all(name, folder):
    network, rule, asked = pair(name, str(folder / name))[0], Odd(), prompts(4)
    options = GenerateOptions(max_new_tokens=8, seed=4, stop_tokens=tuple(range(3, 20)), decoder_start=START[name])
    answers = complete(network, asked, options, [rule])
    assert all(token % 2 for (a,) in answers for token in a.tokens)
    assert rule.told
    made = [[*a.tokens, *([a.end[0]] if a.end else [])] for (a,) in answers]
    assert all(any(row[-len(one) :] == one for one in made) for row in rule.rows), "rows and tokens were mixed up"


def test_the_window_ends_an_answer():
    network = decoder(max_tokens=16)
    for size in (10, 16):
        prompt = prompts(1, longest=1)[0] * size
        ((answer,),) = complete(network, [prompt], greedy(max_new_tokens=30))
        assert len(answer.tokens) == 16 - size + 1 and answer.reason == "length"


OPTIONS = {
    "max_new_tokens": (8, 5), "min_new_tokens": (0, 6, {"stop_tokens": tuple(range(2, 20))}), "temperature": (1.0, 0.3),
    "top_k": (None, 1), "top_p": (None, 0.1), "min_p": (None, 0.9), "typical_p": (None, 0.1),
    "repetition_penalty": (1.0, 3.0), "frequency_penalty": (0.0, 9.0), "presence_penalty": (0.0, 9.0),
    "no_repeat_ngram": (0, 1), "bad_words": ((), tuple((i,) for i in range(3, 20))),
    "forced_words": ((), ((4, 5),), {"beams": 2}), "logit_bias": ({}, {4: 20.0}), "stop_tokens": ((), tuple(range(20))),
    "beams": (1, 3), "length_penalty": (1.0, -6.0, {"beams": 4, "stop_tokens": tuple(range(2, 20))}),
    "early_stopping": (False, True, {"beams": 3, "stop_tokens": (2, 3, 4), "length_penalty": 3.0}),
    "returns": (1, 2), "top_log_probabilities": (0, 2), "seed": (1, 2), "decoder_start": (0, 1),
    "first_token": (None, 9), "last_token": (None, 9),
}  # fmt: skip


@pytest.mark.parametrize("option", OPTIONS)
def test_every_option_has_an_effect(option, folder):
    network = pair("t5", str(folder / "t5"))[0]
    one, other, *more = OPTIONS[option]
    base = dict(max_new_tokens=8, decoder_start=0) | (more[0] if more else {})
    if option not in ("seed", "beams") and "beams" not in base:
        base["seed"] = 1
    found = [complete(network, prompts(12), GenerateOptions(**base | {option: value})) for value in (one, other)]
    assert found[0] != found[1]


def test_the_table_has_every_option():
    assert set(OPTIONS) == set(GenerateOptions.__dataclass_fields__)


def code(network, asked, options, rules=()):
    with pytest.raises(PenjingError) as error:
        complete(network, asked, options, rules)
    assert error.value.text("en") and error.value.text("zh")
    return error.value.code


class Silent(Rule):
    def apply(self, scores):
        return scores.fill_(-torch.inf)


@pytest.mark.parametrize("temperature", [1e-20, 1e-42, 1e-300])
def test_near_no_temperature_the_likeliest_token_comes(temperature):
    network = decoder()
    wanted = complete(network, [[4, 5]], greedy())[0][0].tokens
    for more in ({}, {"top_p": 0.9, "typical_p": 0.9}, {"top_k": 3, "min_p": 0.1}):
        cold = GenerateOptions(max_new_tokens=10, temperature=temperature, seed=1, **more)
        assert complete(network, [[4, 5]], cold)[0][0].tokens == wanted


def test_generations_in_turns_on_a_network_that_trains():
    network = decoder(dropout=0.5)
    still = network.decoder.blocks[0].eval()  # as a frozen part
    network.training = network.decoder.training = True
    modes = [module.training for module in network.modules()]
    short, long = (greedy(max_new_tokens=most) for most in (2, 12))
    first, second = Batch(torch.tensor([[4, 5, 6]])), Batch(torch.tensor([[7, 8, 9]]))
    alone = [column.tokens for column in generate(network, second, long)]
    one, other = generate(network, first, short), generate(network, second, long)
    told = [next(one) and next(other).tokens]
    assert len(list(one)) == 1 and not network.training
    assert told + [column.tokens for column in other] == alone
    assert [module.training for module in network.modules()] == modes and not still.training


def test_mistakes_are_told(folder):
    network = decoder(max_tokens=16)
    assert code(network, [[3], []], greedy()) == "P-GENERATE-004"
    assert code(network, [], greedy()) == "P-GENERATE-005"
    t5 = pair("t5", str(folder / "t5"))[0]
    t5.config, config = dataclasses.replace(t5.config, decoder_start=None), t5.config
    assert code(t5, [[3]], greedy()) == "P-GENERATE-006"
    t5.config = config
    assert code(network, [[3] * 17], greedy()) == "P-GENERATE-007"
    for more in ("bad_words", "stop_tokens", "logit_bias"):
        value = {"bad_words": ((VOCABULARY,),), "stop_tokens": (VOCABULARY,), "logit_bias": {VOCABULARY: 1.0}}[more]
        assert code(network, [[3]], greedy(**{more: value})) == "P-GENERATE-008"
    assert code(network, [[VOCABULARY]], greedy()) == "P-MODEL-004"
    everything = tuple((token,) for token in range(VOCABULARY))
    for beams in (dict(temperature=0), dict(seed=1), dict(beams=2)):
        assert code(network, [[3]], GenerateOptions(bad_words=everything, **beams)) == "P-GENERATE-009"
        assert code(network, [[3]], GenerateOptions(**beams), [Silent()]) == "P-GENERATE-009"
    with torch.no_grad():
        network.decoder.blocks[1].mlp.down.weight[0, 0] = torch.nan
    for beams in (dict(temperature=0), dict(seed=1), dict(beams=2)):
        assert code(network, [[3]], GenerateOptions(**beams)) == "P-GENERATE-010"
