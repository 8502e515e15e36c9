"""The beginning of the text as its summary: so many sentences, words or characters as serve best on training records."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.files import read_json, whole_folder, write_json
from penjing.evaluate.classical import saved_task

Records = Sequence[Mapping[str, Any]]
END = re.compile(r"[。！？]+[”’」』）)]*|[.!?]+[\"”’')\]]*(?=\s|$)|\n")  # of a sentence
UNIT = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]|[^\s\u3400-\u4dbf\u4e00-\u9fff]+")  # a Chinese character, or a word
SENTENCES = (1, 2, 3, 4, 5, 6)
SHARES = (0.25, 0.5, 0.75, 0.9)  # quantiles of the lengths of targets: numbers of words that are tried
TRIED_ON = 400  # training records


class Baseline:
    """The first `number` of `unit` of a text."""

    def __init__(self, task: Any, unit: str, number: int, facts: dict[str, Any]):
        self.task, self.unit, self.number, self.facts = task, unit, number, facts

    @classmethod
    def fit(cls, task: Any, train: Records, valid: Records, seed: int = 0) -> Baseline:
        """Try numbers of sentences and of words (characters in Chinese) on training records; valid ones are not used."""
        chosen = np.random.default_rng(seed).permutation(len(train))[:TRIED_ON]
        some = [train[int(row)] for row in chosen]
        lengths = [len(UNIT.findall(record["target"])) for record in some]
        numbers = sorted({max(1, round(float(np.quantile(lengths, share)))) for share in SHARES})
        tried = [
            cls(task, unit, n, {}) for unit, sizes in (("sentences", SENTENCES), ("words", numbers)) for n in sizes
        ]
        scores = [task.score(one.answer(some), some)[task.main_score] for one in tried]
        best = tried[int(np.argmax(scores))]
        return cls(task, best.unit, best.number, {"unit": best.unit, "number": best.number, "records": len(some)})

    def answer(self, records: Records) -> list[dict[str, Any]]:
        """The beginnings, in the form of the task's answers."""
        return [{"text": beginning(one["source"], self.unit, self.number)} for one in map(self.task.normal, records)]

    def save(self, folder: Path) -> None:
        """penjing.json alone."""
        with whole_folder(folder) as part:
            about = {"kind": "lead", "task": self.task.record(), "unit": self.unit, "number": self.number}
            write_json(part / "penjing.json", about | {"facts": self.facts})

    @classmethod
    def load(cls, folder: Path) -> Baseline:
        """What `save` wrote."""
        about = read_json(folder / "penjing.json", dict)
        return cls(saved_task(about), about["unit"], about["number"], about["facts"])


def beginning(text: str, unit: str, number: int) -> str:
    """The first sentences, or words, of a text, on one line."""
    if unit == "sentences":
        ends = [0, *(found.end() for found in END.finditer(text)), len(text)]
        filled = [end for start, end in zip(ends, ends[1:], strict=False) if text[start:end].strip()]
        return " ".join(text[: filled[:number][-1] if filled else 0].split())
    ends = [found.end() for found in UNIT.finditer(text)][:number]
    return " ".join(text[: ends[-1] if ends else 0].split())
