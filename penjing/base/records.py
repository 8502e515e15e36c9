"""All data enters as records and leaves as records: dicts with named fields that know their file and line.

read_records streams plain text, JSON (lines, lists, SQuAD), CSV, TSV, CoNLL and Parquet, each also .gz or .zst, from a file,
a folder or a glob. When a record is broken, no later one is given: the rest is only checked, and one error at the end counts all.
"""

from __future__ import annotations

import glob
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from penjing.base.errors import DataError, PenjingError, raise_all
from penjing.base.files import absent, existing, whole_file
from penjing.base.progress import tell
from penjing.base.readers.conll import read_conll, with_usual
from penjing.base.readers.encoding import SAMPLE, check_name, detect
from penjing.base.readers.json_document import read_json
from penjing.base.readers.opened import opened, unpacked
from penjing.base.readers.parquet import parquet_file, read_parquet
from penjing.base.readers.plain import read_plain
from penjing.base.readers.source import ENDINGS, Problems, Reader, Record, Source, format_of
from penjing.base.readers.table import read_table

Paths = str | Path | Sequence[str | Path]
READERS: dict[str, Reader] = {
    "text": read_plain, "jsonl": read_json, "csv": read_table, "tsv": read_table, "parquet": read_parquet,
    "conll": read_conll,
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """What a first look at a source shows."""

    format: str
    encoding: str
    columns: list[str]
    samples: list[Record]
    records: int  # counted, or estimated from the records read
    counted: bool  # is `records` a count?
    bytes: int  # on disk
    files: list[str] = field(default_factory=list)


def read_records(
    source: Paths,
    *,
    columns: Mapping[str, str] | None = None,
    needs: Sequence[str] = (),
    encoding: str = "auto",
    nulls: Literal["error", "keep"] = "error",
    lacking: Sequence[str] = (),
) -> Iterator[Record]:
    """Stream records. `columns` names their column for our field; a field in `needs` must be there and not be null.

    nulls: `keep` gives records with null in a needed field. lacking: fields that an object may lack; it is null there.
    """
    found = sources(source, encoding)
    for one in found:
        if one.encoding not in ("utf-8", "utf-8-sig") and one.evidence != "given":
            tell("note", "read", f"{one.path}: read as {one.encoding} ({one.evidence})", file=str(one.path))
    return checked(found, dict(columns or {}), tuple(needs), nulls == "error", tuple(lacking))


def checked(
    found: list[Source], columns: dict[str, str], needs: tuple[str, ...], no_nulls: bool, lacking: tuple[str, ...]
) -> Iterator[Record]:
    """The records of all files while no problem has been met; then the problems."""
    problems = Problems()
    for source in found:
        count = 0
        before = problems.count
        for record in one_file(source, columns, needs, problems):
            count += 1
            record = named(record, columns)
            record.update((name, None) for name in lacking if name not in record)
            if fits(record, needs, columns, problems, no_nulls) and not problems.count:
                yield record
        if not count and problems.count == before:
            problems.add("P-DATA-001", file=source.path)
    problems.raise_all()


def one_file(source: Source, columns: dict[str, str], needs: Iterable[str], problems: Problems) -> Iterator[Record]:
    """Records of one file; a table's header is checked here, once, and columns given by position are named."""
    records = READERS[source.format](source, problems)
    if source.format == "conll":
        return with_usual(records, columns, problems)
    if source.format not in ("csv", "tsv", "parquet"):
        return records
    header = next(records, None)
    if header is None:
        return iter(())
    names = list(header)
    if by_number(list(columns.values()), names) and source.format != "parquet":
        return by_position(records, names)
    wanted = {name: name for name in needs} | columns
    missing = [(ours, theirs) for ours, theirs in wanted.items() if theirs not in names]
    for ours, theirs in missing:
        problems.add("P-DATA-017", file=source.path, given=theirs, known=names, ours=ours)
    return iter([]) if missing else without_header(records, source.format)


def by_number(asked: list[str], names: list[str]) -> bool:
    """Are columns asked for by their places? The first row of a table without a header may hold such a number too."""
    return bool(asked) and all(map(str.isdecimal, asked)) and not all(column in names for column in asked)


def without_header(records: Iterator[Record], format: str) -> Iterator[Record]:
    """The reader of tables gives its first row as data too, for files without a header."""
    return itertools.islice(records, 0 if format == "parquet" else 1, None)


def by_position(records: Iterator[Record], names: list[str]) -> Iterator[Record]:
    """A table without a header row: its columns are called 1, 2, 3 …"""
    for record in records:
        yield Record(((str(i), record[name]) for i, name in enumerate(names, 1)), record.file, record.line)


def named(record: Record, columns: dict[str, str]) -> Record:
    """Their columns under our names; the other fields as they are."""
    if not columns:
        return record
    theirs = set(columns.values())
    fields = {name: value for name, value in record.items() if name not in theirs and name not in columns}
    fields.update((our, record[their]) for our, their in columns.items() if their in record)
    return Record(fields, record.file, record.line)


def fits(record: Record, needs: Iterable[str], columns: dict[str, str], problems: Problems, no_nulls: bool) -> bool:
    """Are the needed fields there?"""
    count = problems.count
    for name in (*needs, *(c for c in columns if c not in needs)):
        place = {"file": record.file, "line": record.line}
        if name not in record:
            known = [f for f in record if f not in columns]
            problems.add("P-DATA-017", given=columns.get(name, name), known=known, ours=name, **place)
        elif no_nulls and record[name] is None and name in needs:
            problems.add("P-DATA-018", field=columns.get(name, name), **place)
    return problems.count == count


def sources(source: Paths, encoding: str = "auto") -> list[Source]:
    """The files of a source in order, each with its format and encoding; what cannot be read is told at once."""
    paths = [source] if isinstance(source, str | Path) else list(source)
    files = [file for path in paths for file in files_of(Path(path))]
    found, problems = [], []
    for path in dict.fromkeys(files):
        try:
            found.append(identified(path, encoding))
        except PenjingError as error:
            problems.append(error)
    raise_all(problems)
    formats = sorted({one.format for one in found})
    if len(formats) > 1:
        examples = ", ".join(next(o.path.name for o in found if o.format == f) for f in formats)
        raise DataError("P-DATA-005", file=paths[0], given=", ".join(formats), examples=examples)
    return found


def files_of(path: Path) -> list[Path]:
    """The data files that a path, folder or glob names, sorted."""
    if path.is_file():
        return [path]
    if path.is_dir():
        everything = sorted(p for p in path.rglob("*") if p.is_file() and not hidden(p, path))
        files = [p for p in everything if format_of(p)[0]]
        others = [p.name for p in everything if not format_of(p)[0]]
        if not files:
            raise DataError("P-DATA-002", file=path, endings=" ".join(ENDINGS))
        if others:
            tell("note", "read", f"{path}: not data, passed over: {', '.join(others[:5])} ({len(others)})")
        return files
    files = [Path(p) for p in sorted(glob.glob(str(path), recursive=True)) if Path(p).is_file()]
    if not files and glob.has_magic(str(path)):
        raise DataError("P-DATA-003", given=str(path))
    if not files:
        raise absent(path)
    return files


def split_file(data: Path, split: str) -> Path | None:
    """The file of a split: `train.jsonl`, or another of the name in a form that is known."""
    folder = existing(data)
    found = [folder / f"{split}.jsonl", *sorted(folder.glob(f"{split}.*"))]
    return next((file for file in found if file.is_file() and format_of(file)[0]), None)


def hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def identified(path: Path, encoding: str) -> Source:
    """Format by the file's name, encoding by its bytes unless it is given."""
    format, packing = format_of(path)
    if format is None:
        raise DataError("P-DATA-004", file=path, given=path.suffix or path.name, known=ENDINGS)
    source = Source(path, format, packing)
    with opened(source) as file:
        sample = b"" if format == "parquet" else file.read(SAMPLE)
    if format == "parquet":
        return replace(source, evidence="parquet")
    if encoding != "auto":
        return replace(source, encoding=check_name(encoding, path))
    found, evidence = detect(sample, path, whole=len(sample) < SAMPLE)
    return replace(source, encoding=found, evidence=evidence)


def look(source: Paths, *, encoding: str = "auto", most: int = 1000) -> Look:
    """A first look at a source: format, encoding, columns, the first records, and how many there are."""
    found = sources(source, encoding)
    size = sum(one.path.stat().st_size for one in found)
    first = list(itertools.islice(read_records(source, encoding=encoding), most + 1))
    columns = list(dict.fromkeys(name for record in first for name in record))
    counted = len(first) <= most
    count = len(first) if counted else estimate(found, first, size)
    if found[0].format == "parquet":
        count, counted = sum(rows(one) for one in found), True
    encodings = sorted({one.encoding for one in found})
    files = [str(one.path) for one in found]
    return Look(found[0].format, ", ".join(encodings), columns, first[:5], count, counted, size, files)


def rows(source: Source) -> int:
    with parquet_file(source) as table:
        return table.metadata.num_rows


def estimate(found: list[Source], first: list[Record], size: int) -> int:
    """Records in all, from the bytes that the first ones take, as packed as the file's beginning is."""
    with open(found[0].path, "rb") as file:
        read = len(unpacked(file, found[0].packing).read(SAMPLE * 16))
        ratio = read / max(file.tell(), 1)
    used = sum(len(line_of(record)) for record in first)
    return max(int(size * ratio * len(first) / max(used, 1)), len(first))


def write_records(path: str | Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write JSON lines, whole or not at all; returns how many. Half a surrogate pair is written as an escape."""
    count = 0
    with whole_file(path, "wb") as file:
        for record in records:
            file.write(line_of(record))
            count += 1
    return count


def line_of(record: Mapping[str, Any]) -> bytes:
    """One record as a JSON line in UTF-8."""
    try:
        return (json.dumps(record, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(record) + "\n").encode()
