"""JSON lines: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator

from penjing.base.readers.opened import lines
from penjing.base.readers.source import Problems, Record, Source


def read_jsonl(source: Source, problems: Problems) -> Iterator[Record]:
    """A line that is no JSON object is a problem; blank lines are passed over."""
    file, loads = str(source.path), json.loads
    for number, line in lines(source, problems):
        if not line or line.isspace():
            continue
        try:
            value = loads(line)
        except (ValueError, RecursionError) as error:
            problems.add("P-DATA-011", file=file, line=number, given=line[:80], reason=error)
            continue
        if isinstance(value, dict):
            yield Record(value, file, number)
        else:
            problems.add("P-DATA-012", file=file, line=number, given=line[:80])
