"""Plain text: one record {"text": …} per document between blank lines, or per line when there are no blank lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from penjing.base.progress import tell
from penjing.base.readers.opened import lines
from penjing.base.readers.source import Problems, Record, Source

LOOKED_AT = 10_000  # lines that decide whether blank lines separate documents


def read_plain(source: Source, problems: Problems) -> Iterator[Record]:
    """Documents between blank lines, or lines; which one was found is told."""
    numbered = lines(source, problems)
    first = list(itertools.islice(numbered, LOOKED_AT))
    filled = [bool(line.strip()) for _, line in first]
    separated = any(not filled[i] and any(filled[:i]) and any(filled[i:]) for i in blank_runs(filled))
    kind = "one record per document between blank lines" if separated else "one record per line"
    tell("note", "read", f"{source.path}: {kind}", file=str(source.path))
    everything = itertools.chain(first, numbered)
    return documents(everything, str(source.path)) if separated else single(everything, str(source.path))


def blank_runs(filled: list[bool]) -> Iterator[int]:
    """The first two places where a blank line begins: a later one adds nothing to the decision."""
    starts = (i for i, here in enumerate(filled) if not here and (i == 0 or filled[i - 1]))
    return itertools.islice(starts, 2)


def single(numbered: Iterator[tuple[int, str]], file: str) -> Iterator[Record]:
    for number, line in numbered:
        if line.strip():
            yield Record({"text": line}, file, number)


def documents(numbered: Iterator[tuple[int, str]], file: str) -> Iterator[Record]:
    held: list[str] = []
    start = 1
    for number, line in numbered:
        if line.strip():
            start = start if held else number
            held.append(line)
        elif held:
            yield Record({"text": "\n".join(held)}, file, start)
            held = []
    if held:
        yield Record({"text": "\n".join(held)}, file, start)
