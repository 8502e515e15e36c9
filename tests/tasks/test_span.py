"""Questions to a context: forms of records, offsets, windows, answers as transformers finds them, planted answers."""

import dataclasses
import json
import random

import numpy as np
import pytest
import tokenizers
import torch
from span_reference import postprocessed
from toys import BAD, GOOD, REST, teach, toy_model

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.base.readers.source import Record
from penjing.base.records import read_records
from penjing.tasks import kind_of_task, made_task, task_named
from penjing.tasks.model import Model
from penjing.tasks.span import best_spans
from penjing.tasks.span_answers import Found
from penjing.tasks.span_windows import Windows, spans, tokens_of, windows_of
from penjing.text.tokenizer import Tokenizer

SPAN = kind_of_task("span")
CONTEXT = "The parcel came today and the tree was lovely."


def one(text="lovely", start=39, question="good", context=CONTEXT, **more):
    answers = [] if text is None else [{"text": text} | ({} if start is None else {"start": start})]
    return Record({"question": question, "context": context, "answers": answers, **more}, "a.jsonl", 7)


def code_of(function, *given):
    with pytest.raises(PenjingError) as caught:
        function(*given)
    assert caught.value.text("en") and caught.value.text("zh")
    return caught.value


def asked(number, size):
    """A question whose answer is one word among `size` others."""
    chance = random.Random(number)
    words = chance.choices(REST, k=size)
    word = chance.choice((GOOD, BAD)[number % 2])
    words.insert(chance.randrange(size + 1), word)
    before = words[: words.index(word)]
    start = len(" ".join(before)) + bool(before)
    return one(word, start, ("good", "bad")[number % 2], " ".join(words))


@pytest.fixture(scope="module")
def taught():
    """A model that has learnt to find such words."""
    records = [asked(number, 3 + number % 20) for number in range(64)]
    model = toy_model(task=made_task("span", records, {"stride": 16, "longest": 4}))
    teach(model, 100, 1e-2, model.task.pieces(model, records, True))
    return model.eval()


@pytest.mark.parametrize(
    "answers",
    [
        {"text": ["lovely", "tree"], "answer_start": [39, 30]},
        [{"text": "lovely", "answer_start": 39}, {"text": "tree", "answer_start": 30}],
        [{"text": "lovely", "start": 39}, {"text": "tree", "start": 30}],
    ],
)
def test_forms_of_answers(answers):
    found = SPAN.normal(Record({"question": "q", "context": CONTEXT, "answers": answers}, "f", 3))
    assert found["answers"] == [{"text": "lovely", "start": 39}, {"text": "tree", "start": 30}]
    assert (found.file, found.line) == ("f", 3)


@pytest.mark.parametrize(
    "fields, answers",
    [
        ({"answer": "lovely"}, [{"text": "lovely"}]),
        ({"answers": ["lovely", "tree"]}, [{"text": "lovely"}, {"text": "tree"}]),
        ({"answers": {"text": "lovely", "answer_start": 39}}, [{"text": "lovely", "start": 39}]),
        ({"answers": {"text": ["lovely"]}}, [{"text": "lovely"}]),
        ({"answers": {"text": [], "answer_start": []}}, []),
        ({"answer": ""}, []),
        ({"is_impossible": True}, []),
    ],
)
def test_shorter_forms(fields, answers):
    assert SPAN.normal({"question": "q", "context": CONTEXT, **fields})["answers"] == answers


def test_whether_there_may_be_no_answer_is_found():
    assert not made_task("span", [one()], {}).unanswerable
    assert made_task("span", [one(), one(None)], {}).unanswerable
    assert made_task("span", [one()], {"unanswerable": True}).unanswerable


