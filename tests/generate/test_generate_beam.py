"""Beam search: transformers' answers and scores, prompts alone and together, forced words, rules."""

import pytest
import torch
from decoders import DECODERS, STOP, decoder, pair, prompts

from penjing.base.errors import PenjingError
from penjing.generate.forced import Wanted
from penjing.generate.loop import complete, generate
from penjing.generate.options import GenerateOptions
from penjing.generate.rules import Rule
from penjing.model.batch import Batch

START = {"llama": None, "t5": 0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("pairs")


def cut(tokens):
    return tokens[: tokens.index(STOP)] if STOP in tokens else tokens


SEARCHES = [
    dict(beams=4),
    dict(beams=4, returns=3, length_penalty=0.5, early_stopping=True),
    dict(beams=3, returns=2, length_penalty=-1.0),
    dict(beams=2, returns=2, length_penalty=2.0, repetition_penalty=1.4),
    dict(beams=3, no_repeat_ngram=2, min_new_tokens=3),
]
NAMES = {"beams": "num_beams", "returns": "num_return_sequences", "no_repeat_ngram": "no_repeat_ngram_size"}


@pytest.mark.parametrize("more", SEARCHES)
@pytest.mark.parametrize("name", DECODERS)
def test_beams_equal_transformers(name, more, folder):
    ours, theirs = pair(name, str(folder / name))
    asked = prompts(5, seed=1)
    options = GenerateOptions(max_new_tokens=10, stop_tokens=(STOP,), decoder_start=START[name], **more)
    together = complete(ours, asked, options)
    given = {NAMES.get(key, key): value for key, value in more.items()}
    for prompt, answers in zip(asked, together, strict=True):
        made = theirs.generate(
            torch.tensor([prompt]), max_new_tokens=10, do_sample=False, return_dict_in_generate=True,
            output_scores=True, **given,
        )  # fmt: skip
        begin = 1 if name == "t5" else len(prompt)
        wanted = [cut(row.tolist()[begin:]) for row in made.sequences]
        assert [a.tokens for a in answers] == wanted
        assert [a.score for a in answers] == pytest.approx(made.sequences_scores.tolist(), abs=1e-3)


def test_a_beams_numbers_add_up():
    ends = set()
    for stops in ((), (STOP, 5, 6)):
        options = GenerateOptions(max_new_tokens=8, beams=3, returns=3, stop_tokens=stops, length_penalty=0.7)
        for a in (a for answers in complete(decoder(), prompts(6), options) for a in answers):
            total = sum(a.log_probabilities) + (a.end[1] if a.end else 0.0)
            assert a.score == pytest.approx(total / (len(a.tokens) + (a.end is not None)) ** 0.7, abs=1e-3)
            ends.add(a.reason)
    assert ends == {"stop", "length"}


def test_columns_of_beams():
    network, asked = decoder(), [[5, 6, 7], [9, 4, 3]]
    options = GenerateOptions(max_new_tokens=7, beams=3, returns=2, stop_tokens=(STOP, 5, 6))
    answers = [a for found in complete(network, asked, options) for a in found]
    columns = list(generate(network, Batch(torch.tensor(asked)), options))
    for row, answer in enumerate(answers):
        made = [c.tokens[row] for c in columns if c.tokens[row] is not None]
        assert made == answer.tokens + ([answer.end[0]] if answer.end else [])
        assert [c.reasons[row] for c in columns if c.reasons[row]] == [answer.reason]


def holds(tokens, word):
    return any(tuple(tokens[i : i + len(word)]) == word for i in range(len(tokens)))


@pytest.mark.parametrize("words", [((21,),), ((21, 22), (8,)), ((7, 7, 9), (9, 4), (30, 31))])
def test_forced_words_come(words):
    network, asked = decoder(), prompts(4)
    plain = GenerateOptions(max_new_tokens=9, beams=4, returns=2, stop_tokens=(STOP, 5))
    free = [a.tokens for found in complete(network, asked, plain) for a in found]
    assert not all(holds(tokens, word) for tokens in free for word in words)
    forced = GenerateOptions(max_new_tokens=9, beams=4, returns=2, stop_tokens=(STOP, 5), forced_words=words)
    for found in complete(network, asked, forced):
        assert len(found) == 2
        assert all(holds(a.tokens, word) for a in found for word in words)


def test_forced_words_fill_an_answer_to_the_last_token():
    options = GenerateOptions(max_new_tokens=4, beams=2, forced_words=((21, 22), (30, 31)), stop_tokens=(STOP,))
    ((answer,),) = complete(decoder(), [[5, 6]], options)
    assert sorted([answer.tokens[:2], answer.tokens[2:]]) == [[21, 22], [30, 31]]


def test_forced_words_and_the_window():
    with pytest.raises(PenjingError) as error:
        complete(decoder(max_tokens=8), [[5] * 7], GenerateOptions(beams=2, forced_words=((3, 4, 6),)))
    assert error.value.code == "P-GENERATE-003"


def test_what_is_lacking():
    wanted = Wanted(((1, 2, 3), (2, 5), (2, 5)))
    assert wanted.needed == 7 and wanted.next([]) == {1, 2}
    begun = wanted.after([9, 1, 2])
    assert begun.needed == 5 and begun.next([9, 1, 2]) == {3}
    once = begun.after([9, 1, 2, 5])
    assert once.words == ((1, 2, 3), (2, 5)) and once.needed == 5


class Alternate(Rule):
    """A row's tokens alternate between odd and even: wrong at once if rows are mixed up."""

    def start(self, prompts):
        self.odd = [bool(prompt[-1] % 2) for prompt in prompts]

    def apply(self, scores):
        for row, odd in enumerate(self.odd):
            scores[row, int(odd) :: 2] = -torch.inf
        return scores

    def accept(self, tokens):
        assert all(token % 2 != odd for token, odd in zip(tokens, self.odd, strict=True))
        self.odd = [bool(token % 2) for token in tokens]

    def select(self, rows):
        self.odd = [self.odd[row] for row in rows]


def test_rules_follow_the_beams():
    options = GenerateOptions(max_new_tokens=8, beams=4, returns=4, stop_tokens=(STOP,))
    for prompt, found in zip(asked := prompts(4), complete(decoder(), asked, options, [Alternate()]), strict=True):
        for answer in found:
            line = [prompt[-1], *answer.tokens]
            assert all((a + b) % 2 for a, b in zip(line, line[1:], strict=False))


class Narrow(Rule):
    """Leaves one token."""

    def apply(self, scores):
        scores[:, :7] = scores[:, 8:] = -torch.inf
        return scores


def test_fewer_answers_where_fewer_can_be():
    options = GenerateOptions(max_new_tokens=3, beams=3, returns=2)
    (answers,) = complete(decoder(), [[5, 6]], options, [Narrow()])
    assert [a.tokens for a in answers] == [[7, 7, 7]]
    assert [c.tokens for c in generate(decoder(), Batch(torch.tensor([[5, 6]])), options, [Narrow()])] == [
        [7, None]
    ] * 3


def test_stops_end_beams():
    options = GenerateOptions(max_new_tokens=8, beams=3, returns=3)
    (answers,) = complete(decoder(), [[5, 6]], options, stops=lambda row, tokens: len(tokens) == 4)
    assert {len(a.tokens) for a in answers} == {4} and {a.reason for a in answers} == {"stop"}
