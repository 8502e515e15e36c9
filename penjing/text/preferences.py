"""Preferences in the forms that the field writes them, each made one.

pairs    chosen and rejected, each a text, a message or a list of messages: two answers to `prompt` or any other form of
         conversation; or two whole conversations that begin alike (UltraFeedback), or transcripts (HH-RLHF)
judged   one answer, as `completion` or as the end of a conversation, and label: true where it is good

The one form: {messages, chosen, rejected} or {messages, completion, label}, perhaps with tools; all of it lists of messages.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penjing.base.errors import DataError, PenjingError, raise_all
from penjing.text.conversation import brief
from penjing.text.dialogues import ANSWERS, conversation, form_of, from_turns, placed, read_tools, unlearnable

SIDES = ("chosen", "rejected")
LABELS = {"true": True, "1": True, "false": False, "0": False}
SPEAKER = re.compile(r"\n\n(Human|Assistant): ?")

Messages = list[dict[str, Any]]


def is_pair(record: Mapping[str, Any]) -> bool:
    """Whether a record says which of two answers is the better one."""
    return any(name in record for name in SIDES)


def is_judged(record: Mapping[str, Any]) -> bool:
    """Whether a record says if one answer is good."""
    return not is_pair(record) and "label" in record and form_of(record) is not None


def preference(record: Mapping[str, Any]) -> dict[str, Any]:
    """A pair or a judged answer in the one form, sound. Raises P-TASK-130 to -134 and what `conversation` does."""
    found = read_preference(record)
    raise_all([placed(flaw, record) for flaw in flaws(found)])
    return found


def read_preference(record: Mapping[str, Any]) -> dict[str, Any]:
    """The same, whatever the answers say. Errors have the record's place."""
    try:
        if not is_pair(record) and not is_judged(record):
            raise DataError("P-TASK-130", field="chosen", given=sorted(record))
        return pair(record) if is_pair(record) else judged(record)
    except PenjingError as error:
        raise placed(error, record) from error


def flaws(found: Mapping[str, Any]) -> Iterator[PenjingError]:
    """Why a record in the one form teaches nothing."""
    for name in (*SIDES, "completion"):
        if name in found and any(True for _ in unlearnable(found[name])):
            yield DataError("P-TASK-134", field=name)
    if is_pair(found) and found["chosen"] == found["rejected"]:
        yield DataError("P-TASK-131", field="rejected")


def pair(record: Mapping[str, Any]) -> dict[str, Any]:
    """Two answers to one question."""
    raise_all([DataError("P-TASK-130", field=name, given=sorted(record)) for name in SIDES if record.get(name) is None])
    chosen, rejected = (answer_of(record, name) for name in SIDES)
    if all(side[0]["role"] != "assistant" for side in (chosen, rejected)):
        shared = alike(chosen, rejected)
        found: dict[str, Any] = {"messages": chosen[:shared]}
        chosen, rejected = chosen[shared:], rejected[shared:]
        tools = read_tools(record.get("tools", record.get("functions")))
        found |= {"tools": tools} if tools else {}
    else:
        found = asked(record)
    for name, side in zip(SIDES, (chosen, rejected), strict=True):
        check_answer(name, side)
    return found | {"chosen": chosen, "rejected": rejected}


def judged(record: Mapping[str, Any]) -> dict[str, Any]:
    """One answer and whether it is good."""
    label = LABELS.get(str(record["label"]).strip().lower())
    if label is None:
        raise DataError("P-TASK-133", field="label", given=brief(record["label"]))
    name = next((one for one in ANSWERS if record.get(one) is not None), None)
    if name is not None:
        found, completion = asked(record), answer_of(record, name)
    else:
        found, name = conversation(record), "completion"
        last = next((n for n, one in enumerate(found["messages"][::-1]) if one["role"] == "user"), 0)
        cut = len(found["messages"]) - last
        found["messages"], completion = found["messages"][:cut], found["messages"][cut:]
    check_answer(name, completion)
    return found | {"completion": completion, "label": label}


def asked(record: Mapping[str, Any]) -> dict[str, Any]:
    """The conversation before the answers."""
    return conversation({name: value for name, value in record.items() if name not in (*SIDES, *ANSWERS)})


def answer_of(record: Mapping[str, Any], name: str) -> Messages:
    """An answer as messages; a transcript and a list may hold the whole conversation."""
    given = record[name]
    if isinstance(given, str):
        if form_of(record) is None and SPEAKER.match(given):
            return transcript(given)
        return [{"role": "assistant", "content": given}]
    return from_turns({name: [given] if isinstance(given, Mapping) else given}, name)


def transcript(text: str) -> Messages:
    """Turns of a text with `Human:` and `Assistant:` after an empty line."""
    parts = SPEAKER.split(text)[1:]
    roles = {"Human": "user", "Assistant": "assistant"}
    return [{"role": roles[who], "content": said.strip()} for who, said in zip(parts[::2], parts[1::2], strict=True)]


def alike(one: Messages, other: Messages) -> int:
    """How many messages two conversations begin with alike; of each at least one is left."""
    most = min(len(one), len(other)) - 1
    return next((n for n in range(most) if one[n] != other[n]), most)


def check_answer(name: str, answer: Sequence[Mapping[str, Any]]) -> None:
    """An answer is the assistant's."""
    if not answer or answer[0]["role"] != "assistant":
        raise DataError("P-TASK-132", field=name, given=answer[0]["role"] if answer else None)


def answers_of(record: Mapping[str, Any]) -> list[Messages]:
    """The answers that a record in the one form holds, the better one first."""
    return [record[name] for name in (*SIDES, "completion") if name in record]


def kinds(records: Sequence[Mapping[str, Any]]) -> set[str]:
    """Which kinds of preference stand in records in the one form."""
    return {"pairs" if is_pair(record) else "judged" for record in records}
