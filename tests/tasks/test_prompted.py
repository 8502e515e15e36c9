"""A writer that answers by examples: learnt patterns, every form and calibration, the window, and what cannot be."""

import random

import numpy as np
import pytest
import torch
from toys import BAD, GOOD, RECORDS, REST, sentences, teach, toy_model

from penjing.base.errors import DataError, OptionError, TaskError
from penjing.base.progress import listen
from penjing.model.batch import Batch
from penjing.tasks.defaults import Defaults
from penjing.tasks.pieces import InMemory, Pieces
from penjing.tasks.prompted import EMPTY, Prompted
from penjing.tasks.writer import Writer
from penjing.text.prompts import Form
from penjing.text.shots import Drawn, Nearest

LABELS = ["bad", "good"]
FORM = Form("{text} = {label}", between="\n")
TEST = [{"text": text, "label": label} for text, label in sentences(12, seed=9)]


def short(number, seed):
    """Records of few words, of which one tells the label."""
    chance = random.Random(seed)
    picked = [(chance.choice((BAD, GOOD)[row]), row) for row in chance.choices((0, 1), k=number)]
    return [{"text": f"{chance.choice(REST)} {word}", "label": LABELS[row]} for word, row in picked]


def untaught(family="llama", **more):
    model = toy_model("causal", family, seed=1, **more)
    return Writer(model.network, model.tokenizer)


@pytest.fixture(scope="module")
def taught():
    """A decoder that has read many lines of this form."""
    model = toy_model("causal", "llama", seed=1, max_tokens=64)
    lines = [[f"{one['text']} = {one['label']}" for one in short(3, seed)] for seed in range(200)]
    model.task = type(model.task)()
    documents = InMemory([np.array(model.tokenizer.encode("\n".join(some))) for some in lines])
    teach(model, 150, 5e-3, Pieces(documents, model.tokenizer, model.window))
    return Writer(model.network, model.tokenizer)


def accuracy(answers, records):
    return np.mean([answer["label"] == record["label"] for answer, record in zip(answers, records, strict=True)])


def code(error, function, *given, **named):
    with pytest.raises(error) as found:
        function(*given, **named)
    return found.value.code


@pytest.mark.parametrize("calibration", ["none", "contextual"])
@pytest.mark.parametrize("normalise", ["none", "tokens", "bytes"])
def test_a_taught_pattern_is_answered(taught, calibration, normalise):
    pool, test = short(20, 1000), short(40, 2000)
    drawn = Drawn([one["label"] for one in pool], 0, balanced=True)
    prompted = Prompted(taught, LABELS, FORM, pool, drawn, shots=2, calibration=calibration, normalise=normalise)
    answers = prompted.answer(test)
    assert accuracy(answers, test) >= 0.85
    assert all(abs(sum(answer["probabilities"].values()) - 1) < 1e-9 for answer in answers)
    assert prompted.facts == {"examples": 2.0, "with_fewer": 0, "cut": 0}


@pytest.mark.parametrize("family", ["llama", "lstm", "t5"])
@pytest.mark.parametrize("calibration", ["none", "contextual", "pmi"])
def test_answers_do_not_depend_on_the_batches(family, calibration):
    if family == "t5":
        model = toy_model("seq2seq", "t5", seed=1)
        writer = Writer(model.network, model.tokenizer, Defaults(decoder_start=model.tokenizer.pad))
    else:
        writer = untaught(family)
    words = {"bad": "the box", "good": "late"}
    for chooser in (Drawn([one["label"] for one in RECORDS], 0), Nearest(RECORDS)):
        prompted = Prompted(writer, LABELS, FORM, RECORDS, chooser, shots=2, words=words, calibration=calibration)
        whole = prompted.probabilities(TEST)
        for size in (1, 64, 600):
            assert np.abs(prompted.probabilities(TEST, size) - whole).max() <= 1e-5
        alone = np.concatenate([prompted.probabilities([one]) for one in TEST])
        assert np.abs(alone - whole).max() <= 1e-5
    assert np.abs(whole - whole[0]).max() > 1e-5


def test_probabilities_are_those_of_whole_texts():
    writer = untaught(max_tokens=200)
    words = {"bad": "very late", "good": "the parcel was"}
    prompted = Prompted(writer, LABELS, FORM, RECORDS, Drawn(["a"] * len(RECORDS), 0), shots=2, words=words)
    (found,) = prompted.probabilities(["a box"])
    first, second = Drawn(["a"] * len(RECORDS), 0).choose([{}], 2)[0]
    shown = [f"{RECORDS[one]['text']} = {words[RECORDS[one]['label']]}" for one in (first, second)]
    prompt, sums = "\n".join([*shown, "a box ="]), []
    for label in LABELS:
        sums.append(sum(writer.score([f"{prompt} {words[label]}"])[0]) - sum(writer.score([prompt])[0]))
    wanted = np.exp(sums) / np.exp(sums).sum()
    assert found == pytest.approx(wanted, abs=2e-5)
    blank = [
        Prompted(writer, LABELS, FORM, RECORDS, Drawn(["a"] * len(RECORDS), 0), shots=2, words=words).probabilities([x])
        for x in EMPTY
    ]
    calibrated = Prompted(
        writer, LABELS, FORM, RECORDS, Drawn(["a"] * len(RECORDS), 0), shots=2, words=words, calibration="contextual"
    ).probabilities(["a box"])[0]
    quotient = wanted / np.mean(blank, axis=0)[0]
    assert calibrated == pytest.approx(quotient / quotient.sum(), abs=2e-5)
    alone = [
        sum(writer.score([f"= {words[label]}"])[0][-len(prompted.words.tokens[n]) :]) for n, label in enumerate(LABELS)
    ]
    pmi = Prompted(
        writer, LABELS, FORM, RECORDS, Drawn(["a"] * len(RECORDS), 0), shots=2, words=words, calibration="pmi"
    ).probabilities(["a box"])[0]
    power = np.exp(np.subtract(sums, alone))
    assert pmi == pytest.approx(power / power.sum(), abs=2e-5)


