"""Texts and their translations or summaries, in any form: {source, target} with languages, or {document, summary}."""

from __future__ import annotations

import math
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from pydantic import Field

from penjing.base.errors import DataError, PenjingError
from penjing.base.files import existing
from penjing.base.progress import tell
from penjing.base.readers.parallel import LANGUAGE, parallel_files, plain, read_parallel
from penjing.base.readers.source import Record, Source, format_of
from penjing.base.records import read_records
from penjing.tasks.two_sides import FORMS, SUMMARIES, in_our_form, pair_of
from penjing.text import kind
from penjing.text.clean import Tally
from penjing.text.parallel import View
from penjing.text.splits import TRAIN

KEPT = ("source", "target", "source_lang", "target_lang", "references")
MARK = "summaries"  # a field of records that are to be written as document and summary
SHORT = 10  # characters: the lengths of short texts say little
Numbers = MutableSequence[int]
OTHER = {"source": "target", "target": "source", "source_lang": "target_lang", "target_lang": "source_lang"}


@dataclass
class Kind(kind.Kind):
    """Neither text of a training pair may stand in valid or test: read from either side, it would be known beforehand."""

    languages: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z_]+-[A-Za-z_]+$", description="source and target, as en-de; turns pairs round"),
    ] = None
    both: Annotated[bool, Field(description="learn the other direction too: each training pair also turned round")] = (
        False
    )
    longest: Annotated[int | None, Field(ge=1, description="drop training pairs with a text of more characters")] = None
    ratio: Annotated[
        float | None, Field(gt=1, description="drop training pairs whose lengths differ so many times more than usual")
    ] = None

    FIELDS: ClassVar[Sequence[str]] = tuple(dict.fromkeys((*KEPT, *(name for form in FORMS for name in form))))
    USUAL: ClassVar[Mapping[str, Any]] = {"empty": "drop", "across_splits": "equal"}

    lengths: Numbers = field(default_factory=lambda: array("i"), init=False)  # of source and target of each record
    groups: Numbers = field(default_factory=lambda: array("i"), init=False)  # the number of its pair of languages
    numbers: dict[str, int] = field(default_factory=dict, init=False)  # pair of languages -> number

    def found(self, folder: Path, split: str) -> list[Path]:
        first = (self.languages or "").split("-")[0]
        wanted = self.languages if first and any(existing(folder).glob(f"{split}.{first}*")) else None
        return super().found(folder, split) or list(parallel_files(folder, split, wanted) or ())

    def sources(self, files: Sequence[Path]) -> list[Source]:
        return [plain(file, self.encoding) for file in files] if lines_of_two(files) else super().sources(files)

    def given(self, split: str, files: Sequence[Path]) -> Iterable[Record]:
        if lines_of_two(files):
            return read_parallel(*files, self.encoding)
        columns = self.columns if split != "joined" else {}
        return read_records(files, columns=columns or columns_of(files[0]), encoding=self.encoding)

    def read(self, split: str, files: Sequence[Path]) -> Iterator[kind.Fields]:
        for record in super().read(split, files):
            self.lengths.extend((len(record["source"]), len(record["target"])))
            self.groups.append(self.numbers.setdefault(pair_of(record), len(self.numbers)))
            yield record

    def normal(self, record: Record, split: str) -> kind.Fields:
        """The record's own fields, composed and trimmed, with the languages that were said, in the direction wanted."""
        ours = in_our_form(record)
        for name in ("source", "target"):
            if not isinstance(ours.get(name), str | None):
                raise DataError("P-DATA-021", field=name, given=ours[name])
            if name not in ours:
                raise DataError("P-DATA-054", field=name, known=ours)
        found = {name: composed(ours[name]) for name in KEPT if ours.get(name) is not None}
        found |= {MARK: True} if any(name in ours for name in SUMMARIES) else {}
        if self.languages is not None and split != "joined":
            source, target = self.languages.split("-")
            if (found.get("source_lang"), found.get("target_lang")) == (target, source):
                return turned(found)
            found |= {"source_lang": source, "target_lang": target}
        if self.both and split in ("train", "joined") and not (found.get("source_lang") and found.get("target_lang")):
            raise DataError("P-DATA-053")
        return found

    def lacking(self, record: kind.Fields, split: str) -> Iterator[PenjingError]:
        for name in ("source", "target"):
            if not record.get(name):
                yield DataError("P-TASK-070", field=name)

    def view(self, record: kind.Fields) -> View:
        source, target = record["source"], record["target"]
        return View(f"{source}\n{target}", f"{source}\0{target}\0{pair_of(record)}", (source, target))

    def unfit(self, splits: np.ndarray) -> Iterable[int]:
        lengths, train = np.array(self.lengths).reshape(-1, 2), splits == TRAIN
        long = train & (lengths.max(axis=1, initial=0) > (self.longest or math.inf))
        odd = train & ~long & self.odd(lengths, train) if self.ratio else np.zeros_like(train)
        for name, which in (("longest", long), ("ratio", odd)):
            if getattr(self, name) is not None:
                self.dropped[name] = Tally(dropped=int(which.sum()))
        return np.flatnonzero(long | odd)

    def odd(self, lengths: np.ndarray, train: np.ndarray) -> np.ndarray:
        """Which pairs have lengths that are unlike those in the middle of their languages; short texts count as longer."""
        source, target = np.log(np.maximum(SHORT, lengths)).T
        times, groups = target - source, np.array(self.groups)
        usual = np.zeros(len(times))
        for group in np.unique(groups[train]):
            usual[groups == group] = np.median(times[train & (groups == group)])
        return np.abs(times - usual) > math.log(self.ratio or 1)

    def written(self, record: kind.Fields, split: str) -> Iterator[kind.Fields]:
        yield by_own_names(record)
        if self.both and split == "train":
            yield by_own_names(turned(record))


def lines_of_two(files: Sequence[Path]) -> bool:
    """Are these two files whose lines belong together, such as train.en and train.de?"""
    return len(files) == 2 and not any(format_of(file)[0] for file in files)


def columns_of(file: Path) -> dict[str, str] | None:
    """The columns of a table without usual names: two languages, or no header at all, and then the first two."""
    if format_of(file)[0] not in ("csv", "tsv"):
        return None
    names = list(next(iter(read_records(file)), {}))
    if len(names) not in (2, 3) or "source" in in_our_form(dict.fromkeys(names, "")):
        return None
    if all(LANGUAGE.fullmatch(name) for name in names[:2]):
        return dict(zip(("source", "target"), names, strict=False))
    tell("note", "read", f"{file.name}: no header row; its first column is the source, its second the target")
    return {"source": "1", "target": "2"}


def composed(value: Any) -> Any:
    """A text, or each of a list of texts, composed and trimmed."""
    if isinstance(value, list | tuple):
        return [composed(one) for one in value]
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value


def turned(record: Mapping[str, Any]) -> kind.Fields:
    """A pair in the other direction."""
    return {name: record[theirs] for name, theirs in OTHER.items() if theirs in record}


def by_own_names(record: Mapping[str, Any]) -> kind.Fields:
    """A record as it is written: summaries by their own names."""
    kept = {name: value for name, value in record.items() if name != MARK}
    return kept if MARK not in record else {"document": kept.pop("source"), "summary": kept.pop("target"), **kept}
