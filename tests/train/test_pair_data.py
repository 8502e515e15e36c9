"""The stage pairs: every form is read, what teaches nothing is dropped and counted, splits share no text."""

import json

import pytest

from penjing.base.errors import DataError
from penjing.recipe.stages.pairs import check, pairs

PAIRS = [(f"a small tree number {i}", f"ein kleiner Baum Nummer {i}") for i in range(40)]


def jsonl(path, rows, names=("source", "target"), **more):
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps(dict(zip(names, row, strict=True)) | more, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def made(tmp_path, name="out", **options):
    out = tmp_path / name
    out.mkdir()
    assert check({"folder": tmp_path / "data", **options}, tmp_path) == []
    found = pairs(out, folder=tmp_path / "data", **options)
    return found, {path.stem: read(path) for path in out.glob("*.jsonl")}


def read(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_what_teaches_nothing_is_dropped_and_counted(tmp_path):
    odd = [
        PAIRS[0],
        ("", "leer"),
        ("a", None),
        ("A SMALL  tree number 39", "anders"),
        ("x" * 90, "y"),
        ("caf\u0065\u0301 ", " é"),
    ]
    jsonl(tmp_path / "data" / "train.jsonl", [*PAIRS[:30], *odd])
    jsonl(tmp_path / "data" / "test.jsonl", [PAIRS[39]])
    valid = tmp_path / "data" / "valid.jsonl"
    jsonl(valid, [PAIRS[38], PAIRS[39]])
    assert made(tmp_path, "first")[0]["dropped"]["valid_in_test"] == 1
    valid.unlink()
    found, splits = made(tmp_path, ratio=3.0, valid_share=0.1)
    assert found["dropped"] == {
        "empty": 2,
        "duplicates": 1,
        "in_valid_or_test": 1,
        "too_long": 0,
        "odd_lengths": 1,
        "valid_in_test": 0,
    }
    assert [len(splits[name]) for name in ("train", "valid", "test")] == [28, 3, 1]
    assert any(
        record["source"] == "caf\u00e9" and record["target"] == "é" for part in splits.values() for record in part
    )
    found, _ = made(tmp_path, "short", longest=40)
    assert found["dropped"]["too_long"] == 1


def test_two_files_directions_and_joining(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for side, language in enumerate(("en", "de")):
        (folder / f"train.{language}").write_text("\n".join(pair[side] for pair in PAIRS) + "\n", encoding="utf-8")
    jsonl(folder / "valid.jsonl", [("one", "eins")], source_lang="en", target_lang="de")
    found, splits = made(tmp_path, languages="de-en", most=10, both=True, seed=1)
    assert found["train"] == 20 and splits["valid"][0]["source"] == "eins"
    first, back = splits["train"][0], splits["train"][10]
    assert (first["source_lang"], first["target_lang"]) == ("de", "en") == (back["target_lang"], back["source_lang"])
    assert first["source"] == back["target"]
    jsonl(tmp_path / "helper" / "train.jsonl", [("one", "yi"), ("two", "er")], source_lang="en", target_lang="zh")
    found, splits = made(tmp_path, "joined", join=tmp_path / "helper")
    assert found["train"] == 41 and splits["train"][-1]["target"] == "er"
    assert found["dropped"]["joined_in_valid_or_test"] == 1


def test_what_is_split_off_shares_no_text_with_train_in_either_direction(tmp_path):
    rows = [(f"small tree {i}", f"Baum {i if i % 3 else 'X'}") for i in range(60)]
    jsonl(tmp_path / "data" / "train.jsonl", rows, source_lang="en", target_lang="de")
    found, splits = made(tmp_path, both=True, test_share=0.1, valid_share=0.1)
    texts = [{one[side] for one in splits["train"] for side in ("source", "target")},
             {one[side] for name in ("valid", "test") for one in splits[name] for side in ("source", "target")}]  # fmt: skip
    assert not texts[0] & texts[1]
    dropped = found["dropped"]["in_valid_or_test"]
    assert dropped and found["train"] // 2 + found["valid"] + found["test"] + dropped == 60


def test_summaries_and_columns_keep_their_names(tmp_path):
    jsonl(tmp_path / "data" / "valid.jsonl", [(f"long {i}", f"short {i}") for i in range(20)], ("body", "headline"))
    found, splits = made(
        tmp_path,
        train="valid.jsonl",
        columns={"document": "body", "summary": "headline"},
        test_share=0.2,
        valid_share=0.1,
    )
    assert (found["train"], found["valid"], found["test"]) == (14, 2, 4)
    assert set(splits["train"][0]) == {"document", "summary"}


@pytest.mark.parametrize("header", ["source\ttarget\n", "en\tde\tnote\n", ""])
def test_tables_with_and_without_a_header(tmp_path, header):
    (tmp_path / "data").mkdir()
    more = "\tx" if "note" in header else ""
    rows = "".join(f"a tree number {i}\tein Baum Nummer {i}{more}\n" for i in range(4))
    (tmp_path / "data" / "train.tsv").write_text(header + rows, encoding="utf-8")
    found, splits = made(tmp_path)
    assert found["train"] == 4 and splits["train"][0] == {"source": "a tree number 0", "target": "ein Baum Nummer 0"}


def test_bad_input(tmp_path):
    jsonl(tmp_path / "data" / "train.jsonl", PAIRS[:3])
    jsonl(tmp_path / "data" / "valid.jsonl", PAIRS[:3])
    assert [one.code for one in check({"folder": tmp_path / "data", "valid_share": 0.1}, tmp_path)] == ["P-DATA-025"]
    (tmp_path / "empty").mkdir()
    assert [one.code for one in check({"folder": tmp_path / "empty"}, tmp_path)] == ["P-DATA-052"]
    with pytest.raises(DataError, match="P-DATA-052"):
        pairs(tmp_path, folder=tmp_path / "empty")
    with pytest.raises(DataError, match="P-DATA-052"):
        pairs(tmp_path, folder=tmp_path / "data")  # all of train stands in valid
    (tmp_path / "data" / "valid.jsonl").unlink()
    with pytest.raises(DataError, match="P-DATA-053"):
        pairs(tmp_path, folder=tmp_path / "data", both=True)
    for rows, code in (([("a", 5)] * 20, "P-DATA-021"), ([("a", "b")], "P-DATA-054")):
        names = ("source", "target") if code == "P-DATA-021" else ("left", "right")
        jsonl(tmp_path / "data" / "train.jsonl", rows, names)
        with pytest.raises(DataError, match=code) as caught:
            pairs(tmp_path, folder=tmp_path / "data")
        assert caught.value.line == 1 and len(caught.value.others) == len(rows) - 1
