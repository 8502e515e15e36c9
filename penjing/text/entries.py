"""Records at the door of the clean stage: which fields stay, and labels that are text or numbers."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from penjing.base.errors import DataError, PenjingError
from penjing.base.readers.source import Problems
from penjing.base.records import Record, read_records, sources

PEEKED = 1000  # records that say whether there are labels
KEPT = ("text", "text_b", "label", "labels", "id")


class Entries:
    """Reads the files of each split and checks each record; what is wrong is counted and raised at the end."""

    def __init__(
        self,
        folder: Path,
        columns: Mapping[str, str] | None,
        encoding: str,
        *,
        drop_empty: bool,
        label_separator: str | None,
    ):
        self.folder, self.columns, self.encoding = Path(folder), dict(columns or {}), encoding
        self.drop_empty, self.separator = drop_empty, label_separator
        self.empty = Counter[str]()
        self.files: dict[str, list[dict[str, Any]]] = {}
        check_columns(self.columns)
        self.label = next((name for name in ("label", "labels") if name in self.columns), None)  # else looked for

    def paths(self, patterns: str | Sequence[str]) -> list[Path]:
        return [self.folder / pattern for pattern in ([patterns] if isinstance(patterns, str) else patterns)]

    def read(self, split: str, patterns: str | Sequence[str]) -> Iterator[dict[str, Any]]:
        """The records of one split with the fields that stay. The first ones say whether there are labels."""
        paths = self.paths(patterns)
        found = sources(paths, self.encoding)
        self.files[split] = [
            {
                "file": str(one.path),
                "encoding": one.encoding,
                "evidence": one.evidence,
                "bytes": one.path.stat().st_size,
            }
            for one in found
        ]
        columns = self.columns if split != "raw" else {k: v for k, v in self.columns.items() if k == "text"}
        if found[0].format == "text":
            columns = {}
        labelled = None if split == "raw" else self.label_field(paths, columns)
        self.label = self.label or labelled
        if split != "raw" and self.separator and self.label == "label":
            raise DataError("P-DATA-033", file=paths[0])
        needs = ["text"] + (["text_b"] if "text_b" in columns else [])
        needs += [self.label] if self.label and split != "raw" else []
        nulls: Literal["keep", "error"] = "keep" if self.drop_empty else "error"
        lacking = [labelled] if labelled and labelled == self.label and self.drop_empty else []
        records = read_records(
            paths, columns=columns, needs=needs, encoding=self.encoding, nulls=nulls, lacking=lacking
        )
        return self.checked(split, records, needs)

    def label_field(self, paths: Sequence[Path], columns: Mapping[str, str]) -> str | None:
        """Which field of labels any of the first records has. What is wrong with them is told when all are read."""
        seen: set[str] = set()
        with contextlib.suppress(PenjingError):
            for record in islice(read_records(paths, columns=columns, encoding=self.encoding, nulls="keep"), PEEKED):
                seen.update(record)
        return next((name for name in ("label", "labels") if name in seen), None)

    def checked(self, split: str, records: Iterator[Record], needs: list[str]) -> Iterator[dict[str, Any]]:
        problems = Problems()
        for record in records:
            if any(record[name] is None for name in needs):
                self.empty[split] += 1
                continue
            kept = {
                name: record[name] for name in KEPT if name in record and (name in needs or name in ("text_b", "id"))
            }
            self.check_texts(record, kept, problems)
            if self.label in kept:
                kept[self.label] = self.labels_of(record, kept[self.label], problems)
            if not problems.count:
                yield kept if split != "raw" else {"text": kept["text"]}
        problems.raise_all()

    def check_texts(self, record: Record, kept: dict[str, Any], problems: Problems) -> None:
        for name in ("text", "text_b"):
            if name in kept and kept[name] is None:
                del kept[name]
            elif name in kept and not isinstance(kept[name], str):
                problems.add("P-DATA-021", file=record.file, line=record.line, field=name, given=kept[name])

    def labels_of(self, record: Record, value: Any, problems: Problems) -> Any:
        """One label as text, or several as a list of texts."""
        place = {"file": record.file, "line": record.line, "field": self.label}
        if self.label == "label":
            return label_of(value, problems, place)
        if isinstance(value, str) and self.separator:
            value = [part.strip() for part in value.split(self.separator) if part.strip()]
        if not isinstance(value, list):
            problems.add("P-DATA-023", given=value, **place)
            return []
        return list(dict.fromkeys(label_of(one, problems, place) for one in value))


def check_columns(columns: Mapping[str, str]) -> None:
    """Only fields of ours may be named."""
    wrong = [name for name in columns if name not in KEPT]
    if wrong:
        raise DataError("P-DATA-019", given=wrong[0], known=KEPT)
    if "label" in columns and "labels" in columns:
        raise DataError("P-DATA-020")


def label_of(value: Any, problems: Problems, place: dict[str, Any]) -> str:
    """A label as text: "spam", 3 -> "3", 3.0 -> "3" (tables with gaps hold whole numbers so), 2.5 -> "2.5", True ->
    "true"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() else repr(value)
    if isinstance(value, str | int) and str(value).strip():
        return str(value).strip()
    problems.add("P-DATA-022", given=value, **place)
    return ""


def chunks(
    records: Iterator[dict[str, Any]], most: int, characters: int
) -> Iterator[tuple[list[dict[str, Any]], list[tuple[str, ...]]]]:
    """Records in chunks of at most so many, or of about so many characters, each with its texts."""
    held: list[dict[str, Any]] = []
    size = 0
    for record in itertools.chain(records, [None]):
        if record is None or len(held) == most or size >= characters:
            if held:
                yield held, [texts_of(one) for one in held]
            held, size = [], 0
        if record is not None:
            held.append(record)
            size += len(record["text"])


def texts_of(record: Mapping[str, Any]) -> tuple[str, ...]:
    return (record["text"], record["text_b"]) if "text_b" in record else (record["text"],)
