"""One JSON document read value by value: what is held in memory is one value and a block, never the file."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

SPACE = re.compile(r"[ \t\r\n]*")
NEAR = 16  # characters: a break this close to the end of what is held may only mean that more must be read
DECODER = json.JSONDecoder()


class BrokenJSONError(Exception):
    """The document is not JSON; the text says what and where."""


class Value(NamedTuple):
    """A value, the line it begins on, and its own text."""

    value: Any
    line: int
    text: str


class Stream:
    """The text of a document in blocks. `line` counts from 1."""

    def __init__(self, blocks: Iterable[str]):
        self.blocks, self.held, self.at, self.line = iter(blocks), "", 0, 1

    def more(self) -> bool:
        """Hold as much again as there is, so that a long value is not tried over and over."""
        wanted, parts = max(1, len(self.held) - self.at), []
        while wanted > 0 and (block := next(self.blocks, "")):
            parts.append(block)
            wanted -= len(block)
        if parts:
            self.held, self.at = self.held[self.at :] + "".join(parts), 0
        return bool(parts)

    def advance(self, to: int) -> None:
        self.line += self.held.count("\n", self.at, to)
        self.at = to

    def sign(self) -> str:
        """The next character that is no space, not taken; "" at the end."""
        while True:
            self.advance(SPACE.match(self.held, self.at).end())  # type: ignore[union-attr]
            if self.at < len(self.held):
                return self.held[self.at]
            if not self.more():
                return ""

    def take(self, signs: str) -> str:
        """The next character, which must be one of `signs`."""
        found = self.sign()
        if not found or found not in signs:
            wanted = " or ".join(signs)
            raise BrokenJSONError(f"line {self.line}: {wanted} is missing before {found or 'the end of the file'}")
        self.advance(self.at + 1)
        return found

    def value(self) -> Value:
        """The next value, whole."""
        self.sign()
        while True:
            try:
                value, end = DECODER.raw_decode(self.held, self.at)
            except RecursionError:
                raise BrokenJSONError(f"line {self.line}: nested too deep") from None
            except json.JSONDecodeError as error:
                cut = error.msg.startswith("Unterminated") or error.pos > len(self.held) - NEAR
                place = error.pos - self.at
                if not cut or not self.more():
                    line = self.line + self.held.count("\n", self.at, self.at + place)
                    raise BrokenJSONError(f"line {line}: {error.msg}") from None
                continue
            if end > len(self.held) - NEAR and self.more():  # a number may go on
                continue
            found = Value(value, self.line, self.held[self.at : end])
            self.advance(end)
            return found

    def elements(self) -> Iterator[Value]:
        """The values of a list."""
        self.take("[")
        if self.sign() == "]":
            self.take("]")
            return
        while True:
            yield self.value()
            if self.take(",]") == "]":
                return

    def within(self, name: str) -> Iterator[Value]:
        """The values of the list `name` of an object; its other fields are passed over."""
        self.take("{")
        while True:
            key = self.value().value
            self.take(":")
            if key == name and self.sign() == "[":
                yield from self.elements()
            else:
                self.value()
            if self.take(",}") == "}":
                return

    def end(self) -> None:
        """Nothing may follow."""
        if found := self.sign():
            raise BrokenJSONError(f"line {self.line}: {found} follows after the end")
