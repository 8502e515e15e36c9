"""A translation memory: the answer is the target of the training record whose source is nearest by BM25."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.files import read_json, whole_file, whole_folder, write_json
from penjing.evaluate.classical import saved_task
from penjing.text.bm25 import BM25

Records = Sequence[Mapping[str, Any]]


class Baseline:
    """Sources by their words, and their targets; each language that is written has its own."""

    def __init__(self, task: Any, parts: dict[str, tuple[BM25, list[str]]], facts: dict[str, Any]):
        self.task, self.parts, self.facts = task, parts, facts

    @classmethod
    def fit(cls, task: Any, train: Records, valid: Records, seed: int = 0) -> Baseline:
        """Index the training records; nothing is fitted on valid ones."""
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for record in train:
            groups.setdefault(language(record), []).append(record)
        parts = {name: (BM25.fit([one["source"] for one in records]), [one["target"] for one in records])
                 for name, records in groups.items()}  # fmt: skip
        return cls(task, parts, {"records": len(train)})

    def answer(self, records: Records) -> list[dict[str, Any]]:
        """The remembered targets, in the form of the task's answers."""
        found = []
        for record in map(self.task.normal, records):
            index, targets = self.parts.get(language(record)) or next(iter(self.parts.values()))
            found.append({"text": targets[int(index.best([record["source"]], 1)[0][0, 0])]})
        return found

    def save(self, folder: Path) -> None:
        """penjing.json, and for each language an index and its targets."""
        with whole_folder(folder) as part:
            about = {"kind": "translation_memory", "task": self.task.record(), "facts": self.facts}
            write_json(part / "penjing.json", about | {"languages": list(self.parts)})
            for number, (index, targets) in enumerate(self.parts.values()):
                index.save(part / f"{number}.npz")
                with whole_file(part / f"{number}.json") as file:
                    json.dump(targets, file, ensure_ascii=False)

    @classmethod
    def load(cls, folder: Path) -> Baseline:
        """What `save` wrote."""
        about = read_json(folder / "penjing.json", dict)
        parts = {name: (BM25.load(folder / f"{number}.npz"), read_json(folder / f"{number}.json", list))
                 for number, name in enumerate(about["languages"])}  # fmt: skip
        return cls(saved_task(about), parts, about["facts"])


def language(record: Mapping[str, Any]) -> str:
    """The language that is to be written."""
    return str(record.get("target_lang") or "")
