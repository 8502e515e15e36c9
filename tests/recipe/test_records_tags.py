"""Records that are tags: any form in, one form out, no sentence of valid or test in train."""

import json

import pytest

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.base.records import read_records
from penjing.recipe.call import call_stage
from penjing.recipe.stages import BUILT_IN


def run(folder, **options):
    call_stage(BUILT_IN["clean"], folder / "out", {"folder": folder, "records": "tags", **options}, folder)
    return json.loads((folder / "out" / "clean.json").read_text())


def crossing(found):
    """How many training sentences stand in valid or test, and how many nearly do."""
    told = found["split_check"].items()
    return [sum(one["found"] for name, one in told if name.startswith(kind) and "train" in name)
            for kind in ("exact", "near")]  # fmt: skip


def sentences(folder, split):
    return [(record["tokens"], record["tags"]) for record in read_records(folder / "out" / f"{split}.jsonl")]


def test_iob1_becomes_bio_and_repeats_are_dropped(tmp_path):
    (tmp_path / "train.conll").write_text("a I-X\nb B-X\n\nc O\n\nd I-X\n", "utf-8")
    (tmp_path / "valid.jsonl").write_text('{"tokens": ["c"], "tags": ["O"]}\n', "utf-8")
    (tmp_path / "test.jsonl").write_text('{"text": "去 d.", "entities": [[2, 3, "X"]]}\n', "utf-8")
    told = []
    with listen(told.append):
        found = run(tmp_path, train="train.conll", valid="valid.jsonl", test="test.jsonl")
    assert found["counts"]["kept"] == {"test": 1, "valid": 1, "train": 2} and crossing(found) == [1, 0]
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
    about = found["facts"]["splits"]["train"]
    assert (about["records"], about["tokens"], about["entities"]) == (2, 3, {"X": 3})
    found = run(tmp_path, train="train.conll", valid="valid.jsonl", across_splits="report")
    assert found["counts"]["kept"]["train"] == 3 and crossing(found) == [1, 0]


def test_strays_are_mended_and_counted(tmp_path):
    (tmp_path / "a.bio").write_text("a B-X\nb I-Y\n\nc I-X\n", "utf-8")
    told = []
    with listen(told.append):
        assert run(tmp_path, train="a.bio", valid_share=0.0)["facts"]["strays"] == {"train": 2}
    assert [event.kind for event in told if event.what == "tag"] == ["warning"]
    assert sentences(tmp_path, "train")[0][1] == ["B-X", "B-Y"]


def test_borders_inside_words_are_counted_and_told(tmp_path):
    rows = [{"text": "York-based firms", "entities": [[0, 4, "X"]]}, {"text": "in York", "entities": [[3, 7, "X"]]}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    told = []
    with listen(told.append):
        assert run(tmp_path, train="a.jsonl", valid_share=0.0)["facts"]["borders_inside_words"] == {"train": 1}
    assert [event.values["borders"] for event in told if event.kind == "warning"] == [1]


def test_the_same_sentence_is_never_on_both_sides(tmp_path):
    lines = [{"tokens": [f"w{i % 9}"], "tags": ["B-X" if i % 2 else "O"]} for i in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    found = run(tmp_path, train="a.jsonl", valid_share=0.3, test_share=0.2)
    assert sum(found["counts"]["kept"].values()) == 40 and crossing(found) == [0, 0]
    assert found["duplicates"]["exact train"]["found"] > 9
    sets = [{tuple(tokens) for tokens, _ in sentences(tmp_path, split)} for split in ("train", "valid", "test")]
    assert not sets[0] & sets[1] and not sets[0] & sets[2] and not sets[1] & sets[2]
    assert run(tmp_path, train="a.jsonl", valid_share=0.0, exact_duplicates=True)["counts"]["kept"]["train"] < 30


def test_sentences_that_are_nearly_the_same_are_counted_and_stay_unless_asked(tmp_path):
    words = [f"word{number}" for number in range(20)]
    for name, tokens in (("a", [*words, "again"]), ("b", [*words, "."]), ("c", ["quite", "different", "words"])):
        line = {"tokens": tokens, "tags": ["O"] * len(tokens)}
        (tmp_path / f"{name}.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    given = {"train": ["a.jsonl", "c.jsonl"], "test": "b.jsonl", "valid_share": 0.0}
    found = run(tmp_path, **given)
    assert crossing(found) == [0, 1] and found["counts"]["kept"]["train"] == 2
    assert run(tmp_path, **given, across_splits="drop")["counts"]["kept"]["train"] == 1


def test_sentences_without_tags_are_errors_or_dropped(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"tokens": ["a"], "tags": ["B-X"]}\n{"text": "b c"}\n', "utf-8")
    with pytest.raises(PenjingError, match="P-TASK-009") as caught:
        run(tmp_path, train="a.jsonl", valid_share=0.0)
    assert caught.value.line == 2
    found = run(tmp_path, train="a.jsonl", valid_share=0.0, empty="drop")
    assert found["counts"]["empty"] == {"train": 1} and found["counts"]["kept"] == {"train": 1}


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
    assert code(train="b.jsonl", columns={"label": "x"}, raw="b.jsonl") == ["P-DATA-019", "P-TRAIN-007"]
    assert code(train="b.jsonl", records={"tags": {"system": "x"}}) == ["P-OPTION-001"]
