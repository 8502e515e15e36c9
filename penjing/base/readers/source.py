"""What is known of one file before it is read, the records that come out of it, and the problems found on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from penjing.base.errors import SHOWN, DataError, PenjingError, raise_all

ENDINGS = {
    ".txt": "text", ".text": "text",
    ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl",
    ".csv": "csv", ".tsv": "tsv", ".tab": "tsv",
    ".parquet": "parquet", ".pq": "parquet",
    ".conll": "conll", ".bio": "conll", ".iob": "conll", ".bmes": "conll",
}  # fmt: skip
PACKINGS = (".gz", ".zst")


class Record(dict):
    """A dict of named fields that knows its `file`, and its `line` from 1 (its number in Parquet, SQuAD, a list in one line)."""

    __slots__ = ("file", "line")

    def __init__(self, fields: object = (), file: str | None = None, line: int | None = None):
        super().__init__(fields)
        self.file, self.line = file, line


@dataclass(frozen=True)
class Source:
    """One file with the format and encoding it will be read in, and how the encoding is known."""

    path: Path
    format: str  # text, jsonl, csv, tsv, parquet
    packing: str  # "", ".gz" or ".zst"
    encoding: str = "utf-8"
    evidence: str = "given"


class Problems:
    """Counts all problems of one reading and keeps the first ones in full."""

    def __init__(self) -> None:
        self.kept: list[PenjingError] = []
        self.count = 0

    def add(self, code: str, **values: object) -> None:
        """Note one problem; only the first are built."""
        self.count += 1
        if len(self.kept) <= SHOWN:
            self.kept.append(DataError(code, **values))

    def take(self, *errors: PenjingError) -> None:
        """Note problems that are errors already."""
        self.count += len(errors)
        self.kept += errors[: max(0, SHOWN + 1 - len(self.kept))]

    def raise_all(self) -> None:
        """Raise nothing, or one error that counts all problems."""
        rest = self.count - len(self.kept)
        raise_all(self.kept + self.kept[-1:] * rest)


Reader = Callable[[Source, Problems], Iterator[Record]]


def format_of(path: Path) -> tuple[str | None, str]:
    """Format and packing by the endings of a file's name; the format is None when it is not known."""
    name, packing = path.name.lower(), ""
    for ending in PACKINGS:
        if name.endswith(ending):
            name, packing = name[: -len(ending)], ending
    return ENDINGS.get(Path(name).suffix), packing
