"""Records that are preferences: any known form in, one form out; what teaches nothing is an error, or dropped and counted."""

import json

import pytest
from test_records_dialogues import put, talk

from penjing.base.errors import PenjingError
from penjing.base.records import read_records
from penjing.recipe.call import call_stage
from penjing.recipe.stages import BUILT_IN


def run(tmp_path, name="out", **options):
    options = {"folder": ".", "train": "all.jsonl", "records": "preferences", "near_threshold": 1.0, **options}
    return call_stage(BUILT_IN["clean"], tmp_path / name, options, tmp_path)["result"]


def pair(number, chosen="the better answer", rejected="no"):
    return {"prompt": talk(number)["question"], "chosen": chosen, "rejected": rejected}


def test_one_form_is_written_and_no_question_stands_on_two_sides(tmp_path):
    other = [{"instruction": pair(n)["prompt"], "chosen": "yes", "rejected": "never at all"} for n in range(20)]
    put(tmp_path / "all.jsonl", [*map(pair, range(40)), *other, pair(3)])
    made = run(tmp_path, valid_share=0.2)
    parts = {split: list(read_records(tmp_path / "out" / f"{split}.jsonl")) for split in ("train", "valid")}
    asked = {split: {one["messages"][0]["content"] for one in found} for split, found in parts.items()}
    assert not asked["train"] & asked["valid"] and sum(map(len, parts.values())) == 60
    assert made["dropped"] == {"exact train": 1}
    one = parts["train"][0]
    assert set(one) == {"messages", "chosen", "rejected", "text"}
    assert one["text"] == f"{one['messages'][0]['content']}\n{one['chosen'][0]['content']}"
    facts = json.loads((tmp_path / "out" / "clean.json").read_text())["facts"]["splits"]
    assert (
        sum(one["pairs"] for one in facts.values()) == 60 and sum(one["longer_chosen"] for one in facts.values()) == 40
    )


def test_what_teaches_nothing_is_an_error_or_goes(tmp_path):
    put(tmp_path / "all.jsonl", [pair(1), pair(2, "no"), pair(3, " "), pair(4)])
    with pytest.raises(PenjingError) as caught:
        run(tmp_path, valid_share=0.0)
    errors = [caught.value, *caught.value.others]
    assert {(one.code, one.line) for one in errors} == {("P-TASK-131", 2), ("P-TASK-134", 3)}
    made = run(tmp_path, "kept", valid_share=0.0, empty="drop")
    assert made["kept"]["train"] == 2


def test_judged_answers_give_the_good_ones_as_text(tmp_path):
    put(
        tmp_path / "all.jsonl",
        [{"prompt": talk(n)["question"], "completion": f"so {n}", "label": n % 2 == 0} for n in range(8)],
    )
    run(tmp_path, valid_share=0.0)
    found = list(read_records(tmp_path / "out" / "train.jsonl"))
    assert [one["text"].endswith(f"so {n}") for n, one in enumerate(found)] == [True, False] * 4
    facts = json.loads((tmp_path / "out" / "clean.json").read_text())["facts"]["splits"]["train"]
    assert (facts["good"], facts["bad"], facts["pairs"]) == (4, 4, 0)