@pytest.mark.parametrize(
    "record, code, field",
    [
        (one(question=3), "P-TASK-060", "question"),
        (one(context=["a"]), "P-TASK-060", "context"),
        (one() | {"answers": "lovely?"}, "P-TASK-061", "answers"),
        (one() | {"answers": [{"text": ""}]}, "P-TASK-061", "answers"),
        (one() | {"answers": [{"text": "lovely", "start": "39"}]}, "P-TASK-061", "answers"),
        (one() | {"answers": [{"text": "lovely", "start": -1}]}, "P-TASK-061", "answers"),
        (one(None), "P-TASK-062", "answers"),
        (one(is_impossible=True), "P-TASK-063", "is_impossible"),
        (one("lovely", 38, context=CONTEXT + " lovely"), "P-DATA-048", "answers"),
        (one("lovely", None, context=CONTEXT + " lovely"), "P-DATA-048", "answers"),
        (one("Lovely"), "P-DATA-049", "answers"),
        ({"question": "q", "context": CONTEXT}, "P-TASK-009", "answers"),
    ],
)
def test_bad_records_are_named(record, code, field):
    record = Record(record, "a.jsonl", 7)
    error = code_of(task_named("span").check, [one(), record], True)
    assert (error.code, error.field, error.file, error.line) == (code, field, "a.jsonl", 7)


def test_all_problems_are_told_at_once():
    error = code_of(task_named("span").check, [one("Lovely"), one(), one(None), one(question=3)], True)
    assert [error.code, *(other.code for other in error.others)] == ["P-DATA-049", "P-TASK-062", "P-TASK-060"]


def test_a_start_that_is_off_is_mended_and_told():
    several = one("lovely", 39) | {"answers": [{"text": "no part"}, {"text": "lovely", "start": 39}]}
    records = [one("lovely", 5), one("lovely", None), one("lovely", 39), Record(several)]
    task, events = task_named("span"), []
    task.check(records, True)
    model = toy_model(task=task)
    with listen(events.append):
        windows = task.pieces(model, records, True)
    assert (windows.targets == windows.targets[2]).all()
    told = [event for event in events if "repaired" in event.values]
    assert told[0].values["repaired"] == 1 and "a.jsonl:7" in told[0].text


def test_squad_files_and_rows_teach_the_same(tmp_path):
    question = {"id": "a", "question": "good", "answers": [{"text": "lovely", "answer_start": 39}]}
    whole = {"data": [{"title": "T", "paragraphs": [{"context": CONTEXT, "qas": [question]}]}]}
    (tmp_path / "a.json").write_text(json.dumps(whole))
    row = {"context": CONTEXT, "question": "good", "answers": {"text": ["lovely"], "answer_start": [39]}}
    (tmp_path / "b.jsonl").write_text(json.dumps(row))
    found = [[SPAN.normal(record) for record in read_records(tmp_path / name)] for name in ("a.json", "b.jsonl")]
    model = toy_model(task=made_task("span", found[0], {}))
    one, other = (model.task.pieces(model, records, True) for records in found)
    assert (one.tokens(0) == other.tokens(0)).all() and (one.targets == other.targets).all()


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "llama", "lstm"])
def test_targets_decode_to_the_answer(family):
    """Every window's target is the answer itself, or the place of no answer where the answer is not whole in it."""
    records = [asked(number, 5 + 10 * number) for number in range(12)] + [one(None)]
    model = toy_model(task=task_named("span", stride=12, unanswerable=True), family=family)
    windows = windows_of(model, records, 12, True)
    found = np.zeros(len(records), dtype=int)
    for piece in range(len(windows)):
        number, (first, last) = int(windows.owner[piece]), windows.targets[piece]
        assert len(windows.tokens(piece)) == windows.lengths[piece] <= model.window
        able = windows.able(piece, model.window)
        assert able[first] and able[last]
        if first == windows.null[piece]:
            assert last == first
            continue
        spot = windows.characters(piece, first, last)
        text = records[number]["context"][spot.start : spot.end]
        assert text.strip() == records[number]["answers"][0]["text"]
        found[number] += 1
    assert (found[:-1] >= 1).all() and found[-1] == 0 and windows.lost == 0
    last = family == "llama"
    assert (windows.null == (windows.lengths - 1 if last else 0)).all()
    tokens = windows.tokens(0)
    assert tokens[windows.null[0]] in model.tokenizer.special and not able[0] or not last


def test_answers_that_no_window_holds_are_told():
    long = " ".join(REST * 8)
    events = []
    model = toy_model(task=task_named("span", stride=4))
    with listen(events.append):
        windows = model.task.pieces(model, [one(long, 0, context=long), one(question="tree " * 90)], True)
    assert windows.lost == 1 and windows.shortened == 1
    assert any("lost" in event.values for event in events) and any("questions" in event.text for event in events)


