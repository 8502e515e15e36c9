"""Which tokens of a conversation are the assistant's: those that training puts loss on, the end of the turn included.

How it is known, the surest first:
generation   the template marks what the assistant says ({% generation %} blocks), as transformers reads it
prefix       the text up to a turn is the beginning of the whole text: what stands between two such ends is the turn
stand-in     the template writes earlier turns otherwise once later ones follow; a stand-in for the turn's content shows
             where it stands. Said aloud.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Literal

from penjing.base.errors import PenjingError, TextError
from penjing.base.progress import tell
from penjing.text.chat import Chat, Messages, rendered
from penjing.text.conversation import check_messages, check_tools, with_reasoning
from penjing.text.sandbox import plain

How = Literal["generation", "prefix", "stand-in"]
Turns = Literal["all", "last"]  # which of the assistant's
Span = tuple[int, int]  # characters of the text
BLOCK = re.compile(r"\{%[-+]?\s*generation\s*[-+]?%\}")


@dataclass(frozen=True)
class Masked:
    """A conversation's tokens, and for each whether it carries loss."""

    tokens: list[int]
    carries: list[bool]
    how: How


def masked(
    chat: Chat, messages: Messages, tools: Any = None, documents: Any = None, *, turns: Turns = "all", **more: Any
) -> Masked:  # fmt: skip
    """Token ids as `chat.encode` gives them, and which carry loss. Raises P-CHAT-012 and -024 where it cannot be told.

    turns: of which of the assistant's messages; never of one whose `weight` is 0.
    """
    messages = check_messages(messages)
    text = chat.render(messages, tools, documents, **more)
    asked = (messages, tools, documents, more)
    how, spans = by_blocks(chat, text, *asked) or by_turns(chat, text, *asked)
    spans = [whole_turn(chat, text, span) for span in chosen(spans, messages, turns)]
    encoded = chat.tokenizer.inner.encode(text, add_special_tokens=False)
    return Masked(encoded.ids, list(inside(encoded.offsets, spans)), how)


def learnt(messages: Messages, turns: Turns = "all") -> list[int]:
    """The numbers of the messages that carry loss."""
    said = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
    weighty = [number for number in said if messages[number].get("weight", 1) != 0]
    return weighty if turns == "all" else [number for number in weighty if number == said[-1]]


def chosen(spans: list[Span], messages: Messages, turns: Turns) -> list[Span]:
    """The spans of the messages that carry loss, of those of all the assistant's."""
    said, kept = learnt([{**one, "weight": 1} for one in messages]), learnt(messages, turns)
    if said == kept:
        return spans
    if len(spans) != len(said):
        raise TextError("P-CHAT-024", spans=len(spans), count=len(said))
    return [span for number, span in zip(said, spans, strict=True) if number in kept]


def inside(offsets: Sequence[Span], spans: Sequence[Span]) -> Iterator[bool]:
    """For each token whether it overlaps a span; both in order."""
    waiting = iter(spans)
    span = next(waiting, None)
    for first, last in offsets:
        while span is not None and first >= span[1]:
            span = next(waiting, None)
        yield span is not None and last > span[0]


def by_blocks(
    chat: Chat, text: str, messages: list[dict[str, Any]], tools: Any, documents: Any, more: Mapping[str, Any]
) -> tuple[How, list[Span]] | None:
    """The spans of the template's generation blocks; None if it has none, or edits what stands in them."""
    source = chat.source(tools)
    if not BLOCK.search(source):
        return None
    unused = (chr(code) for code in count(0xF0000) if chr(code) not in text)
    first, last = next(unused), next(unused)
    values = {**chat.special, **more, "tools": check_tools(tools), "documents": check_tools(documents)}
    values |= {"add_generation_prompt": more.get("add_generation_prompt", False)}
    values["messages"] = [with_reasoning(message) for message in plain(messages)]
    pieces = re.split(f"([{first}{last}])", rendered(source, plain(values), (first, last)))
    if "".join(pieces[::2]) != text:
        return None
    spans, at = [], 0
    for piece, mark in zip(pieces[::2], [*pieces[1::2], ""], strict=True):
        at += len(piece)
        if mark == first:
            began = at
        elif mark == last:
            spans.append((began, at))
    return "generation", spans


def by_turns(
    chat: Chat, text: str, messages: list[dict[str, Any]], tools: Any, documents: Any, more: Mapping[str, Any]
) -> tuple[How, list[Span]]:
    """The span of each of the assistant's turns, by prefixes, else by a stand-in."""
    how: How = "prefix"
    spans = []
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        span = between_prefixes(chat, text, messages, number, (tools, documents), more)
        if span is None:
            how = "stand-in"
            span = around_stand_in(chat, text, messages, number, (tools, documents), more)
        if span is None:
            raise TextError("P-CHAT-012", number=number + 1)
        spans.append(span)
    if how == "stand-in":
        reason = "the template writes earlier turns otherwise once later ones follow; only their content carries loss"
        tell("warning", "mask", reason)
    return how, spans


def between_prefixes(
    chat: Chat, text: str, messages: list[dict[str, Any]], number: int, given: tuple[Any, Any], more: Mapping[str, Any]
) -> Span | None:
    """From the end of the text before a turn to the end of the text with it, if both begin the whole text."""
    try:
        before = chat.render(messages[:number], *given, **{**more, "add_generation_prompt": True}) if number else ""
        after = chat.render(messages[: number + 1], *given, **more)
    except PenjingError:  # a template may want another order, or a question first
        return None
    if not number or not text.startswith(before) or not text.startswith(after) or len(before) > len(after):
        return None
    return len(before), len(after)


def around_stand_in(
    chat: Chat, text: str, messages: list[dict[str, Any]], number: int, given: tuple[Any, Any], more: Mapping[str, Any]
) -> Span | None:
    """Where a turn's content stands: what is between the text before and the text after a stand-in for it."""
    message = messages[number]
    if not isinstance(message.get("content"), str) or message.get("tool_calls"):
        return None
    sign = next(f"stand{n}in" for n in count() if f"stand{n}in" not in text)
    try:
        other = chat.render([*messages[:number], {**message, "content": sign}, *messages[number + 1 :]], *given, **more)
    except PenjingError:
        return None
    first, found, last = other.partition(sign)
    fits = found and sign not in last and text.startswith(first) and text.endswith(last)
    return (len(first), len(text) - len(last)) if fits and len(first) + len(last) <= len(text) else None


def whole_turn(chat: Chat, text: str, span: Span) -> Span:
    """The span with the special token that ends the turn, and without the white space after it."""
    special, ends = pattern(chat, chat.tokenizer.special), pattern(chat, chat.ends)
    first, last = span
    ended = re.search(rf"(?:{special})(\s*)$", text[first:last])
    if ended:
        return first, last - len(ended[1])
    follows = re.match(rf"\s*(?:{ends})", text[last:])
    return first, last + (follows.end() if follows else 0)


def pattern(chat: Chat, tokens: Iterable[int]) -> str:
    """A pattern of any of some tokens' texts."""
    return "|".join(re.escape(chat.tokenizer.token(one)) for one in sorted(tokens)) or "(?!)"
