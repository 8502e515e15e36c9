"""The errors a user can meet. Each has a code, a place, the value given, what is known, the nearest match and the fix.

    PenjingError
    ├── OptionError      an option of a stage, command, task or change
    ├── FileError        a file or folder: missing, full disk, no permission
    ├── DataError        records: readers, fields, encodings, labels
    ├── TextError        cleaning, tokenizers
    ├── ModelError       configs, families, weights, checkpoints
    ├── GenerateError    options, rules and scores of generation
    ├── TaskError        what a task needs of its records and its model
    ├── TrainError       a run that cannot go on
    ├── EvaluateError    scores, baselines, comparisons
    ├── RecipeError      recipes, step folders, manifests
    └── MachineError     a missing extra, an interrupt, the machine

Texts live in `base/messages/`, in English and Chinese; `PENJING_LANG=zh` or the locale chooses.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from penjing.base.messages import messages
from penjing.base.messages.message import Both

SHOWN = 10  # how many problems or known names one error lists in full

WORDS = {
    "en": {"given": "given", "known": "known", "near": "did you mean", "fix": "fix", "line": "line", "field": "field",
           "more": "and {n} more", "problems": "{n} problems in all", "stage": "stage"},
    "zh": {"given": "给出的值", "known": "已知的有", "near": "是不是想写", "fix": "解决办法", "line": "第", 
           "field": "字段", "more": "另有 {n} 处", "problems": "共 {n} 个问题", "stage": "阶段"},
}  # fmt: skip


def language() -> str:
    """`zh` or `en`, from PENJING_LANG or the locale."""
    wanted = os.environ.get("PENJING_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG") or "en"
    return "zh" if wanted.lower().startswith("zh") else "en"


class PenjingError(Exception):
    """A mistake or failure told in full; `str(error)` is the text in the user's language."""

    exit_code = 2

    def __init__(
        self,
        code: str,
        *,
        file: str | Path | None = None,
        line: int | None = None,
        field: str | None = None,
        stage: str | None = None,
        given: Any = None,
        known: Iterable[Any] | None = None,
        others: Sequence[PenjingError] = (),
        **values: Any,
    ):
        self.code, self.file, self.line, self.field, self.stage = code, file, line, field, stage
        self.given, self.known, self.others = given, None if known is None else [str(k) for k in known], list(others)
        self.nearest = nearest(given, self.known) if self.known else None
        self.kept: dict[str, Any] | None = None  # what a stage made all the same: its summary; its folder stays
        self.values = {**values, "given": given, "field": field, "file": str(file)}
        super().__init__(self.text("en"))

    def place(self, lang: str) -> str:
        """File, line, field and stage as far as they are known."""
        words, parts = WORDS[lang], []
        if self.stage:
            parts.append(f"{words['stage']} {self.stage}")
        if self.file is not None:
            at = "" if self.line is None else f":{self.line}"
            parts.append(f"{self.file}{at}")
        elif self.line is not None:
            parts.append(f"第 {self.line} 行" if lang == "zh" else f"line {self.line}")
        if self.field:
            parts.append(f"{words['field']} {self.field!r}")
        return ", ".join(parts)

    def text(self, lang: str | None = None) -> str:
        """The whole message: headline, place, given, known, nearest, fix, then the other problems found with it."""
        lang = lang or language()
        message, words = messages()[self.code], WORDS[lang]
        body, fix = (message.zh, message.fix_zh) if lang == "zh" else (message.en, message.fix_en)
        values = {name: getattr(one, lang) if isinstance(one, Both) else one for name, one in self.values.items()}
        lines = [": ".join(part for part in (self.code, self.place(lang), body.format(**values)) if part)]
        if self.given is not None and "{given" not in body:
            lines.append(f"  {words['given']}: {str(self.given)[:200]!r}")
        if self.nearest:
            lines.append(f"  {words['near']}: {self.nearest}")
        if self.known:
            more = "" if len(self.known) <= SHOWN * 3 else f" … ({len(self.known)})"
            lines.append(f"  {words['known']}: {', '.join(self.known[: SHOWN * 3])}{more}")
        lines.append(f"  {words['fix']}: {fix.format(**values)}")
        if self.others:
            lines.append(words["problems"].format(n=len(self.others) + 1) + ":")
            lines += self.other_lines(lang, lines[1:-1])
            if len(self.others) > SHOWN:
                lines.append("- " + words["more"].format(n=len(self.others) - SHOWN))
        return "\n".join(lines)

    def other_lines(self, lang: str, said: Sequence[str]) -> Iterator[str]:
        """The other problems; what is known and how to mend it once, where it is the same for the one before."""
        for other in self.others[:SHOWN]:
            first, *more = other.text(lang).split("\n")
            yield "\n    ".join([f"- {first}", *(line.strip() for line in more if line not in said)])
            said = more

    def __str__(self) -> str:
        return self.text()


class OptionError(PenjingError):
    """An option is unknown, missing or of the wrong kind."""


class FileError(PenjingError):
    """A file or folder is missing, full, locked or unreadable."""


class DataError(PenjingError):
    """Records are missing, broken or not what a task needs."""


class TextError(PenjingError):
    """Cleaning or a tokenizer cannot go on."""


class ModelError(PenjingError):
    """A config, a family, weights or a checkpoint do not fit."""


class GenerateError(PenjingError):
    """Generation cannot go on: its options, its rules or the scores of the network."""


class TaskError(PenjingError):
    """A task and its records or its model do not fit."""


class TrainError(PenjingError):
    """A training run cannot go on."""


class EvaluateError(PenjingError):
    """A score, baseline or comparison cannot be computed."""


class RecipeError(PenjingError):
    """A recipe, a step folder or a manifest is wrong."""


class MachineError(PenjingError):
    """A missing extra, an interrupt, or a limit of the machine."""


def nearest(name: Any, names: Iterable[str]) -> str | None:
    """The name that a typo most likely meant."""
    found = difflib.get_close_matches(str(name), list(names), n=1, cutoff=0.6)
    return found[0] if found else None


def known(name: str, names: Iterable[str], kind: str) -> str:
    """`name` if it is one of `names`, else an error with the nearest."""
    names = list(names)
    if name in names:
        return name
    raise OptionError("P-OPTION-004", given=name, known=names, kind=kind)


def raise_all(problems: Sequence[PenjingError]) -> None:
    """Raise nothing, the only problem, or the first with all others attached: collected first, told once."""
    if problems:
        first = problems[0]
        first.others = list(problems[1:])
        raise first


def needs_extra(module: str, extra: str, what: str) -> NoReturn:
    """Say which extra brings a missing module."""
    raise MachineError("P-SYSTEM-001", module=module, extra=extra, what=what)