def test_length_counts_as_it_is_asked():
    writer = untaught(max_tokens=200)
    words = {"bad": "very very late today", "good": "the"}
    plain, tokens, size = (
        np.log(Prompted(writer, LABELS, FORM, words=words, normalise=kind).probabilities(["box"])[0])
        for kind in ("none", "tokens", "bytes")
    )
    cut = Prompted(writer, LABELS, FORM, words=words).words
    assert [len(one) for one in cut.tokens] == cut.sizes("tokens").tolist() and cut.sizes("bytes").tolist() == [20, 3]
    assert plain[0] - plain[1] < tokens[0] - tokens[1] and plain[0] - plain[1] < size[0] - size[1]


def test_a_conversation_scores_what_the_assistant_would_say():
    writer = untaught(max_tokens=300)
    prompted = Prompted(writer, LABELS, FORM, RECORDS, Nearest(RECORDS), shots=1, chat=True)
    record = {"text": "the tree box"}
    (number,) = prompted.chooser.choose([record], 1)[0]
    messages = [
        {"role": "user", "content": f"{RECORDS[number]['text']} ="},
        {"role": "assistant", "content": RECORDS[number]["label"]},
        {"role": "user", "content": "the tree box ="},
    ]
    asked = writer.chat.render(messages, add_generation_prompt=True)
    assert prompted.prompt(record, [number]) == asked
    sums = []
    for label in LABELS:
        whole = torch.tensor([writer.tokenizer.encode(asked + label)])
        logs = writer.scored(Batch(whole), whole)
        sums.append(sum(logs[-len(prompted.words.tokens[LABELS.index(label)]) :]))
    assert prompted.probabilities([record])[0] == pytest.approx(np.exp(sums) / np.exp(sums).sum(), abs=2e-5)
    assert len(prompted.answer(TEST)) == len(TEST)
    assert Prompted(writer, LABELS, FORM, chat=True, calibration="pmi").probabilities([record]).shape == (1, 2)


def test_a_full_window_drops_examples_and_says_so():
    writer, heard = untaught(max_tokens=64), []
    prompted = Prompted(writer, LABELS, FORM, RECORDS, Drawn(["a"] * len(RECORDS), 0), shots=30)
    with listen(heard.append):
        assert len(prompted.answer(TEST)) == len(TEST)
    assert any("the first examples are left out" in event.text for event in heard if event.kind == "warning")
    assert prompted.facts["with_fewer"] == len(TEST) and 0 < prompted.facts["examples"] < 30
    tokens, kept = prompted.fitted(TEST)
    order = prompted.chooser.choose(TEST, 30)
    assert all(len(one) <= prompted.room for one in tokens)
    assert all(one == whole[len(whole) - len(one) :] for one, whole in zip(kept, order, strict=True))
    heard.clear()
    with listen(heard.append):
        assert prompted.answer([{"text": "tree " * 3000}])[0]["label"] in LABELS
    assert any("cut at the end" in event.text for event in heard) and prompted.facts["cut"] == 1


def test_labels_are_read_as_words():
    prompted = Prompted(untaught(), ["was_late", "fine"], FORM)
    assert prompted.words.words == ["was late", "fine"]
    heard = []
    with listen(heard.append):
        Prompted(untaught(), ["late", "late today"], FORM)
    assert any("go on from another" in event.text for event in heard)


def test_nothing_and_strange_texts_are_answered():
    prompted = Prompted(untaught(), LABELS, FORM, RECORDS, Nearest(RECORDS), shots=1)
    assert prompted.answer([]) == [] and prompted.probabilities([]).shape == (0, 2)
    strange = ["", " ", "满意😀", "\ud800 half", "<s> {label} {text}", "\n\n\t", "é" * 300]
    assert [answer["label"] in LABELS for answer in prompted.answer(strange)] == [True] * len(strange)


def test_what_cannot_be_asked_is_told():
    writer = untaught()
    assert code(DataError, Prompted, writer, ["a", ""], FORM) == "P-SHOT-003"
    assert code(DataError, Prompted, writer, ["a", "b"], FORM, words={"b": "a"}) == "P-SHOT-004"
    assert code(OptionError, Prompted, writer, ["a", "b"], FORM, words={"c": "d"}) == "P-SHOT-006"
    assert code(TaskError, Prompted, writer, LABELS, FORM, shots=1) == "P-SHOT-007"
    assert code(TaskError, Prompted, writer, LABELS, FORM, RECORDS, Nearest(RECORDS), shots=999) == "P-SHOT-007"
    narrow = untaught(max_tokens=16)
    long = Prompted(narrow, LABELS, Form("{text} and then it came very late to the tree and the box was = {label}"))
    assert code(TaskError, long.answer, ["x"]) == "P-SHOT-008"
    bare = Prompted(writer, LABELS, Form("{text}{label}"), calibration="pmi")
    assert code(TaskError, bare.answer, ["x"]) == "P-SHOT-009"
    model = toy_model("seq2seq", "t5", seed=1)
    t5 = Writer(model.network, model.tokenizer, Defaults(decoder_start=model.tokenizer.pad))
    assert code(TaskError, Prompted, t5, LABELS, FORM, chat=True) == "P-SHOT-010"
    assert code(DataError, Prompted(writer, LABELS, FORM).answer, [{"label": "good"}]) == "P-TASK-009"
