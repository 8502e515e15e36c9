"""Tagging: what is learnt, windows, the scheme kept, forms of records, transformers' models, bad input."""

import dataclasses
import random

import numpy as np
import pytest
import torch
from tagged import RECORDS, records, task
from toys import same_weights, teach, tokenizer, toy_model

from penjing.base.errors import DataError, OptionError
from penjing.base.progress import listen
from penjing.tasks.model import Model
from penjing.tasks.pieces import InMemory
from penjing.tasks.tag import Task
from penjing.tasks.tag_pieces import TagPieces, encoded
from penjing.tasks.tag_scores import counts, scores
from penjing.text.tagging import Span, spans, strays, tags_of


def model_of(family="bert", max_tokens=64, options=(), **more):
    return toy_model("tag", family, task=task(**dict(options)), max_tokens=max_tokens, **more)


def taught(family="bert", steps=120, rate=1e-2, **more):
    model = model_of(family, **more)
    teach(model, steps, rate, pieces=model.task.pieces(model, RECORDS, learn=True))
    return model.eval()


@pytest.fixture(scope="module")
def tagger():
    return taught(options={"crf": True})


def f1(model, given=RECORDS, **more):
    answers = model.task.answer(model, [model.task.normal(record) for record in given], **more)
    return model.task.scores(model.task.statistics(answers, given).sum(0))["f1"]


def test_without_a_chain_it_learns_and_is_saved(tmp_path):
    model = taught(head_dropout=0.2)
    assert f1(model) > 0.8 and model.head.crf is None
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert again.task == model.task and same_weights(model, again)
    assert again.task.answer(again, RECORDS) == model.task.answer(model, RECORDS)


@pytest.mark.parametrize("family", ["llama", "lstm"])
def test_a_head_with_dropout_is_saved_where_the_family_has_no_word_for_it(family, tmp_path):
    model = model_of(family, head_dropout=0.3)
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert same_weights(model, again) and model.head.style.dropout == 0.3 and again.head.style.dropout == 0.0


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_transformers_opens_it_and_its_models_are_read(family, tmp_path):
    from transformers import AutoModelForTokenClassification

    model = model_of(family)
    model.save(tmp_path / "m")
    theirs = AutoModelForTokenClassification.from_pretrained(tmp_path / "m").eval()
    assert [theirs.config.id2label[i] for i in range(5)] == ["O", "B-LOC", "I-LOC", "B-PER", "I-PER"]
    pieces = model.task.pieces(model.eval(), RECORDS[:1], learn=False)
    batch = model.task.collate(pieces, np.asarray([0]), model.tokenizer, None)
    with torch.no_grad():
        expected = theirs(batch.tokens).logits[0, batch.places[0]]
        assert (model.task.emissions(model, batch)[0] - expected).abs().max() < 1e-5
    (tmp_path / "m" / "penjing.json").unlink()
    theirs.save_pretrained(tmp_path / "m")
    again = Model.load(tmp_path / "m")
    assert again.task == dataclasses.replace(model.task) and same_weights(model, again)


def test_models_of_others_name_their_scheme():
    from penjing.tasks.tag import of_others

    assert of_others(["O", "B-X", "I-X"])["scheme"] == "bio"
    assert of_others(["O", "I-X", "B-Y", "I-Y"])["scheme"] == "iob1"
    assert of_others(["O", "B-X", "E-X"])["scheme"] == "bioes" and of_others(["NN", "VB"])["scheme"] == "none"


@pytest.mark.parametrize("scheme", ["bio", "iob1", "bioes"])
def test_no_answer_breaks_its_scheme(scheme):
    model = model_of(options={"scheme": scheme}).eval()
    with torch.no_grad():
        model.head.output.weight.normal_(0, 3)
    found = model.task.answer(model, RECORDS)
    assert any(answer["entities"] for answer in found)
    for answer in found:
        assert tags_of(spans(answer["tags"]), len(answer["tags"]), scheme) == answer["tags"]
        assert scheme == "iob1" or not strays(answer["tags"])


