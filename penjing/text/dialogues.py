"""Conversations in the forms that the field writes them, each made one: {"messages": [...], "tools": [...]}.

messages   OpenAI's: role and content, tool_calls (or function_call), tools; `weight: 0` keeps a turn from being learnt
sharegpt   conversations: from and value; human, gpt, function_call, observation and their other names; tools as JSON text
alpaca     instruction, input, output; also history (pairs) and system
pair       prompt and completion (texts, or lists of messages), question and answer, query and response

Which form a record has, its fields tell. The roles' other names are understood in messages too.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from penjing.base.errors import PenjingError, TextError, nearest, raise_all
from penjing.base.progress import tell
from penjing.text.conversation import ROLES, brief, check_messages
from penjing.text.loss_mask import Turns, learnt
from penjing.text.tool_calls import calls_of

CALL = "function_call"
NAMES = {  # what others call the roles
    "human": "user", "gpt": "assistant", "chatgpt": "assistant", "bot": "assistant", "model": "assistant",
    "tool_call": CALL, "observation": "tool", "function": "tool", "function_response": "tool", "ipython": "tool",
} | {role: role for role in (*ROLES, CALL)}  # fmt: skip
TURNS = ("messages", "conversations", "conversation")
QUESTIONS = ("instruction", "prompt", "question", "query")
ANSWERS = ("output", "completion", "response", "answer")
KNOWN = ("messages", "conversations", "instruction/output", "prompt/completion", "question/answer")


def form_of(record: Mapping[str, Any]) -> str | None:
    """messages, sharegpt, alpaca, pair; None for no conversation."""
    found = next((name for name in (*TURNS, *QUESTIONS) if name in record), None)
    if found in QUESTIONS:
        return "alpaca" if found == "instruction" else "pair"
    return found if found in (None, "messages") else "sharegpt"


def conversation(record: Mapping[str, Any]) -> dict[str, Any]:
    """`messages` and, where there are some, `tools`. Raises P-CHAT-001 to -004, -014, -020 to -023, with file and line."""
    try:
        if form_of(record) is None:
            raise TextError("P-CHAT-020", given=", ".join(record) or "{}", known=KNOWN)
        field = next(name for name in (*TURNS, *QUESTIONS) if name in record)
        found = with_system(record, from_turns(record, field)) if field in TURNS else from_pair(record, field)
        tools = read_tools(record.get("tools", record.get("functions")))
    except PenjingError as error:
        raise placed(error, record) from error
    return {"messages": found} | ({"tools": tools} if tools else {})


def placed(error: PenjingError, record: Mapping[str, Any]) -> PenjingError:
    """The error, and those told with it, with the place of the record."""
    for one in (error, *error.others):
        one.file, one.line = getattr(record, "file", None), getattr(record, "line", None)
    return error


def unlearnable(messages: Sequence[Mapping[str, Any]], turns: Turns = "all") -> Iterator[TextError]:
    """Why a conversation teaches nothing, or to say nothing."""
    numbers = learnt(messages, turns)
    if not numbers:
        yield TextError("P-CHAT-027", field="messages")
    for number in numbers:
        content = messages[number].get("content") or ""
        empty = not content.strip() if isinstance(content, str) else not any(part.get("text") for part in content)
        if empty and not messages[number].get("tool_calls"):
            yield TextError("P-CHAT-028", field=f"messages[{number}].content", number=number + 1)


def tell_forms(forms: Iterable[str], what: str) -> None:
    """Say that records are of several forms."""
    counts = Counter(forms)
    if len(counts) > 1:
        several = ", ".join(f"{form} {count}" for form, count in counts.most_common())
        tell("warning", what, f"conversations of several forms: {several}", forms=dict(counts))


def words_of(messages: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """What each message says, and its calls as JSON."""
    for message in messages:
        content = message.get("content") or ""
        if content:
            yield content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        yield from (json.dumps(call, ensure_ascii=False) for call in calls_of(message))


# ---- lists of turns ----


def from_turns(record: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """The messages of a field with a list of them, under the names that are ours."""
    given = record[field]
    named = isinstance(given, Sequence) and any(isinstance(one, Mapping) and "from" in one for one in given)
    theirs = ("from", "value") if named else ("role", "content")
    turns = given
    if isinstance(given, list | tuple):
        turns = [turn(one, f"{field}[{number}]", theirs) for number, one in enumerate(given)]
    try:
        return check_messages(turns)
    except PenjingError as error:
        for one in (error, *error.others):
            one.field = renamed(one.field, field, theirs)
            if one.known and named:
                one.known, one.nearest = list(NAMES), nearest(one.given, NAMES)
        raise


def turn(given: Any, place: str, theirs: tuple[str, str]) -> Any:
    """One message, checked later; what is no table stays as it is."""
    if not isinstance(given, Mapping):
        return given
    message = {name: value for name, value in given.items() if name not in theirs}
    role = given.get(theirs[0])
    message["role"] = NAMES.get(role, role) if isinstance(role, str) else role
    message["content"] = given.get(theirs[1])
    if message["role"] == CALL:
        calls = read_call(message["content"], f"{place}.{theirs[1]}")
        return message | {"role": "assistant", "content": None, "tool_calls": calls}
    if message.get(CALL) is not None:
        message["tool_calls"] = read_call(message.pop(CALL), f"{place}.{CALL}")
    if message["role"] == "tool" and message["content"] is not None and not isinstance(message["content"], str):
        message["content"] = json.dumps(message["content"], ensure_ascii=False)
    if isinstance(message.get("tool_calls"), Sequence):
        message["tool_calls"] = [with_table(call) for call in message["tool_calls"]]
    return message


def renamed(field: str | None, name: str, theirs: tuple[str, str]) -> str | None:
    """The field of an error as the record has it."""
    if field is None:
        return name
    return field.replace("messages[", f"{name}[", 1).replace(".role", f".{theirs[0]}").replace(
        ".content", f".{theirs[1]}")  # fmt: skip


def read_call(given: Any, place: str) -> list[Any]:
    """The calls of a turn that is nothing else: a table or a list of them, perhaps as JSON text."""
    found = given
    if isinstance(given, str):
        with contextlib.suppress(ValueError):
            found = json.loads(given)
    calls = found if isinstance(found, list) and found else [found]
    if not all(isinstance(one, Mapping) and isinstance(one.get("name"), str) for one in calls):
        raise TextError("P-CHAT-022", field=place, given=brief(given))
    return [with_table(one) for one in calls]


def with_table(call: Any) -> Any:
    """A call whose arguments, where they are JSON text, are read."""
    if not isinstance(call, Mapping):
        return call
    if isinstance(call.get("function"), Mapping):
        return {**call, "function": with_table(call["function"])}
    if isinstance(call.get("arguments"), str):
        with contextlib.suppress(ValueError):
            found = json.loads(call["arguments"])
            return {**call, "arguments": found} if isinstance(found, dict) else call
    return dict(call)


def read_tools(given: Any) -> list[dict[str, Any]]:
    """Tools as templates read them: each under `function`. What is no list of tables is told when it is written."""
    found = given
    if isinstance(given, str):
        try:
            found = json.loads(given) if given.strip() else None
        except ValueError as error:
            raise TextError("P-CHAT-023", field="tools", given=given[:80], reason=error) from error
    if not isinstance(found, Sequence) or isinstance(found, str):
        if found is not None:
            raise TextError("P-CHAT-014", field="tools", given=brief(found))
        return []
    bare = [isinstance(one, Mapping) and "name" in one and "function" not in one for one in found]
    return [{"type": "function", "function": dict(one)} if is_bare else one
            for one, is_bare in zip(found, bare, strict=True)]  # fmt: skip


# ---- a question and an answer ----


def from_pair(record: Mapping[str, Any], field: str) -> list[dict[str, Any]]:
    """The messages of alpaca's fields, or of another question and answer."""
    answer = next((name for name in ANSWERS if record.get(name) is not None), None)
    if isinstance(record[field], list):
        asked = [message | {"weight": 0} if message["role"] == "assistant" else message
                 for message in from_turns(record, field)]  # fmt: skip
    else:
        asked = [*history(record), {"role": "user", "content": question(record, field)}]
    if answer is None:
        return with_system(record, asked)
    if isinstance(record[answer], list):
        return with_system(record, [*asked, *from_turns(record, answer)])
    return with_system(record, [*asked, {"role": "assistant", "content": text_of(record, answer)}])


