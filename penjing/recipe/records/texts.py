"""Texts to clean, to pre-train on or to classify: {text}, perhaps {text_b}, {label} or {labels}, {id}."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from penjing.base.errors import DataError, PenjingError, raise_all
from penjing.base.records import Record, read_records
from penjing.text import kind
from penjing.text.clean import CleanOptions
from penjing.text.splits import SPLITS

PEEKED = 1000  # records that say whether there are labels


@dataclass
class Kind(kind.Kind):
    """Labels are text or numbers; the first records say whether there are any."""

    label_separator: Annotated[str | None, Field(description="what separates several labels in one cell")] = None
    html: Annotated[bool, Field(description="HTML entities and tags become plain text")] = True
    control: Annotated[bool, Field(description="drop control and invisible characters")] = True
    unicode: Annotated[bool, Field(description="Unicode normal form C")] = True
    whitespace: Annotated[bool, Field(description="single spaces, trimmed lines, one blank line at most")] = True
    boilerplate: Annotated[bool, Field(description="drop lines such as cookie notices and sharing buttons")] = True
    repeated_lines: Annotated[
        float, Field(ge=0, le=1, description="drop lines that stand in this share of documents (>= 20); 0: off")
    ] = 0.01
    personal: Annotated[
        Literal["off", "report", "mask"], Field(description="e-mails, phones, cards, addresses, keys")
    ] = "report"
    languages: Annotated[
        list[Literal["en", "zh", "mixed", "other"]] | None, Field(description="keep only these languages")
    ] = None
    min_characters: Annotated[int, Field(ge=1, description="drop shorter texts")] = 1
    max_characters: Annotated[int | None, Field(ge=1, description="drop longer texts")] = None

    FIELDS: ClassVar[Sequence[str]] = ("text", "text_b", "label", "labels", "id")
    SPLITS: ClassVar[Sequence[str]] = SPLITS[:4]
    USUAL: ClassVar[Mapping[str, Any]] = {"near_duplicates": True}

    label: str | None = field(default=None, init=False)  # the field of labels, once it is known
    needs: tuple[str, ...] = field(default=("text",), init=False)  # fields that the split being read must have

    @cached_property
    def rules(self) -> CleanOptions:
        languages = tuple(self.languages) if self.languages else None
        return CleanOptions(
            self.html, self.control, self.unicode, self.whitespace, self.boilerplate, self.personal, languages,
            self.min_characters, self.max_characters,
        )  # fmt: skip

    def check(self, splits: Iterable[str]) -> None:
        super().check(splits)
        if "label" in self.columns and "labels" in self.columns:
            raise DataError("P-DATA-020")
        self.label = next((name for name in ("label", "labels") if name in self.columns), None)  # else looked for

    def given(self, split: str, files: Sequence[Path]) -> Iterable[Record]:
        columns = {k: v for k, v in self.columns.items() if k == "text"} if split == "raw" else self.columns
        if split == "joined" or self.sources(files)[0].format == "text":
            columns = {}
        labelled = None if split == "raw" else self.label_field(files, columns)
        self.label = self.label or labelled
        if split != "raw" and self.label_separator and self.label == "label":
            raise DataError("P-DATA-033", file=files[0])
        labels = (self.label,) if self.label and split != "raw" else ()
        self.needs = ("text", *(("text_b",) if "text_b" in columns else ()), *labels)
        lacking = [labelled] if labelled and labelled == self.label and self.drop_empty else []
        return read_records(
            files, columns=columns, needs=self.needs, encoding=self.encoding, nulls="keep", lacking=lacking
        )

    def label_field(self, files: Sequence[Path], columns: Mapping[str, str]) -> str | None:
        """Which field of labels any of the first records has. What is wrong with them is told when all are read."""
        seen: set[str] = set()
        with contextlib.suppress(PenjingError):
            for record in islice(read_records(files, columns=columns, encoding=self.encoding, nulls="keep"), PEEKED):
                seen.update(record)
        return next((name for name in ("label", "labels") if name in seen), None)

    def normal(self, record: Record, split: str) -> kind.Fields:
        names = ("text",) if split == "raw" else (*self.needs, "text_b", "id")
        found = {name: record[name] for name in self.FIELDS if name in names and name in record}
        if any(found[name] is None for name in self.needs):
            return found
        if found.get("text_b", "") is None:
            del found["text_b"]
        place = {"file": record.file, "line": record.line}
        texts = [name for name in ("text", "text_b") if name in found]
        wrong = [DataError("P-DATA-021", field=name, given=found[name], **place)
                 for name in texts if not isinstance(found[name], str)]  # fmt: skip
        try:
            if self.label in found:
                found[self.label] = self.labels_of(found[self.label], place | {"field": self.label})
        except DataError as error:
            wrong += [error, *error.others]
        raise_all(wrong)
        return found

    def labels_of(self, value: Any, place: dict[str, Any]) -> str | list[str]:
        """One label as text, or several as a list of texts."""
        if self.label == "label":
            return label_of(value, place)
        if isinstance(value, str) and self.label_separator:
            value = [part.strip() for part in value.split(self.label_separator) if part.strip()]
        if not isinstance(value, list):
            raise DataError("P-DATA-023", given=value, **place)
        return list(dict.fromkeys(label_of(one, place) for one in value))

    def lacking(self, record: kind.Fields, split: str) -> Iterator[PenjingError]:
        for name in self.needs:
            if record[name] is None:
                yield DataError("P-DATA-018", field=self.columns.get(name, name))

    def view(self, record: kind.Fields) -> tuple[str, ...]:
        return (record["text"], record["text_b"]) if "text_b" in record else (record["text"],)

    def labels(self, record: Mapping[str, Any]) -> str | tuple[str, ...] | None:
        return tuple(sorted(record["labels"])) if "labels" in record else record.get("label")


def label_of(value: Any, place: dict[str, Any]) -> str:
    """A label as text: "spam", 3 -> "3", 3.0 -> "3" (tables with gaps hold whole numbers so), 2.5 -> "2.5", True ->
    "true"."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() else repr(value)
    if isinstance(value, str | int) and str(value).strip():
        return str(value).strip()
    raise DataError("P-DATA-022", given=value, **place)