def test_padding_changes_no_loss():
    for crf in (False, True):
        model = model_of(max_tokens=12, options={"crf": crf, "stride": 7}).eval()
        if crf:
            model.head.crf.transitions.data.normal_()
        pieces = model.task.pieces(model, RECORDS[:8], learn=True)
        assert len(pieces) > 8
        with torch.no_grad():
            each = [float(model(model.task.collate(pieces, np.asarray([r]), model.tokenizer, None))) for r in range(9)]
            batch = model.task.collate(pieces, np.arange(9), model.tokenizer, None)
            assert sum(each) == pytest.approx(float(model(batch)), rel=1e-5)
        assert batch.label_count == sum(len(pieces.places(row)) for row in range(9))


# ---- windows ----


def test_each_token_is_asked_once_where_it_stands_best():
    chance = random.Random(0)
    for trial in range(60):
        sizes = [[chance.randint(1, 4) for _ in range(chance.randint(0, 60))] for _ in range(3)]
        documents = InMemory([range(sum(parts)) for parts in sizes])
        asked = [np.cumsum([0, *parts])[:-1].astype(np.int64) for parts in sizes]
        stride = chance.choice([None, 0, 1, 3, 7, 9])
        pieces = TagPieces(documents, asked, tokenizer(), 12, stride)
        seen = [[] for _ in sizes]
        for row in range(len(pieces)):
            inner = pieces.tokens(row)[1:-1]
            assert len(pieces.tokens(row)) == pieces.lengths[row] <= 12
            seen[pieces.owner[row]] += inner[pieces.places(row) - 1].tolist()
        assert [sorted(one) for one in seen] == [one.tolist() for one in asked], trial
        far_enough(pieces, documents)


def far_enough(pieces, documents):
    """No other window has the token farther from an edge."""
    for row in range(len(pieces)):
        same = np.flatnonzero(pieces.owner == pieces.owner[row])
        length = int(documents.lengths[pieces.owner[row]])
        for place in pieces.places(row) - 1 + pieces.start[row]:
            edges = []
            for other in (row, *same):
                start, stop = int(pieces.start[other]), int(pieces.stop[other])
                left = 10**6 if start == 0 else place - start
                right = 10**6 if stop == length else stop - 1 - place
                edges.append(min(left, right) if start <= place < stop else -1)
            assert edges[0] >= max(edges) - 1  # windows of odd overlap have two middles


def test_an_entity_is_found_wherever_it_stands(tagger):
    """In a document of 20,000 tokens, once, at every offset to the windows."""
    chance = random.Random(1)
    tokens = chance.choices(("the", "tree", "saw", "in", "box", "and"), k=20_000)
    places = [0, *range(997, 19_900, 1009), 19_997]
    for place in places:
        tokens[place : place + 3] = ["Rio", "de", "Ora"]
    answer = tagger.task.answer(tagger, [{"tokens": tokens}])[0]
    found = [(e["type"], e["start"], e["end"], e["text"]) for e in answer["entities"]]
    assert found == [("LOC", place, place + 3, "Rio de Ora") for place in places]
    for shift in range(40):
        moved = tokens[:100] + ["the"] * shift + ["Bo", "Li"] + tokens[100:160]
        entities = tagger.task.answer(tagger, [{"tokens": moved}])[0]["entities"]
        assert [(e["start"], e["end"]) for e in entities if e["type"] == "PER"] == [(100 + shift, 102 + shift)]


def test_windows_in_training_ask_for_every_label():
    model = model_of(max_tokens=10, options={"crf": True, "stride": 6})
    pieces = model.task.pieces(model, RECORDS, learn=True)
    assert pieces.cut > 10 and sum(len(pieces.places(row)) for row in range(len(pieces))) == len(pieces.targets)
    teach(model, 60, 1e-2, pieces=pieces)
    assert f1(model) > 0.8


# ---- options ----


def test_every_option_has_an_effect():
    base = task()
    assert task(scheme="bioes").tags == ["O", *(f"{m}-{t}" for t in ("LOC", "PER") for m in "BIES")]
    assert task(scheme="auto") == base and Task.made(records(9, scheme="bioes")).scheme == "bioes"
    losses = {}
    for name, options in {"plain": {}, "smooth": {"smoothing": 0.2}, "dropped": {"token_dropout": 0.5}}.items():
        model = model_of(options=options)
        chance = np.random.Generator(np.random.PCG64(0))
        for kind, used in ((name, model.task), (name + " valid", model.task.validating())):
            pieces = used.pieces(model, RECORDS, learn=True)
            batch = used.collate(pieces, np.arange(8), model.tokenizer, chance)
            losses[kind] = float(used.loss(model.eval(), batch).detach())
    assert len({losses["plain"], losses["smooth"], losses["dropped"]}) == 3
    assert losses["plain"] == losses["smooth valid"] == losses["dropped valid"] == losses["plain valid"]
    with pytest.raises(OptionError, match="P-TASK-056"):
        TagPieces(InMemory([range(30)]), [np.arange(30)], tokenizer(), 12, 10)
    with pytest.raises(OptionError, match="P-TASK-055"):
        task(crf=True, smoothing=0.1)


