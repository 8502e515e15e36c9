"""Records that are pairs: every form is read, what teaches nothing is dropped and counted, splits share no text."""

import json

import pytest

from penjing.base.errors import DataError, PenjingError
from penjing.base.options import options_of
from penjing.recipe.call import call_stage
from penjing.recipe.records import kind_named
from penjing.recipe.stages import BUILT_IN
from penjing.recipe.stages.clean import inputs

PAIRS = [(f"a small tree number {i}", f"ein kleiner Baum Nummer {i}") for i in range(40)]


def jsonl(path, rows, names=("source", "target"), **more):
    path.parent.mkdir(exist_ok=True)
    lines = [json.dumps(dict(zip(names, row, strict=True)) | more, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def clean(tmp_path, name="out", **options):
    """Run the stage; options of pairs go into the choice. Only equal questions are near ones here."""
    own = {option: options.pop(option) for option in options_of(kind_named("pairs")) if option in options}
    options = {"folder": tmp_path / "data", "records": {"pairs": own}, "near_threshold": 1.0} | options
    return call_stage(BUILT_IN["clean"], tmp_path / name, options, tmp_path)["result"]


def made(tmp_path, name="out", **options):
    found = clean(tmp_path, name, **options)
    return found, {path.stem: read(path) for path in (tmp_path / name).glob("*.jsonl")}


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
    assert made(tmp_path, "first")[0]["duplicates"]["exact test valid"] == 1
    valid.unlink()
    found, splits = made(tmp_path, ratio=3.0, valid_share=0.1)
    assert found["dropped"] == {"ratio": 1, "exact train": 1, "exact test train": 1} and found["empty"] == {"train": 2}
    assert [len(splits[name]) for name in ("train", "valid", "test")] == [28, 3, 1]
    assert any(
        record["source"] == "caf\u00e9" and record["target"] == "é" for part in splits.values() for record in part
    )
    found, _ = made(tmp_path, "short", longest=40)
    assert found["dropped"]["longest"] == 1
    with pytest.raises(DataError, match="P-TASK-070") as caught:
        made(tmp_path, "strict", empty="error")
    assert [(one.line, one.field) for one in (caught.value, *caught.value.others)] == [(32, "source"), (33, "target")]


def test_two_files_directions_and_joining(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    for side, language in enumerate(("en", "de")):
        (folder / f"train.{language}").write_text("\n".join(pair[side] for pair in PAIRS) + "\n", encoding="utf-8")
    jsonl(folder / "valid.jsonl", [("one", "eins")], source_lang="en", target_lang="de")
    found, splits = made(tmp_path, languages="de-en", most=10, both=True, seed=1)
    assert found["kept"]["train"] == 20 and splits["valid"][0]["source"] == "eins"
    first, back = splits["train"][:2]
    assert (first["source_lang"], first["target_lang"]) == ("de", "en") == (back["target_lang"], back["source_lang"])
    assert first["source"] == back["target"]
    jsonl(tmp_path / "helper" / "train.jsonl", [("one", "yi"), ("two", "er")], source_lang="en", target_lang="zh")
    found, splits = made(tmp_path, "joined", join=tmp_path / "helper", most=30)
    assert found["kept"]["train"] == 31 and splits["train"][-1]["target"] == "er"
    assert found["duplicates"]["exact valid joined"] == 1


def test_what_is_split_off_shares_no_text_with_train_in_either_direction(tmp_path):
    rows = [(f"small tree {i}", f"Baum {i if i % 3 else 'X'}") for i in range(60)]
    jsonl(tmp_path / "data" / "train.jsonl", rows, source_lang="en", target_lang="de")
    found, splits = made(tmp_path, both=True, test_share=0.1, valid_share=0.1)
    texts = [{one[side] for one in splits["train"] for side in ("source", "target")},
             {one[side] for name in ("valid", "test") for one in splits[name] for side in ("source", "target")}]  # fmt: skip
    assert not texts[0] & texts[1]
    dropped = found["read"]["train"] - sum(found["kept"].values()) + found["kept"]["train"] // 2
    told = {name: count for name, count in found["duplicates"].items() if name.startswith("exact")}
    assert dropped and dropped <= sum(told.values()) and set(told) <= {f"exact {two}" for two in (
        "test valid", "test train", "valid train")}  # fmt: skip


def test_summaries_and_columns_keep_their_names(tmp_path):
    jsonl(tmp_path / "data" / "valid.jsonl", [(f"long {i}", f"short {i}") for i in range(20)], ("body", "headline"))
    found, splits = made(
        tmp_path,
        train="valid.jsonl",
        columns={"document": "body", "summary": "headline"},
        test_share=0.2,
        valid_share=0.1,
    )
    assert found["kept"] == {"test": 4, "valid": 2, "train": 14}
    assert set(splits["train"][0]) == {"document", "summary"}


@pytest.mark.parametrize("header", ["source\ttarget\n", "en\tde\tnote\n", ""])
def test_tables_with_and_without_a_header(tmp_path, header):
    (tmp_path / "data").mkdir()
    more = "\tx" if "note" in header else ""
    rows = "".join(f"a tree number {i}\tein Baum Nummer {i}{more}\n" for i in range(4))
    (tmp_path / "data" / "train.tsv").write_text(header + rows, encoding="utf-8")
    found, splits = made(tmp_path, valid_share=0.0)
    assert found["kept"] == {"train": 4}
    assert splits["train"][0] == {"source": "a tree number 0", "target": "ein Baum Nummer 0"}


def test_the_middle_of_each_pair_of_languages_says_what_is_odd(tmp_path):
    lines = [
        {"source": f"{'words ' * 5}{i}", "target": f"{'字' * (8 if i else 70)}{i}", "target_lang": "zh"}
        for i in range(9)
    ]
    lines += [
        {"source": f"{'words ' * 5}{i}", "target": f"{'Wörter ' * 20}{i}", "target_lang": "de"} for i in range(20, 29)
    ]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text("\n".join(map(json.dumps, lines)), "utf-8")
    found, splits = made(tmp_path, ratio=2.0, valid_share=0.0)
    assert found["dropped"] == {"ratio": 1} and [one["source"][-1] for one in splits["train"][:2]] == ["1", "2"]


def test_bad_input(tmp_path):
    def codes(name="out", **options):
        with pytest.raises(PenjingError) as caught:
            clean(tmp_path, name, **options)
        return [(one.code, one.line) for one in (caught.value, *caught.value.others)]

    jsonl(tmp_path / "data" / "train.jsonl", PAIRS[:3])
    jsonl(tmp_path / "data" / "valid.jsonl", PAIRS[:3])
    assert codes(valid_share=0.1) == [("P-DATA-025", None)]
    (tmp_path / "empty").mkdir()
    assert codes(folder=tmp_path / "empty") == [("P-DATA-024", None)]
    assert codes() == [("P-DATA-027", None)]  # all of train stands in valid
    assert codes(languages="german") == [("P-OPTION-002", None)]
    (tmp_path / "data" / "valid.jsonl").unlink()
    assert codes(both=True) == [("P-DATA-053", number) for number in (1, 2, 3)]
    for rows, code in (([("a", 5)] * 20, "P-DATA-021"), ([("a", "b")], "P-DATA-054")):
        names = ("source", "target") if code == "P-DATA-021" else ("left", "right")
        jsonl(tmp_path / "data" / "train.jsonl", rows, names)
        found = codes()
        assert found[0] == (code, 1) and len(found) == len(rows)


def test_only_the_files_that_are_read_decide_whether_the_step_runs_again(tmp_path):
    jsonl(tmp_path / "data" / "train.jsonl", PAIRS)
    options = {"records": {"pairs": {}}, "folder": tmp_path / "data", "encoding": "auto", "valid_share": 0.0}
    assert inputs(options) == [tmp_path / "data" / "train.jsonl"]
    first = call_stage(BUILT_IN["clean"], tmp_path / "out", options, tmp_path)
    (tmp_path / "data" / "notes.jsonl").write_text("not read", "utf-8")
    assert call_stage(BUILT_IN["clean"], tmp_path / "out", options, tmp_path) == first
    jsonl(tmp_path / "data" / "train.jsonl", PAIRS[:20])
    again = call_stage(BUILT_IN["clean"], tmp_path / "out", options, tmp_path)
    assert again["result"]["kept"] == {"train": 20}
    jsonl(tmp_path / "data" / "test.jsonl", PAIRS[30:])
    last = call_stage(BUILT_IN["clean"], tmp_path / "out", options | {"join": tmp_path / "data"}, tmp_path)
    assert last["result"]["kept"]["test"] == 10 and len(last["inputs"]) == 2
