"""The stage `clean` on small files: what it writes, what each option does, what it refuses."""

import json

import pytest

from penjing.base.errors import PenjingError
from penjing.base.options import options_of
from penjing.base.records import write_records
from penjing.recipe.records import kind_named
from penjing.recipe.stages.clean import check, clean, inputs
from penjing.text import corpus, parallel
from penjing.text.clean import CleanOptions

TOPICS = ("parcel", "refund", "login", "invoice", "screen", "battery", "voucher", "address", "delivery", "password")
VERBS = ("lost", "late", "broken", "wrong", "missing", "slow", "expired", "blocked")


def rows(count, *, start=0):
    """Different messages, two labels."""
    made = []
    for i in range(start, start + count):
        one, other = TOPICS[i % 10], TOPICS[(i * 3 + 1) % 10]
        text = f"My {one} number {i * 7919} is {VERBS[i % 8]} since day {i} of {other} week {i * i}"
        made.append({"text": text, "label": "money" if i % 2 else "parcel", "id": i, "more": 1})
    return made


def run(tmp_path, name="out", **options):
    out = tmp_path / name
    out.mkdir()
    rules = {name: options.pop(name) for name in options_of(kind_named("texts")) if name in options}
    summary = clean(out, folder=tmp_path, records={"texts": rules}, **options)
    files = {p.stem: [json.loads(line) for line in p.read_text().splitlines()] for p in out.glob("*.jsonl")}
    assert not list(out.glob("*.part"))
    return files, json.loads((out / "clean.json").read_text()), summary


def refused(tmp_path, **options):
    with pytest.raises(PenjingError) as caught:
        run(tmp_path, **options)
    assert caught.value.text("zh")
    return caught.value


def test_splits_fields_and_report(tmp_path):
    write_records(tmp_path / "all.jsonl", rows(100))
    (tmp_path / "corpus.txt").write_text("A line to learn from.\nAnother line here.\n")
    files, report, summary = run(tmp_path, train="all.jsonl", raw="corpus.txt", test_share=0.2)
    assert {name: len(found) for name, found in files.items()} == {"train": 70, "valid": 10, "test": 20, "raw": 2}
    assert set(files["train"][0]) == {"text", "label", "id"} and set(files["raw"][0]) == {"text"}
    assert {label: n for label, n in report["facts"]["splits"]["test"]["labels"].items()} == {"money": 10, "parcel": 10}
    assert report["facts"]["files"]["train"][0]["encoding"] == "utf-8"
    assert summary["kept"] == {"train": 70, "valid": 10, "test": 20, "raw": 2}
    again, _, _ = run(tmp_path, "again", train="all.jsonl", raw="corpus.txt", test_share=0.2)
    other, _, _ = run(tmp_path, "other", train="all.jsonl", raw="corpus.txt", test_share=0.2, seed=1)
    assert again == files and other != files


def test_duplicates_across_splits_leave_train_never_test(tmp_path):
    train, test = rows(40), rows(20, start=100)
    near = test[1] | {"text": test[1]["text"] + " please"}
    write_records(tmp_path / "train.jsonl", [*train, test[0], near, train[3]])
    write_records(tmp_path / "test.jsonl", [*test, test[2]])
    write_records(
        tmp_path / "raw.jsonl", [{"text": test[4]["text"]}, {"text": train[0]["text"]}, {"text": "Something new."}]
    )
    given = {"train": "train.jsonl", "test": "test.jsonl", "raw": "raw.jsonl", "valid_share": 0.0}
    files, report, _ = run(tmp_path, **given)
    assert len(files["test"]) == 21 and len(files["train"]) == 40 and len(files["raw"]) == 2
    found = {name: one["found"] for name, one in (report["split_check"] | report["duplicates"]).items()}
    assert found["exact test train"] == 1 and found["near test train"] == 1 and found["exact test raw"] == 1
    assert found["exact train"] == 1
    assert report["split_check"]["near test train"]["samples"][0]["text"].endswith("please")
    told, report, _ = run(tmp_path, "told", **given, across_splits="report")
    near = report["split_check"]["near test train"]
    assert len(told["train"]) == 42 and (near["found"], near["dropped"]) == (1, 0)
    equal, report, _ = run(tmp_path, "equal", **given, across_splits="equal")
    assert len(equal["train"]) == 41 and report["split_check"]["exact test train"]["dropped"] == 1
    loose, _, _ = run(tmp_path, "loose", **given, near_threshold=1.0)
    assert len(loose["train"]) == 41
    kept, _, _ = run(tmp_path, "kept", **given, exact_duplicates=False)
    assert len(kept["train"]) == 41


