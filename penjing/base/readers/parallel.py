"""Two files whose lines belong together, `train.en` and `train.de`: one record {source, target} for each line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

from penjing.base.errors import DataError
from penjing.base.progress import tell
from penjing.base.readers.encoding import SAMPLE, check_name, detect
from penjing.base.readers.opened import lines, opened
from penjing.base.readers.source import ENDINGS, PACKINGS, Problems, Record, Source

LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_][A-Za-z]+)?")
FIRST = "en"  # the source, where nobody says which it is


def parallel_files(folder: Path, split: str, languages: str | None = None) -> tuple[Path, Path] | None:
    """The files of source and target, None where there are none.

    languages: `de-en` for German to English. Left out, the source is English, or else the first by the alphabet.
    Raises P-DATA-051 where a language has no file, or where there are more than two and nobody says which.
    """
    found: dict[str, Path] = {}
    for path in sorted(folder.glob(f"{split}.*")):
        packing = next((one for one in PACKINGS if path.name.endswith(one)), "")
        ending = path.name[len(split) + 1 : len(path.name) - len(packing)]
        if LANGUAGE.fullmatch(ending) and f".{ending}" not in ENDINGS and path.is_file():
            found.setdefault(ending, path)
    if languages is None and len(found) < 2:
        return None
    wanted = languages.split("-") if languages else sorted(found, key=lambda name: (name != FIRST, name))
    if len(wanted) != 2 or not set(wanted) <= set(found):
        raise DataError(
            "P-DATA-051", file=folder, given=languages or ", ".join(wanted), known=sorted(found), split=split
        )
    if languages is None:
        tell("note", "read", f"{found[wanted[0]].name} is the source, {found[wanted[1]].name} the target")
    return found[wanted[0]], found[wanted[1]]


def read_parallel(source: Path, target: Path, encoding: str = "auto") -> Iterator[Record]:
    """Line by line. Raises P-DATA-050 with both counts where one file is longer; lines that are broken are all told."""
    problems = Problems()
    names = [language_of(path) for path in (source, target)]
    counts = [0, 0]
    for row in zip_longest(*(every(plain(path, encoding), problems) for path in (source, target))):
        for side, text in enumerate(row):
            counts[side] += text is not None
        if None not in row and counts[0] == counts[1] and not problems.count:
            fields = zip(("source", "target", "source_lang", "target_lang"), (*row, *names), strict=True)
            yield Record(fields, str(source), counts[0])
    if counts[0] != counts[1]:
        problems.add("P-DATA-050", file=source, first=counts[0], second=counts[1], other=target.name)
    problems.raise_all()


def every(source: Source, problems: Problems) -> Iterator[str]:
    """The lines of a file; one that cannot be decoded is a problem, and empty."""
    last = 0
    for number, line in lines(source, problems):
        yield from [""] * (number - last - 1)
        yield line
        last = number


def plain(path: Path, encoding: str = "auto") -> Source:
    """A file of lines, with its packing and its encoding, which is looked for if it is not given."""
    packing = next((one for one in PACKINGS if path.name.endswith(one)), "")
    source = Source(path, "text", packing)
    with opened(source) as file:
        sample = file.read(SAMPLE)
    if encoding != "auto":
        return replace(source, encoding=check_name(encoding, path))
    found, evidence = detect(sample, path, whole=len(sample) < SAMPLE)
    return replace(source, encoding=found, evidence=evidence)


def language_of(path: Path) -> str:
    """The language in a file's name."""
    name = path.name
    for packing in PACKINGS:
        name = name.removesuffix(packing)
    return name.rpartition(".")[2]
