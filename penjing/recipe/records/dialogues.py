"""Conversations of any known form: {messages, text}, perhaps {tools}. The same question never stands on two sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field

from penjing.base.errors import PenjingError
from penjing.base.records import Record
from penjing.text import kind
from penjing.text.dialogues import ANSWERS, QUESTIONS, TURNS, conversation, form_of, tell_forms, unlearnable, words_of
from penjing.text.parallel import View


@dataclass
class Kind(kind.Kind):
    """Equal conversations are dropped from train; those with another answer to the same question stay together."""

    system: Annotated[
        str | None, Field(description="what the system says first in conversations where it says nothing")
    ] = None

    FIELDS: ClassVar[Sequence[str]] = (*TURNS, *QUESTIONS, *ANSWERS, "input", "history", "system", "tools")

    forms: Counter[str] = field(default_factory=Counter, init=False)

    def normal(self, record: Record, split: str) -> kind.Fields:
        found = conversation(record)
        self.forms[form_of(record) or ""] += split != "joined"
        if self.system and found["messages"][0]["role"] not in ("system", "developer"):
            found["messages"] = [{"role": "system", "content": self.system}, *found["messages"]]
        return found

    def lacking(self, record: kind.Fields, split: str) -> Iterable[PenjingError]:
        return unlearnable(record["messages"])

    def view(self, record: kind.Fields) -> View:
        text = "\n".join(words_of(record["messages"]))
        asked = "\n".join(words_of(m for m in record["messages"] if m["role"] == "user"))
        return View(text, text, (asked or text,))  # where nobody asks, the whole stands on one side

    def written(self, record: kind.Fields, split: str) -> Iterable[kind.Fields]:
        yield record | {"text": "\n".join(words_of(record["messages"]))}

    def counted(self, record: kind.Fields) -> Mapping[str, Any]:
        said = [one for one in record["messages"] if one["role"] == "assistant"]
        return {
            "messages": len(record["messages"]),
            "answers": len(said),
            "calls": sum(len(one.get("tool_calls") or ()) for one in said),
            "with_tools": int("tools" in record),
        }

    def facts(self) -> dict[str, Any]:
        tell_forms(self.forms.elements(), "clean")
        return {"forms": dict(self.forms)}