def test_classes_of_tokens_have_no_scheme():
    given = [{"tokens": r["tokens"], "tags": ["NN" if t == "O" else "NP" for t in r["tags"]]} for r in RECORDS]
    made = Task.made(given)
    assert made.scheme == "none" and made.tags == ["NN", "NP"] and made.types == ["NN", "NP"]
    model = toy_model("tag", task=made)
    teach(model, 60, pieces=made.pieces(model, given, learn=True))
    answers = made.answer(model, given)
    found = made.scores(made.statistics(answers, given).sum(0))
    assert found["f1"] == pytest.approx(found["accuracy"]) and found["f1"] > 0.9 and answers[0]["entities"] == []
    line = "".join(text for text, _ in next(made.lines(given[0], answers[0])))
    shown = [f"[{token} {tag}]" for token, tag in zip(given[0]["tokens"], answers[0]["tags"], strict=True)]
    assert line == " ".join(shown)


# ---- records ----


def test_texts_with_entities_become_tokens_and_back(tagger):
    text = "Ann saw Bo Li in 盆景的 tree"
    given = [(0, 3, "PER"), (8, 13, "PER"), (17, 19, "LOC")]
    for form in (list(given), [{"start": s, "end": e, "label": t} for s, e, t in given]):
        record = tagger.task.normal({"text": text, "entities": form})
        assert record["tokens"] == ["Ann", "saw", "Bo", "Li", "in", "盆", "景", "的", "tree"]
        assert record["tags"] == ["B-PER", "O", "B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O", "O"]
    assert tagger.task.normal({"text": "New York-based", "entities": [(0, 8, "LOC")]})["tags"] == [
        "B-LOC",
        "I-LOC",
        "O",
    ]
    answer = tagger.task.answer(tagger, [tagger.task.normal({"text": text})])[0]
    found = {(text[e["start"] : e["end"]], e["text"], e["type"]) for e in answer["entities"]}
    assert ("Bo Li", "Bo Li", "PER") in found and ("盆景", "盆景", "LOC") in found
    assert all(0 < entity["score"] <= 1 for entity in answer["entities"])


def test_iob1_and_strays_are_read():
    old = [{"tokens": ["a", "b", "c"], "tags": ["I-X", "B-X", "I-X"]}]
    made, told = Task.made(old), []
    with listen(told.append):
        assert made.tags == ["O", "B-X", "I-X"] and made.spelled(old[0]) == ["B-X", "B-X", "I-X"]
        Task.made(old)
        assert not told
        Task.made([*old, {"tokens": ["a", "b", "c"], "tags": ["O", "B-X", "I-Y"]}])
    assert [event.kind for event in told] == ["warning"] and told[0].values["strays"] == 2


def test_lines_show_entities_in_place(tagger):
    text = "the Ann\nsaw"
    answer = {
        "tokens": [],
        "tags": [],
        "entities": [{"type": "PER", "start": 4, "end": 7, "text": "Ann", "score": 1.0}],
    }
    assert list(tagger.task.lines({"text": text}, answer)) == [
        [("the ", ""), ("[", "dim"), ("Ann", "label.1"), (" PER]", "dim")], [("saw", "")],
    ]  # fmt: skip
    spoken = {"tokens": ["去", "北", "京"]}
    entity = {"type": "LOC", "start": 1, "end": 3, "text": "北京", "score": 1.0}
    lines = list(tagger.task.lines(spoken, spoken | {"entities": [entity]}))
    assert lines == [[("去", ""), ("[", "dim"), ("北京", "label.0"), (" LOC]", "dim")]]
    assert tagger.task.truth(spoken | {"tags": ["O", "B-LOC", "I-LOC"]}) == "去[北京 LOC]"


