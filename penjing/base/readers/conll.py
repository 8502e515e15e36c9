"""CoNLL: a token a line, its columns between spaces or tabs, an empty line behind each sentence.

A record has `tokens` (the first column) and `tags` (the last one, where there are two); `columns` may name others by
their numbers from 1. Lines of -DOCSTART- end a sentence. A line that begins with # and stands before a sentence is a
comment if it is not cut into the file's columns, or ends in what no other line of the file's beginning ends in.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from penjing.base.progress import tell
from penjing.base.readers.opened import lines
from penjing.base.readers.source import Problems, Record, Source

LOOKED_AT = 1000  # lines in which the columns are counted
SPACES = re.compile(" +")  # other white space, such as U+3000, may be a token
BOUNDARY = "-DOCSTART-"


class Form(NamedTuple):
    """How a file is written: between tabs or not, its number of columns, what its lines end in."""

    tabs: bool
    columns: int
    last: frozenset[str]

    def comment(self, line: str) -> bool:
        """Whether a line before a sentence is a comment."""
        cells = cells_of(line, self.tabs)
        fits = len(cells) == self.columns and ("\t" in line) == self.tabs and cells[-1] in self.last
        return line.startswith("#") and not fits


def read_conll(source: Source, problems: Problems) -> Iterator[Record]:
    """Sentences whose fields are the columns by number; a line with another number of columns is a problem."""
    numbered, file = lines(source, problems), str(source.path)
    first = list(itertools.islice(numbered, LOOKED_AT))
    form = form_of([line for _, line in first])
    held: list[list[str]] = []
    start = comments = 0
    for number, line in itertools.chain(first, numbered):
        cells = cells_of(line, form.tabs)
        if not line.strip() or line.startswith(BOUNDARY):
            if held:
                yield record_of(held, file, start)
            held = []
        elif not held and form.comment(line):
            comments += 1
        elif len(cells) != form.columns:
            problems.add("P-DATA-040", file=file, line=number, given=line[:80], found=len(cells), wanted=form.columns)
        elif not cells[0]:
            problems.add("P-DATA-041", file=file, line=number, given=line[:80])
        else:
            start = start if held else number
            held.append(cells)
    if held:
        yield record_of(held, file, start)
    if comments:
        tell("note", "read", f"{file}: {comments} lines that begin with # are comments", comments=comments)


def form_of(sample: Sequence[str]) -> Form:
    """The form of a file, by the lines that are surely tokens."""
    sure = [line for line in sample if line.strip() and not line.startswith(("#", BOUNDARY))]
    if not sure:
        return Form(False, 2, frozenset())
    tabs = "\t" in sure[0]
    rows = [cells_of(line, tabs) for line in sure]
    return Form(tabs, len(rows[0]), frozenset(row[-1] for row in rows))


def cells_of(line: str, tabs: bool) -> list[str]:
    """The columns of a line."""
    return [cell.strip(" ") for cell in line.split("\t")] if tabs else SPACES.split(line.strip(" \t"))


def record_of(rows: list[list[str]], file: str, line: int) -> Record:
    """A sentence, its columns by number."""
    columns = {str(number): list(column) for number, column in enumerate(zip(*rows, strict=True), 1)}
    return Record(columns, file, line)


def with_usual(records: Iterator[Record], columns: Mapping[str, str], problems: Problems) -> Iterator[Record]:
    """The columns that are asked for, still by number, and tokens and tags where they usually stand; no others."""
    for record in records:
        usual = {"tokens": "1"} | ({"tags": str(len(record))} if len(record) > 1 else {})
        absent = [(ours, theirs) for ours, theirs in columns.items() if theirs not in record]
        for ours, theirs in absent:
            problems.add("P-DATA-042", file=record.file, line=record.line, given=theirs, known=list(record), ours=ours)
        if absent:
            return
        fields = {ours: record[number] for ours, number in usual.items() if ours not in columns}
        fields |= {number: record[number] for number in columns.values()}
        yield Record(fields, record.file, record.line)
