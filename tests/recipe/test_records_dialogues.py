"""Records that are dialogues: any known form in, one form out; the same question never on two sides of a split."""

import json

import pytest

from penjing.base.errors import PenjingError
from penjing.base.records import read_records
from penjing.recipe.call import call_stage
from penjing.recipe.stages import BUILT_IN

WORDS = ["tree", "box", "parcel", "letter", "garden", "river", "stone", "moss"]


def talk(number):
    one, two, three = (WORDS[n % 8] for n in (number, number // 8, number * 3 + 1))
    asked = f"what is the {one} of the {two} in the {three} number {number} ?"
    return {"question": asked, "answer": f"answer {number}"}


def put(path, records):
    path.write_text("".join(json.dumps(one, ensure_ascii=False) + "\n" for one in records), "utf-8")


def run(tmp_path, name="out", **options):
    said = {"system": options.pop("system")} if "system" in options else None
    options = {"folder": ".", "records": {"dialogues": said}, **options}
    return call_stage(BUILT_IN["clean"], tmp_path / name, options, tmp_path)["result"]


def test_splits_hold_no_question_twice(tmp_path):
    again = [{"instruction": talk(n)["question"].upper(), "output": f"another answer {n}"} for n in range(40)]
    put(tmp_path / "all.jsonl", [*map(talk, range(60)), *again, talk(3)])
    made = run(tmp_path, train="all.jsonl", valid_share=0.2, test_share=0.2, near_threshold=1.0)
    parts = {split: list(read_records(tmp_path / "out" / f"{split}.jsonl")) for split in ("train", "valid", "test")}
    asked = {split: {one["messages"][0]["content"].lower() for one in found} for split, found in parts.items()}
    assert not asked["train"] & asked["valid"] | asked["train"] & asked["test"] | asked["valid"] & asked["test"]
    assert made["kept"] == {split: len(found) for split, found in parts.items()} and sum(made["kept"].values()) == 100
    assert (
        made["duplicates"] == {"exact train": 1, "near train": 40}
        and made["dropped"] == {"exact train": 1}
        and made["forms"] == {"pair": 61, "alpaca": 40}
    )
    one = parts["train"][0]
    assert (
        set(one) == {"messages", "text"}
        and one["text"] == f"{one['messages'][0]['content']}\n{one['messages'][1]['content']}"
    )
    report = json.loads((tmp_path / "out" / "clean.json").read_text())
    facts = report["facts"]["splits"]["train"]
    assert facts["answers"] == facts["records"] == len(parts["train"]) and facts["languages"]["en"]


def test_files_of_splits_and_columns(tmp_path):
    put(tmp_path / "a.jsonl", [{"text": talk(n)["question"], "label": f"kind {n % 3}"} for n in range(9)])
    put(
        tmp_path / "b.jsonl",
        [{"text": "quite another thing", "label": "kind 1"}, {"text": talk(0)["question"], "label": "kind 0"}],
    )
    made = run(tmp_path, train="a.jsonl", test="b.jsonl", columns={"question": "text", "answer": "label"}, valid_share=0.0,
               near_threshold=1.0, system="Say which kind.")  # fmt: skip
    assert made["kept"] == {"test": 2, "train": 8} and made["duplicates"] == {"exact test train": 1}
    first = next(iter(read_records(tmp_path / "out" / "train.jsonl")))["messages"]
    assert [one["role"] for one in first] == ["system", "user", "assistant"] and first[0][
        "content"
    ] == "Say which kind."


def test_empty_answers_are_errors_or_dropped_and_counted(tmp_path):
    put(tmp_path / "a.jsonl", [talk(1), {"question": "x", "answer": ""}, {"question": "y"}, talk(2)])
    with pytest.raises(PenjingError) as caught:
        run(tmp_path, train="a.jsonl", valid_share=0.0)
    assert [(one.code, one.line) for one in (caught.value, *caught.value.others)] == [
        ("P-CHAT-028", 2),
        ("P-CHAT-027", 3),
    ]
    made = run(tmp_path, "dropped", train="a.jsonl", valid_share=0.0, empty="drop")
    assert made["empty"] == {"train": 2} and made["kept"] == {"train": 2}
    put(tmp_path / "none.jsonl", [{"question": "y"}])
    with pytest.raises(PenjingError, match="P-DATA-027"):
        run(tmp_path, "none", train="none.jsonl", empty="drop")


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "P-DATA-024"),
        ({"train": "a.jsonl", "valid": "a.jsonl", "valid_share": 0.1}, "P-DATA-025"),
        ({"train": "a.jsonl", "valid_share": 0.5, "test_share": 0.5}, "P-DATA-026"),
        ({"train": "a.jsonl", "columns": {"label": "x"}}, "P-DATA-019"),
        ({"train": "nowhere.jsonl"}, "P-FILE-001"),
        ({"train": "a.jsonl", "test": "a.jsonl", "valid_share": 0.0}, "P-DATA-027"),
    ],
)
def test_what_is_told_before_anything_is_read(tmp_path, options, code):
    put(tmp_path / "a.jsonl", [talk(1), talk(2)])
    with pytest.raises(PenjingError, match=code):
        run(tmp_path, **options)


def test_where_nobody_asks_the_whole_is_compared(tmp_path):
    """Else all such conversations would be one question, and those of train all known from test."""
    said = [[{"role": "assistant", "content": text}] for text in ("Good morning", "The parcel left", "Bye then")]
    put(tmp_path / "train.jsonl", [{"messages": one} for one in said])
    put(tmp_path / "test.jsonl", [{"messages": one} for one in said[:1]])
    assert run(tmp_path, valid_share=0.0)["kept"] == {"test": 1, "train": 2}