def test_near_duplicates_within_train(tmp_path):
    twin = rows(1)[0] | {"text": rows(1)[0]["text"] + " please"}
    write_records(tmp_path / "a.jsonl", [*rows(30), twin, twin | {"label": "money", "text": twin["text"] + " now"}])
    given = {"train": "a.jsonl", "valid_share": 0.0}
    assert len(run(tmp_path, **given)[0]["train"]) == 31
    assert len(run(tmp_path, "two", **given, near_duplicates=False)[0]["train"]) == 32


def test_conflicting_labels_are_reported(tmp_path):
    write_records(tmp_path / "a.jsonl", [*rows(10), rows(1)[0] | {"label": "money"}])
    _, report, _ = run(tmp_path, train="a.jsonl", valid_share=0.0)
    assert report["duplicates"]["label_conflicts train"]["found"] == 1


def test_repeated_lines(tmp_path):
    line = "Thank you for calling our friendly team"
    write_records(tmp_path / "a.jsonl", [{"text": f"{row['text']}\nabout it\n{line}"} for row in rows(60)])
    files, report, _ = run(tmp_path, raw="a.jsonl")
    assert report["rules"]["repeated_lines"]["changed"] == 60 and not any(line in r["text"] for r in files["raw"])
    kept, _, _ = run(tmp_path, "off", raw="a.jsonl", repeated_lines=0)
    assert all(line in r["text"] for r in kept["raw"])


@pytest.mark.parametrize(
    "option, value, text, after",
    [
        ("html", False, "a <b>bold</b> word", "a bold word"),
        ("control", False, "a\u200b word", "a word"),
        ("unicode", False, "cafe\u0301 time", "café time"),
        ("whitespace", False, "a   word", "a word"),
        ("boilerplate", False, "A word.\nAdvertisement", "A word."),
        ("personal", "mask", "mail a@b.com", "mail a@b.com"),
        ("languages", ["zh"], "only English", "only English"),
        ("min_characters", 20, "short", "short"),
        ("max_characters", 20, "a text with more than that", "a text with more than that"),
    ],
)
def test_every_rule_is_an_option(tmp_path, option, value, text, after):
    chinese = "这一条消息足够长，说的是中文的事情。"
    write_records(
        tmp_path / "a.jsonl", [{"text": text}, {"text": chinese + "再多几个字。" * (option == "min_characters")}]
    )
    usual, _, _ = run(tmp_path, raw="a.jsonl")
    changed, _, _ = run(tmp_path, "changed", raw="a.jsonl", **{option: value})
    assert usual["raw"][0]["text"] == after and changed["raw"][0]["text"] != after


def test_labels(tmp_path):
    for number, value in enumerate(([1, "a"], "1;a")):
        made = [{"text": row["text"], "labels": value if i % 2 else ["b"]} for i, row in enumerate(rows(20))]
        made = [
            row | {"labels": ";".join(row["labels"])} if isinstance(value, str) and row["labels"] == ["b"] else row
            for row in made
        ]
        write_records(tmp_path / "a.jsonl", made)
        files, report, _ = run(tmp_path, f"o{number}", train="a.jsonl", label_separator=";", valid_share=0.0)
        assert files["train"][1]["labels"] == ["1", "a"]
        assert report["facts"]["splits"]["train"]["labels"] == {"1": 10, "a": 10, "b": 10}
    write_records(tmp_path / "b.jsonl", [row | {"label": i % 2 == 0} for i, row in enumerate(rows(10))])
    assert run(tmp_path, "bool", train="b.jsonl", valid_share=0.0)[0]["train"][0]["label"] == "true"


