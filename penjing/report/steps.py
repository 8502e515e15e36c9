"""What the step folders of a run hold, as far as they are there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penjing.base.errors import EvaluateError
from penjing.base.files import existing, read_json

ORDER = ("clean", "tokenizer", "pretrain", "finetune", "evaluate", "fewshot")


@dataclass(frozen=True)
class Step:
    """A step folder; what is absent in it reads as empty."""

    name: str
    folder: Path

    def json(self, name: str) -> dict[str, Any]:
        """A JSON object of the folder; empty if it is absent."""
        found = read_json(self.folder / name) if (self.folder / name).exists() else {}
        if not isinstance(found, dict):
            raise EvaluateError("P-EVAL-010", file=self.folder / name, reason="not a JSON object")
        return found

    @property
    def manifest(self) -> dict[str, Any]:
        return self.json("manifest.json")

    def lines(self, name: str) -> Iterator[dict[str, Any]]:
        """The objects of a JSONL file; a last line cut off by a crash is left out, any other broken one is an error."""
        path = self.folder / name
        if not path.exists():
            return
        rows = path.read_text(encoding="utf-8").splitlines()
        for number, row in enumerate(rows, 1):
            try:
                yield json.loads(row)
            except ValueError as error:
                if number < len(rows):
                    raise EvaluateError("P-EVAL-010", file=path, line=number, reason=error) from error


def given_steps(**folders: Path | None) -> dict[str, Step]:
    """The steps that were given, in the order of a run."""
    return {name: Step(name, existing(folder)) for name in ORDER if (folder := folders.get(name)) is not None}


def languages_of(steps: Mapping[str, Step]) -> list[str]:
    """English and Chinese, where the clean step found one training text in twenty or more to be in it."""
    facts = steps["clean"].json("clean.json").get("facts", {}) if "clean" in steps else {}
    counts = facts.get("splits", {}).get("train", {}).get("languages", {})
    both, total = counts.get("mixed", 0), max(1, sum(counts.values()))
    return [name for name in ("en", "zh") if counts.get(name, 0) + both >= 0.05 * total]


def flat(value: Any, path: str = "", most: int = 80) -> list[tuple[str, Any]]:
    """Nested facts as (path, value) rows; samples and long lists are left out."""
    if isinstance(value, Mapping):
        rows = [row for key, inner in value.items() if key != "samples"
                for row in flat(inner, f"{path} › {key}" if path else str(key), most)]  # fmt: skip
        return rows[:most]
    if isinstance(value, list):
        if any(isinstance(item, (Mapping, list)) for item in value):
            return [row for i, item in enumerate(value[:10]) for row in flat(item, f"{path} {i + 1}", most)][:most]
        value = ", ".join(map(str, value[:12])) + (" …" if len(value) > 12 else "")
    return [(path.replace("_", " "), value)]


def rules_of(report: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Cleaning rules (objects with `changed` and `dropped`, wherever they stand) and all other facts."""
    rules: dict[str, dict[str, Any]] = {}
    rest: dict[str, Any] = {}
    for key, value in report.items():
        if isinstance(value, Mapping) and {"changed", "dropped"} <= set(value):
            rules[key] = dict(value)
        elif isinstance(value, Mapping):
            inner, others = rules_of(value)
            rules |= {name if len(report) == 1 or key in ("rules", "report") else f"{key} › {name}": rule
                      for name, rule in inner.items()}  # fmt: skip
            if others:
                rest[key] = others
        else:
            rest[key] = value
    return rules, rest
