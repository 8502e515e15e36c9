"""Conversations at the door: what a message is, and every mistake in one told at once, by number and field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penjing.base.errors import TextError, raise_all

ROLES = ("system", "developer", "user", "assistant", "tool")
REASONING = (
    "reasoning_content",
    "thinking",
    "reasoning",
)  # one thing by three names; templates read the first or second
DEEP = 100  # levels of tables and lists in one message
PARTS, CALLS, CALL = '[{"type": "text", "text": str}]', "[call]", '{"function": {"name": str, "arguments": {}}}'


def check_messages(messages: Any) -> list[dict[str, Any]]:
    """The messages without fields that are null. Raises P-CHAT-001 to -004, all problems of all messages together."""
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes) or not messages:
        raise TextError("P-CHAT-001", given=brief(messages))
    raise_all([problem for number, message in enumerate(messages) for problem in problems(number, message)])
    return [{name: value for name, value in message.items() if value is not None} for message in messages]


def check_tools(tools: Any, what: str = "tools") -> list[dict[str, Any]] | None:
    """Tools as JSON schemas, or documents: a list of tables, or nothing."""
    if tools is None:
        return None
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        raise TextError("P-CHAT-014", field=what, given=brief(tools))
    bad = ((i, one) for i, one in enumerate(tools) if not isinstance(one, Mapping) or depth_over(one, DEEP))
    raise_all([TextError("P-CHAT-014", field=f"{what}[{i}]", given=brief(one)) for i, one in bad])
    return [dict(one) for one in tools]


def problems(number: int, message: Any) -> Iterator[TextError]:
    """All that is wrong with one message."""
    if not isinstance(message, Mapping):
        yield TextError("P-CHAT-002", number=number + 1, given=brief(message))
        return
    role, place = message.get("role"), f"messages[{number}]"
    if role not in ROLES:
        yield TextError("P-CHAT-003", number=number + 1, field=f"{place}.role", given=role, known=ROLES)
    if depth_over(message, DEEP):
        yield wrong(number, place, f"JSON, {DEEP}", "…")
        return
    calls, content = message.get("tool_calls"), message.get("content")
    if content is None and not (calls and role == "assistant"):
        yield wrong(number, f"{place}.content", f"str | {PARTS}", None)
    elif content is not None and not isinstance(content, str):
        yield from wrong_parts(number, f"{place}.content", content)
    if calls is not None:
        yield from wrong_calls(number, f"{place}.tool_calls", calls)
    for name in ("name", "tool_call_id", *REASONING):
        if message.get(name) is not None and not isinstance(message[name], str):
            yield wrong(number, f"{place}.{name}", "str", message[name])


def wrong(number: int, field: str, kind: str, given: Any) -> TextError:
    return TextError(
        "P-CHAT-004", number=number + 1, field=field, kind=kind, given=None if given is None else brief(given)
    )


def wrong_parts(number: int, place: str, content: Any) -> Iterator[TextError]:
    """Content as a list of parts, each with its type, text parts with their text."""
    if not isinstance(content, Sequence):
        yield wrong(number, place, f"str | {PARTS}", content)
        return
    for i, part in enumerate(content):
        named = isinstance(part, Mapping) and isinstance(part.get("type"), str)
        if not named or (part["type"] == "text" and not isinstance(part.get("text"), str)):
            yield wrong(number, f"{place}[{i}]", PARTS[1:-1], part)


def wrong_calls(number: int, place: str, calls: Any) -> Iterator[TextError]:
    """Tool calls: each names a function and gives its arguments, alone or under `function`."""
    if not isinstance(calls, Sequence) or isinstance(calls, str):
        yield wrong(number, place, CALLS, calls)
        return
    for i, call in enumerate(calls):
        inner = call.get("function", call) if isinstance(call, Mapping) else None
        named = isinstance(inner, Mapping) and isinstance(inner.get("name"), str)
        if not named or not isinstance(inner.get("arguments", {}), Mapping | str | None):
            yield wrong(number, f"{place}[{i}]", CALL, call)


def depth_over(value: Any, most: int) -> bool:
    """Is something nested deeper than `most` levels (or in itself)?"""
    if isinstance(value, Mapping | list | tuple):
        inner = value.values() if isinstance(value, Mapping) else value
        return most == 0 or any(depth_over(one, most - 1) for one in inner)
    return False


def brief(value: Any) -> str:
    """A value short enough for a message."""
    text = repr(value)
    return text if len(text) <= 80 else text[:79] + "…"


def with_reasoning(message: dict[str, Any]) -> dict[str, Any]:
    """The message with its reasoning under the names that templates read."""
    found = next((message[name] for name in REASONING if name in message), None)
    return message if found is None else {"thinking": found, **message, "reasoning_content": found}
