"""A conversation with a model: its messages, and what is done with them. It reads and prints nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.base.files import read_json, whole_file
from penjing.text.conversation import check_messages

if TYPE_CHECKING:
    from penjing.tasks.writer import Writer

SYSTEM = ("system", "developer")


class Talk:
    """The turns so far. `options` are those of every answer."""

    def __init__(self, writer: Writer, options: dict[str, Any]):
        self.writer, self.options = writer, options
        self.system: str | None = None
        self.most = 0  # tokens of an answer; 0: not looked up yet
        self.turns: list[dict[str, Any]] = []
        self.dropped, self.newly_dropped = 0, False  # messages that the window has no room for
        self.cut = False  # the last answer ended at its limit

    def check(self) -> int:
        """Meet mistakes in the options and the chat form before the first question; returns the most tokens of an answer."""
        asked = {name: value for name, value in self.options.items() if name != "stop"}
        return self.writer.asked(asked, chat=True).options.max_new_tokens

    @property
    def messages(self) -> list[dict[str, Any]]:
        """All messages, the system's first."""
        return ([] if self.system is None else [{"role": "system", "content": self.system}]) + self.turns

    @property
    def questions(self) -> list[int]:
        """The places of the user's messages among the turns."""
        return [place for place, one in enumerate(self.turns) if one["role"] == "user"]

    def ask(self, question: str | None) -> Iterator[str]:
        """The answer in pieces. What came of it is kept, also if the caller stops; of an error nothing, nor the question."""
        before = list(self.turns)
        if question is None:
            del self.turns[self.questions[-1] + 1 :]
        else:
            self.turns.append({"role": "user", "content": question})
        shown, kept = "", False
        try:
            for piece in self.pieces():
                shown, kept = shown + piece, True
                yield piece
            kept = True
        except Exception:  # not Ctrl-C, nor the caller's stop: of those what was said is kept
            kept = False
            raise
        finally:
            self.turns = [*self.turns, {"role": "assistant", "content": shown}] if kept else before

    def pieces(self) -> Iterator[str]:
        """The model's words, without the plain form's space at their head."""
        most = self.most = self.most or self.check()
        room = most if self.writer.window is None else min(most, self.writer.window // 2)
        messages, dropped = self.writer.fitted(self.messages, room)
        self.newly_dropped, self.dropped = dropped > self.dropped, dropped
        begun = self.writer.chat.built_in != "plain"
        written = self.writer.stream(messages, **self.options)
        for piece in written:
            piece = piece if begun else piece.lstrip()
            begun = begun or bool(piece)
            if piece:
                yield piece
        self.cut = written.reason == "length"

    def clear(self) -> None:
        self.turns, self.dropped = [], 0

    def undo(self) -> str:
        """Take back the last question and all after it; returns the question."""
        if not self.questions:
            return ""
        place = self.questions[-1]
        taken = self.turns[place]["content"]
        del self.turns[place:]
        return str(taken)

    def save(self, file: Path) -> int:
        """Write one record with the messages."""
        with whole_file(file) as out:
            out.write(json.dumps({"messages": self.messages}, ensure_ascii=False) + "\n")
        return len(self.messages)

    def load(self, file: Path) -> int:
        """Read a record with messages, or a list of them."""
        found = read_json(file)
        messages = check_messages(found.get("messages") if isinstance(found, dict) else found)
        system = [one for one in messages if one["role"] in SYSTEM]
        self.system = str(system[0]["content"]) if system else None
        self.turns = [one for one in messages if one["role"] not in SYSTEM]
        self.dropped = 0
        return len(messages)
