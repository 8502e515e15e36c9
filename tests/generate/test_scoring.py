"""The likelihood of endings: equal to one forward run over the whole text, whatever is shared, cut or batched."""

import dataclasses

import pytest
import torch
from decoders import VOCABULARY, decoder

from penjing.base.errors import GenerateError
from penjing.generate import scoring
from penjing.generate.scoring import Likelihood, likelihoods
from penjing.model.batch import Batch
from penjing.model.lstm import LSTM, LSTMConfig
from penjing.model.size import fresh_config
from penjing.model.transformer import Transformer

HEAD = [5, 9, 3, 7, 11, 2, 8, 4, 30, 12]  # what all prompts may begin with
ENDINGS = [[4], [9, 1], [9, 1, 6], [9, 2], [1, 1, 1, 1]]


def drawn(rows, longest=8, seed=0):
    chance = torch.Generator().manual_seed(seed)
    sizes = torch.randint(1, longest, (rows,), generator=chance).tolist()
    return [torch.randint(3, VOCABULARY, (size,), generator=chance).tolist() for size in sizes]


def plainly(network, prompt, ending):
    """One run over prompt and ending."""
    with torch.inference_mode():
        logs = network.logits(network(Batch(torch.tensor([[*prompt, *ending]])))).float().log_softmax(-1)[0]
    steps = logs[len(prompt) - 1 : -1]
    return Likelihood([float(steps[i, token]) for i, token in enumerate(ending)], steps.argmax(-1).tolist() == ending)


def same(found, wanted):
    assert [len(some) for some in found] == [len(some) for some in wanted]
    for ours, theirs in zip(sum(found, []), sum(wanted, []), strict=True):
        assert ours.log_probabilities == pytest.approx(theirs.log_probabilities, abs=2e-5)
        assert ours.greedy == theirs.greedy


NETWORKS = {
    "rotary": lambda: decoder(),
    "window": lambda: decoder(window=4, window_layers=(1,)),
    "alibi": lambda: decoder(position="alibi", norm="layer", activation="gelu", gated_mlp=False),
    "learned": lambda: decoder(position="learned"),
    "lstm": lambda: LSTM.new(LSTMConfig(VOCABULARY, width=16, decoder_layers=2), 3).eval(),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("shared", [False, True])
def test_likelihoods_are_those_of_whole_texts_for_every_batch_size(name, shared):
    network = NETWORKS[name]()
    prompts = [[*(HEAD if shared else []), *row] for row in drawn(7)]
    wanted = [[plainly(network, prompt, ending) for ending in ENDINGS] for prompt in prompts]
    for size in (1, 40, 4096):
        same(likelihoods(network, prompts, [ENDINGS] * len(prompts), batch_tokens=size), wanted)


def test_a_small_memory_changes_nothing(monkeypatch):
    network, prompts = decoder(), [[*HEAD, *row] for row in drawn(6)]
    whole, read = likelihoods(network, prompts, [ENDINGS] * 6), []
    plain = scoring.Scoring.batch
    monkeypatch.setattr(
        scoring.Scoring, "batch", lambda self, *given: (read.append(len(given[0])), plain(self, *given))[1]
    )
    same(likelihoods(network, prompts, [ENDINGS] * 6), whole)
    monkeypatch.setattr(scoring, "HELD", 4000)
    same(likelihoods(network, prompts, [ENDINGS] * 6), whole)
    assert read == [6, *[1] * 6]


def test_endings_may_differ_from_prompt_to_prompt():
    network, prompts = decoder(), drawn(4, seed=3)
    endings = [[[4, 5, 6]], [[7]], ENDINGS, [[3, 3], [4, 4, 4]]]
    wanted = [
        [plainly(network, *pair) for pair in ((p, e) for e in some)] for p, some in zip(prompts, endings, strict=True)
    ]
    same(likelihoods(network, prompts, endings), wanted)
    assert likelihoods(network, [], []) == []


def test_a_greedy_ending_is_known():
    network = decoder()
    prompt, ending = [5, 9, 3], []
    for _ in range(3):
        with torch.inference_mode():
            scores = network.logits(network(Batch(torch.tensor([[*prompt, *ending]]))))[0, -1]
        ending.append(int(scores.argmax()))
    found = likelihoods(network, [prompt], [[ending, [*ending[:2], (ending[2] + 1) % VOCABULARY]]])[0]
    assert [one.greedy for one in found] == [True, False]
    assert found[0].total == pytest.approx(sum(found[0].log_probabilities))


def test_many_long_endings_where_layers_see_a_window():
    network = decoder(window=4, window_layers=(0, 1), max_tokens=700)
    ending = [3 + at % 20 for at in range(300)]
    prompts, endings = [[5, 6, 7]], [[ending, [*ending[:-1], 33]]]
    same(likelihoods(network, prompts, endings), [[plainly(network, prompts[0], one) for one in endings[0]]])


def test_an_encoder_decoder_scores_its_target():
    config = fresh_config("t5", vocab_size=VOCABULARY, width=16, layers=1, heads=2, max_tokens=32)
    network = Transformer.new(
        dataclasses.replace(config, encoder_layers=1, decoder_layers=1, decoder_start=0), 3
    ).eval()
    sources, wanted = drawn(5, seed=2), []
    for source in sources:
        rows = []
        for ending in ENDINGS:
            batch = Batch(torch.tensor([source]), target=torch.tensor([[0, *ending]]))
            with torch.inference_mode():
                logs = network.logits(network(batch)).log_softmax(-1)[0, :-1]
            values = [float(logs[i, token]) for i, token in enumerate(ending)]
            rows.append(Likelihood(values, logs.argmax(-1).tolist() == ending))
        wanted.append(rows)
    for size in (1, 4096):
        same(likelihoods(network, sources, [ENDINGS] * 5, start=[0], batch_tokens=size), wanted)


def test_what_cannot_be_scored_is_told():
    network = decoder(max_tokens=8)
    for prompts, endings, code in (
        ([[]], [[[4]]], "P-GENERATE-004"),
        ([[5] * 8], [[[4, 4]]], "P-GENERATE-007"),
    ):
        with pytest.raises(GenerateError) as found:
            likelihoods(network, prompts, endings)
        assert found.value.code == code
    assert len(likelihoods(network, [[5] * 8], [[[4]]])) == 1
    with torch.no_grad():
        network.embedding.weight.fill_(torch.nan)
    with pytest.raises(GenerateError) as found:
        likelihoods(network, [[5]], [[[4]]])
    assert found.value.code == "P-GENERATE-010"
