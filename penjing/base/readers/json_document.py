"""JSON in any of three forms, told apart by how the file begins: an object a line, a list of objects, SQuAD's form.

SQuAD 1.1, SQuAD 2.0 and CMRC 2018 nest articles, paragraphs and questions; a record is one question with its context:
{id, title, context, question, answers: [{text, start}]}. A question without an answer has an empty list.
"""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable, Iterator
from typing import Any

from penjing.base.readers.json_stream import BrokenJSONError, Stream, Value
from penjing.base.readers.jsonl import read_jsonl
from penjing.base.readers.opened import BLOCK, BROKEN, opened
from penjing.base.readers.source import Problems, Record, Source

LOOKED_AT = 1 << 16  # characters that tell the form
SCALARS = r'(?:\s*"[^"]*"\s*:\s*(?:"(?:[^"\\]|\\.)*"|[-+.\deE]+|true|false|null)\s*,)*'  # fields before the one we know
SQUAD = re.compile(rf'\s*\{{{SCALARS}\s*"data"\s*:\s*\[\s*\{{{SCALARS}\s*"paragraphs"\s*:')
OBJECT = re.compile(r"\s*\{\s*\n|\s*\{\s*$")  # an object over several lines


def read_json(source: Source, problems: Problems) -> Iterator[Record]:
    """Records of a JSON file in any of the forms."""
    with decoded(source) as text:
        begin = text.read(LOOKED_AT)
    if begin.lstrip().startswith("["):
        return read_document(source, problems, read_list)
    if SQUAD.match(begin):
        return read_document(source, problems, read_squad)
    if OBJECT.match(begin):
        problems.add("P-DATA-046", file=source.path, given=begin.strip()[:80])
        return iter(())
    return read_jsonl(source, problems)


@contextlib.contextmanager
def decoded(source: Source) -> Iterator[io.TextIOWrapper]:
    """The text of a file; what cannot be decoded is marked."""
    with opened(source) as file:
        text = io.TextIOWrapper(file, encoding=source.encoding, errors="penjing", newline="")
        try:
            yield text
        finally:
            text.detach()


Form = Callable[[Stream, Source, Problems], Iterator[Record]]


def read_document(source: Source, problems: Problems, form: Form) -> Iterator[Record]:
    """Records of one document. Where it breaks, reading ends: what follows cannot be trusted."""
    with decoded(source) as text:
        stream = Stream(iter(lambda: text.read(BLOCK), ""))
        try:
            yield from form(stream, source, problems)
            stream.end()
        except BrokenJSONError as error:
            problems.add("P-DATA-045", file=source.path, reason=error)


def read_list(stream: Stream, source: Source, problems: Problems) -> Iterator[Record]:
    """The objects of a list. Their `line` is that of the file, or their number where the list is written in one line."""
    file, by_number = str(source.path), False
    for number, (value, line, text) in enumerate(stream.elements(), 1):
        by_number = by_number or (number == 2 and line == 1)
        place = number if by_number else line
        if not whole(text, source, problems, place):
            continue
        if isinstance(value, dict):
            yield Record(value, file, place)
        else:
            problems.add("P-DATA-012", file=file, line=place, given=text[:80])


def whole(text: str, source: Source, problems: Problems, line: int) -> bool:
    """Could all of it be decoded?"""
    if BROKEN not in text:
        return True
    at = text.index(BROKEN)
    given = text[max(0, at - 40) : at + 40].replace(BROKEN, "\ufffd")
    problems.add("P-DATA-007", file=source.path, line=line, encoding=source.encoding, given=given)
    return False


def read_squad(stream: Stream, source: Source, problems: Problems) -> Iterator[Record]:
    """One record for each question; its `line` is its number."""
    number = 0
    for article in stream.within("data"):
        if not whole(article.text, source, problems, number + 1):
            continue
        try:
            found = list(questions(article))
        except (KeyError, TypeError, AttributeError) as error:
            problems.add("P-DATA-047", file=source.path, line=number + 1, reason=lack(error))
            continue
        for fields in found:
            number += 1
            yield Record(fields, str(source.path), number)


def questions(article: Value) -> Iterator[dict[str, Any]]:
    """The questions of one article, in order."""
    title = article.value.get("title")
    for paragraph in article.value["paragraphs"]:
        context = paragraph["context"]
        for asked in paragraph["qas"]:
            answers = [{"text": one["text"], "start": one["answer_start"]} for one in asked.get("answers") or ()]
            fields = {"id": asked.get("id"), "title": title, "context": context, "question": asked["question"]}
            yield {name: value for name, value in fields.items() if value is not None} | {"answers": answers}


def lack(error: Exception) -> str:
    """What is missing, in words."""
    return f"no field {error.args[0]!r}" if isinstance(error, KeyError) else "an object stands where another belongs"
