"""Conversations of several files in one form, and which split each belongs to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import DataError, PenjingError, TextError, raise_all
from penjing.base.records import read_records
from penjing.text.dialogues import ANSWERS, QUESTIONS, TURNS, conversation, form_of, placed, tell_forms, unlearnable
from penjing.text.duplicates import digests, equal, near_duplicates, signatures
from penjing.text.splits import SPLITS, TRAIN, Clusters, Decision, decide
from penjing.text.tool_calls import calls_of

FIELDS = (*TURNS, *QUESTIONS, *ANSWERS, "input", "history", "system", "tools")
PIECE = 20_000  # conversations signed at once


@dataclass
class Gathered:
    """All conversations, the split that each came from (a place in SPLITS), and what was counted."""

    records: list[dict[str, Any]] = field(default_factory=list)
    split: list[int] = field(default_factory=list)
    read: Counter[str] = field(default_factory=Counter)
    empty: Counter[str] = field(default_factory=Counter)
    forms: Counter[str] = field(default_factory=Counter)


def gather(
    files: Mapping[str, Sequence[Path]],
    columns: Mapping[str, str],
    system: str | None = None,
    *,
    drop_empty: bool = False,
) -> Gathered:
    """Read the files of each split. Every problem of every record is raised at once."""
    check_columns(columns)
    found, problems = Gathered(), list[PenjingError]()
    for code, split in enumerate(SPLITS):
        for record in read_records(files[split], columns=columns) if files.get(split) else ():
            found.read[split] += 1
            try:
                talk = conversation(record)
            except PenjingError as error:
                problems += [error, *error.others]
                continue
            found.forms[form_of(record) or ""] += 1
            wrong = [placed(error, record) for error in unlearnable(talk["messages"])]
            if wrong and drop_empty:
                found.empty[split] += 1
                continue
            problems += wrong
            found.records.append(with_text(talk, system))
            found.split.append(code)
    raise_all(problems)
    tell_forms(found.forms.elements(), "dialogues")
    return found


def check_columns(columns: Mapping[str, str]) -> None:
    """Only fields of conversations may be named."""
    wrong = [name for name in columns if name not in FIELDS]
    if wrong:
        raise DataError("P-DATA-019", given=wrong[0], known=FIELDS)


def with_text(talk: dict[str, Any], system: str | None) -> dict[str, Any]:
    """The conversation with the system's text, if that is missing, and with all its words as one text."""
    messages = talk["messages"]
    if system and messages[0]["role"] not in ("system", "developer"):
        messages = [{"role": "system", "content": system}, *messages]
    return talk | {"messages": messages, "text": "\n".join(words_of(messages))}


def words_of(messages: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """What each message says, and its calls as JSON."""
    for message in messages:
        content = message.get("content") or ""
        if content:
            yield content if isinstance(content, str) else "".join(part.get("text", "") for part in content)
        yield from (json.dumps(call, ensure_ascii=False) for call in calls_of(message))


def shared_out(
    found: Gathered, threshold: float, *, drop: bool, valid_share: float, test_share: float, seed: int
) -> Decision:
    """The split of each conversation. Those whose questions are the same, or nearly, are never on two sides."""
    if not found.records:
        raise TextError("P-CHAT-029", count=sum(found.read.values()))
    texts = [one["text"] for one in found.records]
    asked = ["\n".join(words_of(m for m in one["messages"] if m["role"] == "user")) for one in found.records]
    rows = np.concatenate([signatures(asked[i : i + PIECE]) for i in range(0, len(asked), PIECE)])
    exact = equal(digests(texts))
    near = near_duplicates(rows, threshold, equal(digests([text.strip().lower() for text in asked])))
    alike = np.zeros(len(texts), np.int64)
    clusters = Clusters(exact, near, np.asarray(found.split, np.int8), alike)
    shares = {"valid_share": valid_share, "test_share": test_share}
    decision = decide(clusters, exact=drop, near=False, across=True, seed=seed, **shares)
    for name in [name for name in decision.found if name == f"near {SPLITS[TRAIN]}" or "raw" in name]:
        del decision.found[name]
    return decision
