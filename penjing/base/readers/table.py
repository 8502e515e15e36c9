"""CSV and TSV with a header row. An empty cell is None. Quoting is strict: an open quote never swallows the file."""

from __future__ import annotations

import csv
import itertools
import re
import sys
from collections.abc import Iterator

from penjing.base.progress import tell
from penjing.base.readers.opened import lines
from penjing.base.readers.source import Problems, Record, Source

SEPARATOR = re.compile('"?sep=(.)"?')  # the first line of some files, for Excel
LOOKED_AT = 200  # lines that decide on the separator and on quoting


class Numbered:
    """Lines for the csv module, which remember the number of the last one given."""

    def __init__(self, numbered: Iterator[tuple[int, str]]):
        self.numbered, self.number = numbered, 0

    def __iter__(self) -> Numbered:
        return self

    def __next__(self) -> str:
        self.number, line = next(self.numbered)
        return line + "\n"


def read_table(source: Source, problems: Problems) -> Iterator[Record]:
    """Rows as records; a row with more or fewer cells than the header is a problem."""
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    numbered = lines(source, problems)
    first = list(itertools.islice(numbered, LOOKED_AT))
    said = SEPARATOR.fullmatch(first[0][1]) if first else None
    first = first[1:] if said else first
    separator, quoting = dialect([line for _, line in first], source)
    separator = said[1] if said else separator
    given = Numbered(itertools.chain(first, numbered))
    rows = csv.reader(given, delimiter=separator, quoting=quoting, strict=True)
    file, header = str(source.path), None
    while True:
        start = given.number + 1
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            problems.add("P-DATA-013", file=file, line=start, reason=error)
            continue
        if not row:
            continue
        if header is None:
            header = row
            names = [name for name in header if name]  # spreadsheets leave columns without a name at the end
            if len(set(names)) < len(names):
                problems.add("P-DATA-015", file=file, line=start, given=", ".join(header))
            yield Record(dict.fromkeys(header), file, 0)  # the header itself: line 0
        if len(row) == len(header):
            yield Record(zip(header, (cell if cell else None for cell in row), strict=True), file, start)
        else:
            problems.add("P-DATA-014", file=file, line=start, found=len(row), wanted=len(header))


def dialect(sample: list[str], source: Source) -> tuple[str, int]:
    """Separator and quoting: what differs from the usual is told."""
    head = sample[0] if sample else ""
    usual = "\t" if source.format == "tsv" else ","
    separator = usual
    if usual not in head:
        separator = next((s for s in (";", "\t", ",", "|") if s in head), usual)
    quoting = csv.QUOTE_MINIMAL
    even = len({line.count(separator) for line in sample if line}) == 1
    if separator == "\t" and even and any(line.count('"') % 2 for line in sample):
        quoting = csv.QUOTE_NONE
        tell("note", "read", f"{source.path}: quotes are plain characters here", file=str(source.path))
    if separator != usual:
        tell("note", "read", f"{source.path}: cells are separated by {separator!r}", file=str(source.path))
    return separator, quoting