def question(record: Mapping[str, Any], field: str) -> str:
    """The question, and alpaca's `input` in a line of its own."""
    more = record.get("input") if field == "instruction" else None
    asked = text_of(record, field)
    return asked if more in (None, "") else f"{asked}\n{text_of(record, 'input')}"


def history(record: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The turns before: pairs of question and answer."""
    given = record.get("history") or []
    pairs = [pair for pair in given if isinstance(pair, Sequence) and len(pair) == 2 and not isinstance(pair, str)]
    texts = [text for pair in pairs for text in pair]
    if not isinstance(given, list) or len(pairs) < len(given) or not all(isinstance(text, str) for text in texts):
        raise TextError("P-CHAT-021", field="history", kind="[[str, str]]", given=brief(given))
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(texts)]


def with_system(record: Mapping[str, Any], messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages after the record's own `system`, if they have none."""
    if not record.get("system") or any(one["role"] in ("system", "developer") for one in messages):
        return messages
    return [{"role": "system", "content": text_of(record, "system")}, *messages]


def text_of(record: Mapping[str, Any], field: str) -> str:
    """A field that is a text."""
    if not isinstance(record[field], str):
        raise TextError("P-CHAT-021", field=field, kind="str", given=brief(record[field]))
    return record[field]


def conversations(records: Iterable[Mapping[str, Any]], what: str) -> list[dict[str, Any]]:
    """All records as conversations; every problem of every record is raised at once. Several forms are told."""
    found, forms, problems = [], [], []
    for record in records:
        try:
            found.append(conversation(record))
            forms.append(form_of(record) or "")
        except PenjingError as error:
            problems += [error, *error.others]
    raise_all(problems)
    tell_forms(forms, what)
    return found
