"""Questions with contexts into train, valid and test, so that no article is in two of them.

    python recipes/squad/split.py OUT TRAIN [TEST] [--valid 0.05] [--test 0.5]

It also writes contexts.jsonl: the contexts of train as plain text, for a tokenizer and pre-training.
TRAIN and TEST are files of any known form (SQuAD's JSON, JSONL, Parquet ...). Without TEST a share of TRAIN becomes it.
Articles are told by `title`, else by their context; a context in two articles joins them.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.records import read_records, write_records
from penjing.tasks.span_records import normal


def articles(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The article of each record."""
    titles: dict[str, str] = {}
    for record in records:
        if record.get("title"):
            titles.setdefault(record["context"], record["title"])
    return [record.get("title") or titles.get(record["context"], record["context"]) for record in records]


def joined(names: Sequence[str], records: Sequence[Mapping[str, Any]]) -> list[str]:
    """The same, with articles that share a context under one name."""
    first: dict[str, str] = {}
    same = {name: name for name in names}

    def root(name: str) -> str:
        while same[name] != name:
            name = same[name]
        return name

    for name, record in zip(names, records, strict=True):
        same[root(name)] = root(first.setdefault(record["context"], name))
    return [root(name) for name in names]


def parted(records: Sequence[Mapping[str, Any]], shares: Mapping[str, float], seed: int = 0) -> dict[str, list]:
    """Records by split; each share but the rest, which is train, is filled article by article."""
    names = joined(articles(records), records)
    order = sorted(set(names))
    random.Random(seed).shuffle(order)
    wanted = {split: share * len(records) for split, share in shares.items()}
    found: dict[str, list] = {split: [] for split in (*shares, "train")}
    for article in order:
        split = next((split for split, count in wanted.items() if len(found[split]) < count), "train")
        found[split] += [record for name, record in zip(names, records, strict=True) if name == article]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("train", type=Path)
    parser.add_argument("test_file", type=Path, nargs="?")
    parser.add_argument("--valid", type=float, default=0.05)
    parser.add_argument("--test", type=float, default=0.5)
    given = parser.parse_args()
    records = [normal(record) for record in read_records(given.train, needs=("question", "context"))]
    found = parted(records, {"valid": given.valid} | ({} if given.test_file else {"test": given.test}))
    if given.test_file:
        found["test"] = [normal(record) for record in read_records(given.test_file, needs=("question", "context"))]
        seen = {record["context"] for record in found["test"]}
        for split in ("train", "valid"):
            found[split] = [record for record in found[split] if record["context"] not in seen]
    texts = dict.fromkeys(record["context"] for record in found["train"])
    write_records(given.out / "contexts.jsonl", [{"text": text} for text in texts])
    for split, rows in found.items():
        count = write_records(given.out / f"{split}.jsonl", rows)
        print(f"{split}: {count} questions on {len({row['context'] for row in rows})} contexts")


if __name__ == "__main__":
    main()
