"""A look at answers that are compared, judged or checked: which are better, how long they are, what can check them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.errors import DataError, PenjingError
from penjing.text.dialogues import words_of
from penjing.text.preferences import LABELS, answers_of, flaws, is_pair, read_preference

Rows = Sequence[Mapping[str, Any]]

SHORT_ANSWER = 32  # characters: an answer that is met exactly now and then
MOST = 0.95  # of the answers


def compared(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """A pair or a judged answer in the one form; None where it teaches nothing."""
    try:
        found = read_preference(record)
    except PenjingError:
        return None
    return found if next(flaws(found), None) is None else None


def best_of(record: Mapping[str, Any]) -> str:
    """The question and its better, or only, answer as one text; nothing of a record that teaches nothing."""
    found = compared(record)
    return "" if found is None else "\n".join(words_of([*found["messages"], *answers_of(found)[0]]))


def sides_in(records: Rows) -> dict[str, int]:
    """How many pairs, of these where the longer answer is the better one, good and bad answers, records without use."""
    counts: Counter[str] = Counter()
    for found in map(compared, records):
        if found is None:
            counts["useless"] += 1
        elif is_pair(found):
            sizes = [sum(map(len, words_of(answer))) for answer in answers_of(found)]
            counts["pairs"] += 1
            counts["longer"] += sizes[0] > sizes[1]
        else:
            counts["good" if found["label"] else "bad"] += 1
    return dict(counts)


def check_sides(sides: Mapping[str, int], path: Path) -> None:
    """Raise P-ADVISE-046 where all answers are judged alike: nothing can be compared."""
    if not sides.get("pairs") and bool(sides.get("good")) != bool(sides.get("bad")):
        raise DataError("P-ADVISE-046", file=path, count=max(sides.get("good", 0), sides.get("bad", 0)))


def are_judged(records: Rows) -> bool:
    """Is every label one of true and false?"""
    return all(str(record.get("label")).strip().lower() in LABELS for record in records)


def incomplete(record: Mapping[str, Any]) -> bool:
    """Does a record lack its prompt or its answer?"""
    return not record.get("prompt") or not answer_in(record)


def answer_in(record: Mapping[str, Any]) -> str:
    """The answer that is expected; of several the longest."""
    value = record.get("answer")
    if isinstance(value, list | tuple):
        return max(map(str, value), key=len, default="")
    return "" if value is None else str(value)


def judgement(record: Mapping[str, Any]) -> list[str]:
    """How a judged answer is judged: good or bad; nothing of pairs."""
    found = compared(record)
    return [] if found is None or is_pair(found) else ["good" if found["label"] else "bad"]


def asked_and_answered(record: Mapping[str, Any]) -> str:
    """A prompt, a text or messages, and the answer that is expected."""
    asked = record.get("prompt") or ""
    words = [asked] if isinstance(asked, str) else words_of(one for one in asked if isinstance(one, Mapping))
    return "\n".join([*words, answer_in(record)]) if asked else ""


def answered(records: Rows) -> int:
    """Characters that 19 of 20 expected answers stay below."""
    lengths = sorted(len(answer_in(record)) for record in records)
    return lengths[int(MOST * (len(lengths) - 1))] if lengths else 0


def verifier_of(records: Rows) -> str:
    """The reward that can check answers to these prompts: arithmetic, exact; "" where there is none."""
    from penjing.train.rewards.arithmetic import computed, last_number

    if not records or any(map(incomplete, records)):
        return ""
    sums = [computed(record["prompt"]) for record in records]
    if all(one is not None for one in sums):
        right = (one == last_number(answer_in(record)) for one, record in zip(sums, records, strict=True))
        return "arithmetic" if all(right) else "exact" if answered(records) <= SHORT_ANSWER else ""
    return "exact" if answered(records) <= SHORT_ANSWER else ""