def test_windows_overlap_as_asked():
    assert spans(0, 10, 3) == [(0, 0)] and spans(10, 10, 3) == [(0, 10)]
    assert spans(11, 10, 3) == [(0, 10), (7, 11)] and spans(24, 10, 3) == [(0, 10), (7, 17), (14, 24)]
    assert spans(12, 10, 99) == [(0, 10), (5, 12)]  # at most by half
    assert spans(3, 1, 9) == [(0, 1), (1, 2), (2, 3)]


def test_a_tokenizer_without_a_frame_gets_one():
    """Question and context are parted, and the last place is a sign of its own, where a tokenizer adds nothing."""
    words = {"[UNK]": 0, "<end>": 1, "good": 2, "tree": 3}
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    cutter = Tokenizer(plain, {"eos_token": "<end>", "unk_token": "[UNK]"})
    windows = Windows([one("tree", 0, context="tree tree")], cutter, 16, 4, typed=False, last=True, learn=True)
    assert windows.tokens(0).tolist() == [1, 2, 1, 3, 3, 1]
    assert windows.targets.tolist() == [[3, 3]] and windows.null.tolist() == [5]
    assert windows.able(0, 8).nonzero()[0].tolist() == [3, 4, 5]


def test_one_context_is_cut_into_tokens_once():
    model = toy_model(task=task_named("span"))
    found = tokens_of([CONTEXT, "tree", CONTEXT], model.tokenizer)
    assert found[0] is found[2] and len(found[1].ids)


def test_answers_are_those_of_transformers(taught, tmp_path):
    """The same folder, their network, their tokenizer's windows, and the choice of their example script."""
    transformers = pytest.importorskip("transformers")
    taught.save(tmp_path)
    network = transformers.AutoModelForQuestionAnswering.from_pretrained(tmp_path).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(tmp_path)
    again = Model.load(tmp_path)
    assert again.task == taught.task
    (tmp_path / "penjing.json").unlink()  # now a folder as they write it
    foreign = dataclasses.replace(Model.load(tmp_path).task, stride=16, longest=4)
    assert foreign == taught.task
    records = [asked(number, size) for number, size in enumerate((4, 20, 60, 150, 300))]
    for record, answer in zip(records, again.answer(records), strict=True):
        given = tokenizer(
            record["question"], record["context"], truncation="only_second", max_length=64, stride=16,
            return_overflowing_tokens=True, return_offsets_mapping=True, padding=True, return_tensors="pt",
        )  # fmt: skip
        with torch.no_grad():
            out = network(**{name: given[name] for name in ("input_ids", "token_type_ids", "attention_mask")})
        features = []
        for row in range(len(given["input_ids"])):
            owners = given.sequence_ids(row)
            offsets = [tuple(spot) if owner == 1 else None
                       for owner, spot in zip(owners, given["offset_mapping"][row].tolist(), strict=True)]  # fmt: skip
            features.append((out.start_logits[row].numpy(), out.end_logits[row].numpy(), offsets))
        assert answer["answer"] == postprocessed(features, record["context"], longest=4)


@pytest.mark.parametrize("place", [0.0, 0.21, 0.5, 0.777, 0.999, 1.0])
def test_an_answer_anywhere_in_a_long_document_is_found_once(taught, place):
    """20,000 words, one of which answers; a small network reads 64 tokens at once."""
    chance = random.Random(int(1000 * place))
    words = chance.choices(REST, k=20_000)
    at = int(place * len(words))
    words.insert(at, "lovely")
    context = " ".join(words)
    start = len(" ".join(words[:at])) + bool(at)
    events = []
    with listen(events.append):
        answer = taught.answer([{"question": "good", "context": context}])[0]
    assert (answer["answer"], answer["start"], answer["end"]) == ("lovely", start, start + 6)
    assert context[answer["start"] : answer["end"]] == "lovely"
    spots = [(one["start"], one["end"]) for one in answer["candidates"]]
    assert len(spots) == 3 and all(end <= start + 6 - 6 or begin >= start + 6 for begin, end in spots[1:])
    assert any("windows" in event.text for event in events)


