"""The script that parts questions: no context and no article is in two splits, and no question is lost."""

import importlib.util
import json
import sys
from pathlib import Path

from penjing.base.records import read_records

FILE = Path(__file__).parents[2] / "recipes" / "squad" / "split.py"


def script():
    found = importlib.util.spec_from_file_location("split", FILE)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def rows(number, title):
    named = {} if title is None else {"title": title}
    return [
        {"id": f"{number}-{i}", "question": "q", "context": f"context {number}", "answers": [], **named}
        for i in range(3)
    ]


RECORDS = [row for number in range(40) for row in rows(number, [f"article {number // 4}", None][number % 5 == 4])]


def test_articles_stay_together():
    found = script().parted(RECORDS, {"valid": 0.2, "test": 0.3})
    assert sorted(row["id"] for split in found.values() for row in split) == sorted(row["id"] for row in RECORDS)
    for name in ("context", "title"):
        parts = [{row[name] for row in split if row.get(name)} for split in found.values()]
        assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]
    assert 24 <= len(found["valid"]) < 40 and 36 <= len(found["test"]) < 60
    assert found == script().parted(RECORDS, {"valid": 0.2, "test": 0.3})


def test_articles_that_share_a_context_are_joined():
    records = [{"context": "a", "title": "one"}, {"context": "a", "title": "two"}, {"context": "b", "title": "two"}]
    names = script().articles(records)
    assert len(set(script().joined(names, records))) == 1


def test_the_files_it_writes(tmp_path, monkeypatch, capsys):
    for name, part in (("train", RECORDS), ("test", RECORDS[:6])):
        (tmp_path / f"{name}.json").write_text(json.dumps(part))
    monkeypatch.setattr(
        sys, "argv", ["split.py", *(str(tmp_path / name) for name in ("out", "train.json", "test.json"))]
    )
    script().main()
    read = {split: list(read_records(tmp_path / "out" / f"{split}.jsonl")) for split in ("train", "valid", "test")}
    assert len(read["test"]) == 6 and len(read["train"] + read["valid"]) == 114  # contexts of test are learnt by none
    assert not {row["context"] for row in read["test"]} & {row["context"] for row in read["train"] + read["valid"]}
    texts = [record["text"] for record in read_records(tmp_path / "out" / "contexts.jsonl")]
    assert sorted(texts) == sorted({row["context"] for row in read["train"]})
    assert "questions" in capsys.readouterr().out