def test_columns_encoding_and_empty(tmp_path):
    lines = [
        f"第{i}号商品的质量很好，我们都很喜欢这个东西，编号{i * 7919}。,{'好' if i % 2 else '坏'}" for i in range(30)
    ]
    (tmp_path / "a.csv").write_bytes("\n".join(["评论,标签", *lines, ",好"]).encode("gb18030"))
    given = {"train": "a.csv", "columns": {"text": "评论", "label": "标签"}, "valid_share": 0.0}
    assert refused(tmp_path, **given).code == "P-DATA-018"
    files, report, _ = run(tmp_path, "two", **given, empty="drop", near_duplicates=False)
    assert len(files["train"]) == 30 and report["counts"]["empty"] == {"train": 1}
    assert report["facts"]["files"]["train"][0]["encoding"] == "gb18030"
    assert refused(tmp_path, name="three", **given, empty="drop", encoding="utf-8").code == "P-DATA-007"


@pytest.mark.parametrize(
    "made, options, wanted",
    [
        (rows(9), {"columns": {"txt": "text"}}, "P-DATA-019"),
        (rows(9), {"columns": {"label": "a", "labels": "b"}}, "P-DATA-020"),
        ([*rows(9), {"text": 3, "label": "money"}], {}, "P-DATA-021"),
        ([*rows(9), {"text": "x", "label": float("nan")}], {}, "P-DATA-022"),
        ([{"text": "x", "labels": "a"}], {}, "P-DATA-023"),
        (rows(9), {"train": None}, "P-DATA-024"),
        (rows(9), {"test": "a.jsonl", "test_share": 0.1}, "P-DATA-025"),
        (rows(9), {"test_share": 0.6, "valid_share": 0.5}, "P-DATA-026"),
        (rows(9), {"languages": ["zh"]}, "P-DATA-027"),
        ([row | {"label": "one"} for row in rows(9)], {}, "P-DATA-028"),
    ],
)
def test_refusals(tmp_path, made, options, wanted):
    write_records(tmp_path / "a.jsonl", made)
    assert refused(tmp_path, **({"train": "a.jsonl"} | options)).code == wanted


def test_unseen_labels_are_named_and_counted(tmp_path):
    write_records(tmp_path / "a.jsonl", rows(20))
    write_records(tmp_path / "t.jsonl", [row | {"label": "mony"} for row in rows(4, start=50)])
    error = refused(tmp_path, train="a.jsonl", test="t.jsonl")
    assert (error.code, error.nearest, error.values["count"]) == ("P-DATA-029", "money", 4)


def test_workers_give_the_same(tmp_path, monkeypatch):
    write_records(tmp_path / "a.jsonl", rows(300))
    monkeypatch.setattr(corpus, "MOST", 50)
    one = run(tmp_path, train="a.jsonl", workers=1)
    two = run(tmp_path, "two", train="a.jsonl", workers=2)
    assert one == two


def test_a_worker_that_dies_is_told(monkeypatch):
    monkeypatch.setattr(parallel.sys, "executable", "/bin/false")
    with pytest.raises(PenjingError) as caught:
        list(parallel.spread(parallel.Work(CleanOptions()), iter([(0, [("a",)])]), 1))
    assert caught.value.code == "P-TEXT-001"