# ---- scores ----


@pytest.mark.parametrize("strict", [False, True])
def test_scores_are_those_of_seqeval(strict):
    from seqeval.metrics import accuracy_score, f1_score, precision_score, recall_score
    from seqeval.scheme import IOB2

    how = {"mode": "strict", "scheme": IOB2} if strict else {}
    chance = random.Random(2)
    types = sorted(f"T{i}" for i in range(11))
    names = ["O", "O", *(f"{mark}-{kind}" for mark in "BI" for kind in types)]
    for trial in range(60):
        lengths = [chance.randint(0, 9) for _ in range(chance.randint(1, 8))] + [3]
        true = [chance.choices(names, k=n) if trial else ["O"] * n for n in lengths]
        given = [[tag if chance.random() < 0.6 else chance.choice(names) for tag in tags] for tags in true]
        if trial == 1:
            given = [["O"] * n for n in lengths]
        table = np.asarray([counts(a, b, types, "bio", strict) for a, b in zip(true, given, strict=True)], float)
        ours = scores(table.sum(0), types)
        for average, name in (("micro", ""), ("macro", "macro_")):
            for score, theirs in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
                expected = theirs(true, given, average=average, zero_division=0, **how)
                expected = 0.0 if np.isnan(expected) else expected  # seqeval's mean of no types
                assert float(ours[name + score]) == float(expected), (trial, name + score)
        assert float(ours["accuracy"]) == accuracy_score(true, given)
        each = f1_score(true, given, average=None, zero_division=0, **how)
        present = [k for i, k in enumerate(types) if table.sum(0)[len(types) + i] + table.sum(0)[2 * len(types) + i]]
        assert [float(ours[f"f1.{kind}"]) for kind in present] == np.asarray(each).tolist()
        both = scores(np.stack([table.sum(0), table[-1]]), types)
        assert all(np.shape(value) == (2,) and np.isclose(value[0], ours[name]) for name, value in both.items())


# ---- what is wrong ----


def test_bad_records_are_told_by_line(tagger):
    def codes(given, learn=True):
        with pytest.raises(DataError) as error:
            tagger.task.check([tagger.task.normal(record) for record in given], learn)
        assert error.value.text("en") and error.value.text("zh")
        return [(one.code, one.line) for one in (error.value, *error.value.others)]

    wrong = [
        {"tokens": ["a"], "tags": ["O", "O"]},
        {"tokens": ["a"], "tags": ["B-GOD"]},
        {"tokens": "a"},
        {"tokens": ["a"]},
    ]
    assert codes(wrong) == [("P-TASK-051", 1), ("P-TASK-053", 2), ("P-TASK-054", 3), ("P-TASK-009", 4)]
    assert codes(wrong, learn=False) == [("P-TASK-054", 3)]
    entities = [[[0, 9, "PER"]], [[0, 2, "PER"], [1, 3, "PER"]], [[0, "1", "PER"]], [{"start": 1}], 7, [[2, 2, "PER"]]]
    found = codes([{"text": "abc", "entities": one} for one in entities])
    assert [code for code, _ in found if code == "P-TASK-052"] == ["P-TASK-052"] * 6
    with pytest.raises(DataError, match="P-TASK-050"):
        Task.made([{"tokens": ["a"], "tags": ["O"]}])
    with pytest.raises(DataError, match="P-TASK-053"):
        Task.made([{"tokens": ["a"], "tags": ["NN"]}], scheme="bio")
    with pytest.raises(DataError, match="P-TASK-051"):
        Task.made([{"tokens": ["a"], "tags": []}])


def test_pieces_belong_to_one_token():
    class Spaced:
        """A vocabulary that writes spaces into its tokens."""

    cutter = tokenizer("bpe")
    given = [{"tokens": ["the", "tree", "北", "京", "box", ""]}]
    documents, first = encoded(given, cutter, last=False)
    _, last = encoded(given, cutter, last=True)
    texts = [cutter.decode(documents[0][a : b + 1]) for a, b in zip(first[0], last[0], strict=True)]
    assert texts[:5] == ["the", " tree", "北", "京", "box"]
    assert (np.diff(first[0]) > 0).all() and (last[0] >= first[0]).all()
    assert Span("x", 0, 1).type == "x"
