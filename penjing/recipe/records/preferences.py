"""Preferences of any known form: {messages, chosen, rejected, text} or {messages, completion, label, text}."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from penjing.base.errors import PenjingError
from penjing.base.records import Record
from penjing.text import kind
from penjing.text.dialogues import ANSWERS, QUESTIONS, TURNS, words_of
from penjing.text.parallel import View
from penjing.text.preferences import SIDES, answers_of, flaws, is_pair, read_preference


@dataclass
class Kind(kind.Kind):
    """Equal records are dropped from train; other answers to the same question stay together."""

    FIELDS: ClassVar[Sequence[str]] = (
        *SIDES,
        "label",
        *TURNS,
        *QUESTIONS,
        *ANSWERS,
        "input",
        "history",
        "system",
        "tools",
    )

    def normal(self, record: Record, split: str) -> kind.Fields:
        return read_preference(record)

    def lacking(self, record: kind.Fields, split: str) -> Iterable[PenjingError]:
        return flaws(record)

    def view(self, record: kind.Fields) -> View:
        text = "\n".join(words_of([*record["messages"], *(one for answer in answers_of(record) for one in answer)]))
        text += f"\n{record.get('label', '')}"
        asked = "\n".join(words_of(m for m in record["messages"] if m["role"] == "user"))
        return View(text, text, (asked or text,))  # where nobody asks, the whole stands on one side

    def written(self, record: kind.Fields, split: str) -> Iterable[kind.Fields]:
        best = answers_of(record)[0] if record.get("label", True) else []
        yield record | {"text": "\n".join(words_of([*record["messages"], *best]))}

    def counted(self, record: kind.Fields) -> Mapping[str, Any]:
        return {"pairs": int(is_pair(record)), "good": int(record.get("label") is True),
                "bad": int(record.get("label") is False), "longer_chosen": int(longer(record))}  # fmt: skip


def longer(record: Mapping[str, Any]) -> bool:
    """Whether the better one of two answers is the longer one."""
    sizes = [sum(map(len, words_of(answer))) for answer in answers_of(record)]
    return len(sizes) == 2 and sizes[0] > sizes[1]
