"""The stage `tagged`: any form in, one form out, no sentence of valid or test in train."""

import json

import pytest

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.base.records import read_records
from penjing.recipe.call import call_stage
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN


def run(folder, **options):
    call_stage(Stage.of("tagged", BUILT_IN["tagged"]), folder / "out", {"folder": folder, **options}, folder)
    return json.loads((folder / "out" / "tagged.json").read_text())


def sentences(folder, split):
    return [(record["tokens"], record["tags"]) for record in read_records(folder / "out" / f"{split}.jsonl")]


def test_iob1_becomes_bio_and_repeats_are_dropped(tmp_path):
    (tmp_path / "train.conll").write_text("a I-X\nb B-X\n\nc O\n\nd I-X\n", "utf-8")
    (tmp_path / "valid.jsonl").write_text('{"tokens": ["c"], "tags": ["O"]}\n', "utf-8")
    (tmp_path / "test.jsonl").write_text('{"text": "去 d.", "entities": [[2, 3, "X"]]}\n', "utf-8")
    told = []
    with listen(told.append):
        found = run(tmp_path, train="train.conll", valid="valid.jsonl", test="test.jsonl")
    assert found["kept"] == {"train": 2, "valid": 1, "test": 1} and found["train_in_valid_or_test"] == 1
    assert sentences(tmp_path, "train") == [(["a", "b"], ["B-X", "B-X"]), (["d"], ["B-X"])]
    assert not [event for event in told if event.kind == "warning"]
    test = next(iter(read_records(tmp_path / "out" / "test.jsonl")))
    assert test == {
        "text": "去 d.",
        "tokens": ["去", "d", "."],
        "tags": ["O", "B-X", "O"],
        "offsets": [[0, 1], [2, 3], [3, 4]],
    }
    assert next(iter(read_records(tmp_path / "out" / "train.jsonl")))["text"] == "a b"
    about = json.loads((tmp_path / "out" / "tagged.json").read_text())
    assert about["splits"]["train"] == {"sentences": 2, "tokens": 3, "entities": {"X": 3}}
    assert run(tmp_path, train="train.conll", valid="valid.jsonl", across_splits="report")["kept"]["train"] == 3


def test_strays_are_mended_and_counted(tmp_path):
    (tmp_path / "a.bio").write_text("a B-X\nb I-Y\n\nc I-X\n", "utf-8")
    told = []
    with listen(told.append):
        assert run(tmp_path, train="a.bio", valid_share=0.0)["strays"] == {"train": 2}
    assert [event.kind for event in told if event.what == "tag"] == ["warning"]
    assert sentences(tmp_path, "train")[0][1] == ["B-X", "B-Y"]


def test_borders_inside_words_are_counted_and_told(tmp_path):
    rows = [{"text": "York-based firms", "entities": [[0, 4, "X"]]}, {"text": "in York", "entities": [[3, 7, "X"]]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    told = []
    with listen(told.append):
        assert run(tmp_path, train="a.jsonl", valid_share=0.0)["borders_inside_words"] == {"train": 1}
    assert [event.values["borders"] for event in told if event.kind == "warning"] == [1]


def test_the_same_sentence_is_never_on_both_sides(tmp_path):
    lines = [{"tokens": [f"w{i % 9}"], "tags": ["B-X" if i % 2 else "O"]} for i in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    found = run(tmp_path, train="a.jsonl", valid_share=0.3, test_share=0.2)
    assert sum(found["kept"].values()) == 40 and found["train_in_valid_or_test"] == 0
    sets = [{tuple(tokens) for tokens, _ in sentences(tmp_path, split)} for split in ("train", "valid", "test")]
    assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]


def test_parts_of_speech_stay_as_they_are(tmp_path):
    (tmp_path / "a.conll").write_text("the DT x\ntree NN y\n", "utf-8")
    run(tmp_path, train="a.conll", valid_share=0.0, columns={"tags": "2"})
    assert sentences(tmp_path, "train") == [(["the", "tree"], ["DT", "NN"])]


def test_what_cannot_be_is_told(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"tokens": ["a", "b"], "tags": ["O"]}\n{"tokens": [1], "tags": []}\n', "utf-8")
    (tmp_path / "b.jsonl").write_text('{"tokens": ["a"], "tags": ["B-X"]}\n', "utf-8")

    def code(**options):
        with pytest.raises(PenjingError) as caught:
            run(tmp_path, **options)
        return [caught.value.code, *(other.code for other in caught.value.others)]

    assert code(train="a.jsonl") == ["P-TASK-051", "P-TASK-054"]
    assert code() == ["P-DATA-024"] and code(train="no.jsonl") == ["P-FILE-001"]
    assert code(train="b.jsonl", valid="b.jsonl", valid_share=0.1) == ["P-DATA-025"]
    assert code(train="b.jsonl", valid_share=0.5, test_share=0.5) == ["P-DATA-026"]
    assert code(train="b.jsonl", valid="b.jsonl") == ["P-DATA-027"]
