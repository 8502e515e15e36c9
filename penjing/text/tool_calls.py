"""Tool calls in what a model wrote, and whether two are the same.

Understood: <tool_call>{"name": ..., "arguments": {...}}</tool_call>, once or several times, with text before (ChatML, Hermes,
Qwen); [TOOL_CALLS] and a list (Mistral); nothing but such a table or list of them (Llama 3: `parameters`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
LISTED = "[TOOL_CALLS]"
Call = dict[str, Any]  # {"name": str, "arguments": dict}


def parsed(text: str, bare: bool = True) -> tuple[str, list[Call]]:
    """The text apart from calls, and the calls. What looks like one and cannot be read stays in the text.

    bare: nothing but JSON may be a call too.
    """
    calls: list[Call] = []

    def take(found: re.Match[str]) -> str:
        one = calls_in(found[1])
        calls.extend(one)
        return "" if one else found[0]

    rest = TAGGED.sub(take, text)
    if not calls:
        before, sign, after = text.partition(LISTED)
        calls = calls_in(after if sign else text if bare else "")
        rest = before if sign else ""
    return (rest.strip(), calls) if calls else (text, [])


def calls_in(text: str) -> list[Call]:
    """The calls of a JSON table, or of a list of them; none if it is anything else."""
    if text.lstrip()[:1] not in ("{", "["):
        return []
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return []
    calls = [call_of(one) for one in (found if isinstance(found, list) else [found])]
    return [one for one in calls if one is not None] if None not in calls else []


def call_of(given: Any) -> Call | None:
    """Name and arguments of a call in any of its forms; None if it is none."""
    inner = given.get("function", given) if isinstance(given, Mapping) else None
    if not isinstance(inner, Mapping) or not isinstance(inner.get("name"), str):
        return None
    arguments = inner.get("arguments", inner.get("parameters"))
    if isinstance(arguments, str):
        try:
            arguments = json.loads(arguments)
        except (ValueError, RecursionError):
            return None
    return {"name": inner["name"], "arguments": {} if arguments is None else arguments}


def calls_of(message: Mapping[str, Any]) -> list[Call]:
    """The calls of a message."""
    return [one for one in map(call_of, message.get("tool_calls") or ()) if one is not None]


def same_calls(one: Sequence[Call], other: Sequence[Call]) -> bool:
    """The same names with the same arguments, in any order; 1 and 1.0 are the same, 1 and true or "1" are not."""
    return sorted(map(canonical, one)) == sorted(map(canonical, other))


def canonical(call: Call) -> str:
    """A call as one text, the same for equal calls."""
    return json.dumps([call["name"], numbers(call["arguments"])], sort_keys=True, ensure_ascii=False)


def numbers(value: Any) -> Any:
    """JSON in which whole numbers are written one way."""
    if isinstance(value, Mapping):
        return {str(name): numbers(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [numbers(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def shown(call: Call) -> str:
    """A call in one line."""
    return f"{call['name']}({json.dumps(call['arguments'], ensure_ascii=False)})"