def test_check_and_inputs(tmp_path):
    write_records(tmp_path / "a.jsonl", rows(3))
    options = {
        "folder": tmp_path,
        "records": "texts",
        "encoding": "auto",
        "train": ["*.jsonl"],
        "valid": "none.jsonl",
        "valid_share": 0.1,
        "columns": {"txt": "a"},
    }
    assert [p.code for p in check(options, tmp_path)] == ["P-DATA-025", "P-DATA-019", "P-FILE-001"]
    assert inputs(options | {"valid": None}) == [tmp_path / "a.jsonl"]


def test_labels_that_the_first_record_lacks_are_not_lost(tmp_path):
    made = rows(40)
    del made[0]["label"], made[7]["label"]
    write_records(tmp_path / "gaps.jsonl", made)
    assert refused(tmp_path, train="gaps.jsonl").code == "P-DATA-017"
    files, report, _ = run(tmp_path, "dropped", train="gaps.jsonl", empty="drop")
    assert report["counts"]["empty"] == {"train": 2}
    assert all("label" in row for row in files["train"])
    assert (
        refused(tmp_path, name="typo", train="gaps.jsonl", columns={"label": "lable"}, empty="drop").code
        == "P-DATA-017"
    )


def test_nothing_but_empty_records_is_refused(tmp_path):
    (tmp_path / "gaps.csv").write_text("text,label\n" + "some words here,\n" * 5)
    assert refused(tmp_path, train="gaps.csv", empty="drop").code == "P-DATA-027"


def test_labels_are_a_set_and_whole_numbers_stay_labels(tmp_path):
    sets = [["a", "b"], ["b", "a"], ["b", "b"], [3.0]]
    made = [row | {"labels": labels} for row, labels in zip(rows(4), sets, strict=True)]
    made[1]["text"] = made[0]["text"]
    write_records(tmp_path / "sets.jsonl", [{k: v for k, v in row.items() if k != "label"} for row in made])
    files, report, _ = run(tmp_path, train="sets.jsonl", valid_share=0)
    assert [row["labels"] for row in files["train"]] == [["a", "b"], ["b"], ["3"]]
    assert report["duplicates"]["label_conflicts train"]["found"] == 0
    assert report["facts"]["splits"]["train"]["labels"] == {"3": 1, "a": 1, "b": 2}


def test_shares_are_split_off_where_each_set_of_labels_occurs_once(tmp_path):
    sets = [[f"l{j}" for j in range(10) if i >> j & 1] for i in range(1, 301)]
    made = [{"text": row["text"], "labels": labels} for row, labels in zip(rows(300), sets, strict=True)]
    write_records(tmp_path / "sets.jsonl", made)
    files, report, _ = run(tmp_path, train="sets.jsonl", valid_share=0.1, test_share=0.2)
    assert 50 <= len(files["test"]) <= 65 and 25 <= len(files["valid"]) <= 35
    assert set(report["facts"]["splits"]["test"]["labels"]) <= set(report["facts"]["splits"]["train"]["labels"])


def test_a_separator_of_labels_needs_the_field_labels(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "".join(f'{row["text"]},"x,y"\n' for row in rows(30)))
    assert refused(tmp_path, train="a.csv", label_separator=",").code == "P-DATA-033"
    files, _, _ = run(tmp_path, "again", train="a.csv", columns={"labels": "label"}, label_separator=",")
    assert files["train"][0]["labels"] == ["x", "y"]


@pytest.mark.parametrize("options", [{"valid_share": 0.2}, {"test_share": 0.2}, {"most": 2}])
def test_raw_text_is_not_shared_out(tmp_path, options):
    (tmp_path / "corpus.txt").write_text("A line to learn from.\nAnother line here.\nA third one.\n")
    assert refused(tmp_path, raw="corpus.txt", **options).code == "P-TRAIN-007"
    given = {"records": "texts", "encoding": "auto", "folder": tmp_path, "raw": "corpus.txt", **options}
    assert [problem.code for problem in check(given, tmp_path)] == ["P-TRAIN-007"]
    assert refused(tmp_path, name="none", raw="corpus.txt", valid_share=0.0, min_characters=99).code == "P-DATA-027"
