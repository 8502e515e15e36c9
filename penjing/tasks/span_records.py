"""Questions with their context and answers, in one form; every offset is held against the text.

{id, context, question, answers: [{text, start}]}, `start` in characters of the context; no answer: an empty list. Read
as well: `answer_start` for `start`, answers = {text: [...], answer_start: [...]}, one `answer` for `answers`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from penjing.base.errors import DataError, PenjingError
from penjing.base.progress import tell
from penjing.base.readers.source import Record


class Answer(NamedTuple):
    """Where an answer stands in its context: characters `start` to `end`, the latter outside."""

    start: int
    end: int


def normal(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record with its answers as a list of {text, start}; what cannot be read is left for `problems_of`."""
    given = record.get("answers", record.get("answer"))
    if given is None:
        impossible = record.get("is_impossible") is True
        return placed(record, []) if impossible else record
    return placed(record, listed(given))


def placed(record: Mapping[str, Any], answers: Any) -> Record:
    """The record with these answers, in its place."""
    fields = {name: value for name, value in record.items() if name != "answer"} | {"answers": answers}
    return Record(fields, getattr(record, "file", None), getattr(record, "line", None))


def listed(given: Any) -> Any:
    """Answers of any known form as a list; another value as it is."""
    if isinstance(given, str):
        return [{"text": given}] if given else []
    if isinstance(given, Mapping) and isinstance(given.get("text"), list):
        starts = given.get("answer_start", given.get("start"))
        texts = given["text"]
        if starts is None:
            return [{"text": text} for text in texts]
        if not isinstance(starts, list) or len(starts) != len(texts):
            return given
        return [{"text": text, "start": start} for text, start in zip(texts, starts, strict=True)]
    if isinstance(given, Mapping):
        given = [given]
    if not isinstance(given, list):
        return given
    return [answer_of(one) for one in given]


def answer_of(given: Any) -> Any:
    """One answer under our names."""
    if isinstance(given, str):
        return {"text": given}
    if isinstance(given, Mapping) and "start" not in given and "answer_start" in given:
        return {
            **{name: value for name, value in given.items() if name != "answer_start"},
            "start": given["answer_start"],
        }
    return given


def span_of(answer: Mapping[str, Any], context: str) -> Answer | None:
    """Where an answer stands: at its start, else at the one place where its text occurs; None: nobody knows."""
    text, start = answer["text"], answer.get("start")
    if start is None or context[start : start + len(text)] != text:
        start = context.find(text)
        if start < 0 or context.find(text, start + 1) >= 0:
            return None
    return Answer(start, start + len(text))


def learnt(record: Mapping[str, Any]) -> Answer | None:
    """Where the answer stands that is learnt: the first whose place is known. The others are references only."""
    found = (span_of(answer, record["context"]) for answer in record["answers"])
    return next((spot for spot in found if spot is not None), None)


def problems_of(
    record: Mapping[str, Any], place: Mapping[str, Any], learn: bool, unanswerable: bool
) -> list[PenjingError]:
    """What is wrong with one record; `unanswerable`: it may have no answer."""
    problems: list[PenjingError] = []
    for name in ("question", "context"):
        if not isinstance(record[name], str):
            problems.append(DataError("P-TASK-060", field=name, given=record[name], **place))
    if problems or not learn:
        return problems
    answers = record["answers"]
    if not isinstance(answers, list) or not all(map(sound, answers)):
        return [DataError("P-TASK-061", field="answers", given=answers, **place)]
    if answers and record.get("is_impossible") is True:
        problems.append(DataError("P-TASK-063", field="is_impossible", **place))
    if not answers and not unanswerable:
        problems.append(DataError("P-TASK-062", field="answers", **place))
    if answers and learnt(record) is None:
        problems.append(misplaced(answers[0], record, place))
    return problems


def sound(answer: Any) -> bool:
    """Is it an answer: a text, and a start where there is one?"""
    if not isinstance(answer, Mapping) or not isinstance(answer.get("text"), str) or not answer["text"]:
        return False
    start = answer.get("start")
    return start is None or (isinstance(start, int) and not isinstance(start, bool) and start >= 0)


def misplaced(answer: Mapping[str, Any], record: Mapping[str, Any], place: Mapping[str, Any]) -> PenjingError:
    """The error of an answer that does not stand where it says, and is not in one place only."""
    text, start, context = answer["text"], answer.get("start"), record["context"]
    there = "" if start is None else context[start : start + len(text)]
    code = "P-DATA-048" if text in context else "P-DATA-049"
    return DataError(code, field="answers", given=text, start=start, there=there, count=context.count(text), **place)


def tell_repaired(records: Sequence[Mapping[str, Any]]) -> None:
    """Say how many records have a start that does not fit, and what was made of it."""
    wrong = [record for record in records if any(off(one, record["context"]) for one in record["answers"])]
    if wrong:
        first = wrong[0]
        where = f"{getattr(first, 'file', None) or ''}:{getattr(first, 'line', None) or ''}".strip(":")
        text = f"{len(wrong)} records have a start at which the answer does not stand (the first: {where or first.get('id')}); "
        text += "the one place where the text stands is taken, and a text with none or several is a reference only"
        tell("warning", "span", text, repaired=len(wrong))


def off(answer: Mapping[str, Any], context: str) -> bool:
    """Does an answer name a start where it does not stand?"""
    start = answer.get("start")
    return start is not None and context[start : start + len(answer["text"])] != answer["text"]