def test_spans_of_the_scores():
    generator = torch.Generator().manual_seed(0)
    starts, ends = torch.randn(2, 3, 9, generator=generator)
    ends[1, 4:] = -torch.inf
    values, places = best_spans(starts, ends, 3, 50)
    for row in range(3):
        wanted = sorted(
            (float(starts[row, i] + ends[row, j]) for i in range(9) for j in range(i, min(i + 3, 9))), reverse=True
        )
        found = [value for value in values[row].tolist() if value > -np.inf]
        assert found == pytest.approx([value for value in wanted if value > -np.inf])
        for value, (first, last) in zip(found, places[row].tolist(), strict=False):
            assert float(starts[row, first] + ends[row, last]) == pytest.approx(value)


def test_what_is_told_of_spans():
    found = Found("a  big tree ")
    found.add(1, 6, 2.0)  # "  big"
    found.add(3, 6, 1.0)  # the same without its white space
    found.add(3, 10, 1.5)
    found.add(1, 3, 9.0)  # nothing but white space
    found.add(7, 10, 0.0)
    found.nothing = 1.0
    told = found.told(None, 3)
    assert (told["answer"], told["start"], told["end"]) == ("big", 3, 6)
    assert [one["answer"] for one in told["candidates"]] == ["big", "tre"]
    assert told["no_answer_probability"] == pytest.approx(1 / (1 + np.e))
    shares = np.exp([2.0, 1.5, 0.0])
    assert told["score"] == pytest.approx(shares[0] / shares.sum())
    nothing = found.told(0.2, 1)
    assert (nothing["answer"], nothing["start"], nothing["end"]) == ("", None, None)
    assert nothing["score"] == pytest.approx(np.e / (shares.sum() + np.e)) and len(nothing["candidates"]) == 1
    assert Found("").told(0.5, 3) == {
        "answer": "", "start": None, "end": None, "score": 1.0, "no_answer_probability": 1.0, "candidates": []
    }  # fmt: skip
    assert Found("").told(None, 3)["score"] == 0.0


def test_the_threshold_is_fitted_on_both_kinds_only(taught):
    records = [one(), asked(1, 4)]
    assert taught.task.settled(taught, records) is taught.task
    able = dataclasses.replace(taught.task, unanswerable=True)
    assert able.settled(taught, records) is able and able.settled(taught, []) is able
    mixed = able.settled(taught, [*records, one(None, context="the box was late")])
    assert mixed.threshold != able.threshold and 0 <= mixed.threshold <= 1


def test_lines_show_the_answer_in_its_place(monkeypatch):
    context = "x " * 60 + "the\ntree grows" + " y" * 60
    answer = {"answer": "tree", "start": 124, "end": 128, "score": 0.5, "no_answer_probability": 0.1}
    answer["candidates"] = [
        {"answer": "tree", "start": 124, "score": 0.5},
        {"answer": "y", "start": 150, "score": 0.25},
    ]
    lines = list(task_named("span").lines({"question": "What?", "context": context}, answer))
    assert lines[0] == [("What?", "strong")]
    assert lines[1] == [("   50.0 %  ", "number"), ("tree", "label.0")]
    text = "".join(text for text, _ in lines[2])
    assert ("tree", "label.0") in lines[2] and "the tree grows" in text and text.count("…") == 2 and "\n" not in text
    assert lines[3] == [("   25.0 %  ", "number"), ("y", "")] and len(lines) == 4
    none = answer | {"answer": "", "start": None, "end": None, "no_answer_probability": 0.9, "candidates": []}
    assert ("no answer", "dim") in list(task_named("span").lines({"question": "What?", "context": context}, none))[1]
    assert task_named("span").truth({"answers": [{"text": "a\nb"}, {"text": "a b"}, {"text": "c"}]}) == "a b / c"
    monkeypatch.setenv("PENJING_LANG", "zh")
    assert task_named("span").truth({"answers": []}) == "无答案"


def test_teaching_goes_on_from_a_model_that_answers_already(taught):
    record = asked(3, 12)
    again = taught.with_task(task_named("span", stride=16, longest=4), 5).eval()
    assert again.answer([record]) == taught.answer([record])
    other = toy_model("classify").with_task(task_named("span"), 5)
    assert other.head.output.weight.shape == (2, 32) and not (other.head.output.bias != 0).any()


def test_what_is_typed_is_question_and_context(taught):
    assert taught.answer([("good", "the tree was lovely")])[0]["answer"] == "lovely"
    assert code_of(taught.answer, ["good"]).code == "P-TASK-110"
