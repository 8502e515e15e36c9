"""Guides bend scores as their papers say, keep their own memory of every row, and say what does not fit."""

import math

import pytest
import torch
from decoders import STOP, VOCABULARY, decoder, pair, prompts

from penjing.base.errors import GenerateError
from penjing.generate.guidance import ClassifierRule, ExpertRule, GuidanceRule
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.model.batch import Batch
from penjing.model.config import ModelConfig

GREEDY = GenerateOptions(max_new_tokens=10, temperature=0, stop_tokens=(STOP,))
ROWS = prompts(4, seed=6, longest=7)
OTHER = prompts(4, seed=9, longest=7)


def last(network, tokens):
    """Log-probabilities behind a text, computed from the whole text at once."""
    with torch.inference_mode():
        hidden = network(Batch(torch.tensor([tokens])))
        return network.logits(hidden[:, -1]).float()[0].log_softmax(-1)


def written(score, prompt, other=None):
    """Greedy text by a formula over whole texts."""
    said = []
    while len(said) < GREEDY.max_new_tokens:
        token = int(score(prompt + said, (other or prompt) + said).argmax())
        if token == STOP:
            break
        said.append(token)
    return said


def texts(network, rule, options=GREEDY, rows=ROWS):
    return [[answer.tokens for answer in answers] for answers in complete(network, rows, options, [rule])]


def test_guidance_is_its_formula():
    network = decoder()
    plain = texts(network, GuidanceRule(network, OTHER, 1.0001))
    for scale in (0.0, 0.5, 3.0):

        def score(own, other, scale=scale):
            return last(network, other) + scale * (last(network, own) - last(network, other))

        found = texts(network, GuidanceRule(network, OTHER, scale))
        assert found == [[written(score, own, other)] for own, other in zip(ROWS, OTHER, strict=True)]
        assert scale != 3.0 or found != plain


def test_guidance_with_one_prompt_for_all_and_several_answers():
    network = decoder()
    options = GenerateOptions(max_new_tokens=6, returns=3, seed=1, stop_tokens=(STOP,))
    together = texts(network, GuidanceRule(network, OTHER[:1], 2.0, most=6), options)
    alone = [texts(network, GuidanceRule(network, OTHER[:1], 2.0), options, rows=[ROWS[0]])[0]]
    assert together[:1] == alone and len({tuple(text) for text in together[0]}) > 1


def test_guidance_of_an_encoder_decoder(tmp_path):
    network, _ = pair("t5", str(tmp_path))
    options = GenerateOptions(max_new_tokens=8, temperature=0, stop_tokens=(STOP,), decoder_start=0)
    plain = [[answer.tokens for answer in answers] for answers in complete(network, ROWS, options)]
    same = texts(network, GuidanceRule(network, ROWS, 3.0), options)
    away = texts(network, GuidanceRule(network, OTHER, 3.0), options)
    assert same == plain != away


def test_experts_are_their_formula():
    network, expert, anti = decoder(), decoder(5), decoder(7)
    for good, bad in ((expert, anti), (expert, None), (None, anti)):

        def score(own, _, good=good, bad=bad):
            found = last(network, own)
            found = found + 0.7 * last(good, own) if good else found
            return found - 0.7 * last(bad, own) if bad else found

        found = texts(network, ExpertRule(good, bad, 0.7))
        assert found == [[written(score, own)] for own in ROWS]


def test_beams_keep_their_own_memory():
    network, expert = decoder(), decoder(5)
    options = GenerateOptions(max_new_tokens=6, temperature=0, beams=3, returns=3, stop_tokens=(STOP,))
    for row, answers in zip(ROWS, complete(network, ROWS, options, [ExpertRule(expert)]), strict=True):
        for answer in answers:
            text = list(row)
            for token, log in zip(answer.tokens, answer.log_probabilities, strict=True):
                wanted = (last(network, text) + last(expert, text)).log_softmax(-1)[token]
                assert abs(float(wanted) - log) < 1e-4
                text.append(token)


def test_a_classifier_steers():
    network, seen = decoder(), []

    def likes_large(rows):
        seen.append(rows)
        return [math.log(0.9 if row[-1] > 20 else 0.001) for row in rows]

    plain = texts(network, ClassifierRule(lambda rows: torch.zeros(len(rows)), candidates=10))
    found = texts(network, ClassifierRule(likes_large, candidates=10))
    share = [sum(token > 20 for (text,) in rows for token in text) for rows in (plain, found)]
    assert share[1] > share[0]
    assert len(seen[0]) == 10 * len(ROWS) and seen[0][0][:-1] == ROWS[0]
    greedy = [[answer.tokens for answer in answers] for answers in complete(network, ROWS, GREEDY)]
    assert plain == greedy
    seen.clear()
    texts(network, ClassifierRule(likes_large, candidates=2, strength=0.5, prompt=False))
    assert [len(row) for row in seen[0]] == [1] * 2 * len(ROWS)


def code_of(call):
    with pytest.raises(GenerateError) as caught:
        call()
    return caught.value.code


def test_another_vocabulary():
    network, wide = decoder(), decoder(vocab_size=VOCABULARY + 3)
    assert code_of(lambda: texts(network, ExpertRule(wide))) == "P-GENERATE-039"
    assert code_of(lambda: texts(network, GuidanceRule(wide, OTHER, 2.0))) == "P-GENERATE-039"


def test_settings_that_cannot_be_or_do_nothing(tmp_path):
    network = decoder()
    both, _ = pair("t5", str(tmp_path))
    assert isinstance(network.config, ModelConfig)
    wrong = (
        lambda: GuidanceRule(network, OTHER, 1.0),
        lambda: GuidanceRule(network, OTHER, math.nan),
        lambda: GuidanceRule(network, []),
        lambda: GuidanceRule(network, [[]]),
        lambda: texts(network, GuidanceRule(network, OTHER[:3])),
        lambda: ExpertRule(),
        lambda: ExpertRule(network, network),
        lambda: ExpertRule(network, strength=0.0),
        lambda: ExpertRule(network, strength=-1.0),
        lambda: ExpertRule(both),
        lambda: ExpertRule(network, sources=OTHER),
        lambda: ClassifierRule(len, candidates=1),
        lambda: ClassifierRule(len, strength=0),
    )
    assert {code_of(call) for call in wrong} == {"P-GENERATE-040"}


@pytest.mark.parametrize("answer", ([0.0], [[0.0]], [math.nan] * 40, [0.5] * 40))
def test_a_classifier_that_answers_nonsense(answer):
    rule = ClassifierRule(lambda rows: answer, candidates=10)
    assert code_of(lambda: texts(decoder(), rule)) == "P-GENERATE-041"
