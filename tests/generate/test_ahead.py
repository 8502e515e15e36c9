"""Tokens that are chosen several at a time are those that are chosen one by one."""

import pytest
import torch
from decoders import VOCABULARY, decoder

from penjing.base.errors import PenjingError
from penjing.changes import changes_of
from penjing.changes.change import Changes
from penjing.generate.ahead import Ahead
from penjing.generate.loop import complete, generate
from penjing.generate.options import GenerateOptions
from penjing.model import native
from penjing.model.batch import Batch
from penjing.model.step import Tape

PROMPT = [3, 7, 5, 11]
GREEDY = GenerateOptions(max_new_tokens=30, temperature=0)
CASES = {
    "float32": ({}, None),
    "tied": (dict(tied_output=True, output_scale=0.5), None),
    "a window": (dict(window=5, window_layers=(0,)), None),
    "int8": ({}, "int8"),
    "int4, tied": (dict(tied_output=True), "int4"),
}


@pytest.fixture
def counted(monkeypatch):
    """How many tokens each call chose."""
    plain, found = Tape.ahead, []

    def ahead(*given):
        tokens, logs = plain(*given)
        found.append(len(tokens))
        return tokens, logs

    monkeypatch.setattr(Tape, "ahead", ahead)
    monkeypatch.setattr("penjing.generate.ahead.BURST", 1e3)  # however slow this machine is
    return found


def one_by_one(monkeypatch, network, options, **more):
    with monkeypatch.context() as patch:
        patch.setattr(Ahead, "fill", lambda *_: False)
        return complete(network, [PROMPT], options, **more)


def few(said, **changed):
    made = decoder(**changed)
    Changes(made).adopt(changes_of(said), 0) if said else None
    return made


@pytest.mark.parametrize("name", CASES)
def test_they_are_the_same(name, counted, monkeypatch):
    changed, said = CASES[name]
    network = few(said, **changed)
    [[expected]] = one_by_one(monkeypatch, network, GREEDY)
    [[made]] = complete(network, [PROMPT], GREEDY)
    assert made.tokens == expected.tokens and len(made.tokens) == 30
    torch.testing.assert_close(torch.tensor(made.log_probabilities), torch.tensor(expected.log_probabilities))
    assert sum(counted) == (29 if native.library() else 0) and len(counted) < (5 if native.library() else 30)
    [[stopped]] = complete(
        network, [PROMPT], GenerateOptions(max_new_tokens=30, temperature=0, stop_tokens=(expected.tokens[9],))
    )
    assert stopped.tokens == expected.tokens[: expected.tokens.index(expected.tokens[9])] and stopped.reason == "stop"


def test_a_caller_who_stops_gets_no_more(counted, monkeypatch):
    network = decoder()
    [[expected]] = one_by_one(monkeypatch, network, GREEDY)
    [[made]] = complete(network, [PROMPT], GREEDY, stops=lambda row, tokens: len(tokens) == 7)
    assert made.tokens == expected.tokens[:7] and made.reason == "stop"
    columns = generate(network, Batch(torch.tensor([PROMPT])), GREEDY)
    assert [next(columns).tokens[0] for _ in range(4)] == expected.tokens[:4]
    columns.close()
    assert network.tape is None


@pytest.mark.parametrize(
    "more",
    [
        dict(temperature=1.0, seed=1),
        dict(min_new_tokens=3, stop_tokens=(2,)),
        dict(repetition_penalty=1.5),
        dict(logit_bias={3: 1.0}),
        dict(returns=2, temperature=1.0),
        dict(top_log_probabilities=2),
    ],
)
def test_only_where_nothing_else_is_asked(more, counted):
    complete(decoder(), [PROMPT], GenerateOptions(**{"max_new_tokens": 20, "temperature": 0} | more))
    assert not counted


@pytest.mark.parametrize("position", ["alibi", "learned"])
def test_where_python_has_a_part_in_a_step_it_takes_it(position, counted, monkeypatch):
    network = decoder(position=position)
    [[made]] = complete(network, [PROMPT], GREEDY)
    assert [[made]] == one_by_one(monkeypatch, network, GREEDY) and not any(counted)


@torch.no_grad()
def test_what_is_no_number_is_told(counted):
    network = decoder()
    network.embedding.weight[:] = torch.nan
    with pytest.raises(PenjingError) as caught:
        complete(network, [PROMPT], GREEDY)
    assert caught.value.code == "P-GENERATE-010"
    network = decoder()
    [[answer]] = complete(network, [PROMPT], GREEDY)
    network.embedding.weight[answer.tokens[12]] = torch.nan  # the thirteenth is broken when it is read
    made = []
    with pytest.raises(PenjingError) as caught:
        made += (column.tokens[0] for column in generate(network, Batch(torch.tensor([PROMPT])), GREEDY))
    assert caught.value.code == "P-GENERATE-010"
    for score in (torch.nan, -torch.inf):
        network = decoder(vocabulary_bias=True)
        network.output.bias[:] = score
        with pytest.raises(PenjingError):
            complete(network, [PROMPT], GREEDY)


@torch.no_grad()
def test_some_scores_may_be_forbidden(counted, monkeypatch):
    network = decoder(vocabulary_bias=True)
    network.output.bias[: VOCABULARY - 3] = -torch.inf
    [[expected]] = one_by_one(monkeypatch, network, GREEDY)
    [[made]] = complete(network, [PROMPT], GREEDY)
    assert made.tokens == expected.tokens and min(made.tokens) >= VOCABULARY - 3
