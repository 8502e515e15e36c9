"""What the stage `clean` must know of a kind of records: how they are read, compared and written.

A kind is a dataclass `Kind` in a file of `recipe/records/`; its fields are its options. To add one: that file, and its
name in KINDS. Nothing here reads a file before `read` is called, and no kind holds records: they stream.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from penjing.base.errors import DataError, PenjingError, TrainError, raise_all
from penjing.base.readers.source import Problems, Record, Source
from penjing.base.records import read_records, sources, split_file
from penjing.text.clean import CleanOptions, Tally
from penjing.text.parallel import Item
from penjing.text.splits import SPLITS

Fields = dict[str, Any]


@dataclass
class Kind:
    """A kind of records for one run of the stage. What is told below is what most kinds do."""

    FIELDS: ClassVar[Sequence[str]] = ()  # that `columns` may name
    SPLITS: ClassVar[Sequence[str]] = SPLITS[:3]  # that may be named
    USUAL: ClassVar[Mapping[str, Any]] = {}  # of the stage's options that are left out

    columns: dict[str, str] = field(default_factory=dict, init=False)
    encoding: str = field(default="auto", init=False)
    drop_empty: bool = field(default=False, init=False)
    empty: Counter[str] = field(default_factory=Counter, init=False)  # dropped for lack of what is learnt, by split
    files: dict[str, list[Fields]] = field(default_factory=dict, init=False)  # what is known of each, by split
    dropped: dict[str, Tally] = field(default_factory=dict, init=False)  # training records, by the rule of a kind

    # ---- options ----

    @property
    def rules(self) -> CleanOptions | None:
        """The rules that texts are cleaned by; None: records stay as they are."""
        return None

    @property
    def repeated_lines(self) -> float:
        """The share of documents from which a line is dropped; 0: none is."""
        return 0.0

    def check(self, splits: Iterable[str]) -> None:
        """Only fields of ours may be named in `columns`, and only splits that such records have."""
        wrong = [name for name in self.columns if name not in self.FIELDS][:1]
        found: list[PenjingError] = [DataError("P-DATA-019", given=name, known=self.FIELDS) for name in wrong]
        if "raw" in splits and "raw" not in self.SPLITS:
            found.append(TrainError("P-TRAIN-007", option="raw", needs="records: texts"))
        raise_all(found)

    # ---- reading ----

    def found(self, folder: Path, split: str) -> list[Path]:
        """The files of a split, where none of any split is named."""
        file = split_file(folder, split)
        return [] if file is None else [file]

    def sources(self, files: Sequence[Path]) -> list[Source]:
        """The files with their formats and encodings; what cannot be read is an error."""
        return sources(files, self.encoding)

    def given(self, split: str, files: Sequence[Path]) -> Iterable[Record]:
        """The records as they are in the files, with our names for their columns."""
        return read_records(files, columns=self.columns if split != "joined" else {}, encoding=self.encoding)

    def normal(self, record: Record, split: str) -> Fields:
        """The record in the one form of its kind; what is wrong with it is raised, all at once."""
        raise AssertionError(f"{type(self).__name__} says nothing here")

    def lacking(self, record: Fields, split: str) -> Iterable[PenjingError]:
        """Why there is nothing to learn from a record: an error, or it is dropped."""
        return ()

    def read(self, split: str, files: Sequence[Path]) -> Iterator[Fields]:
        """The records of a split while nothing is wrong with any; at the end all that is."""
        problems = Problems()
        self.files[split] = [
            {
                "file": str(one.path),
                "encoding": one.encoding,
                "evidence": one.evidence,
                "bytes": one.path.stat().st_size,
            }
            for one in self.sources(files)
        ]
        for given in self.given(split, files):
            try:
                record = self.normal(given, split)
                wrong = list(self.lacking(record, split))
            except PenjingError as error:
                problems.take(*placed(given, error, *error.others))
                continue
            if wrong and self.drop_empty:
                self.empty[split] += 1
                continue
            problems.take(*placed(given, *wrong))
            if not problems.count:
                yield record
        problems.raise_all()

    # ---- comparing ----

    def view(self, record: Fields) -> Item:
        """What is compared of a record: a View, or the texts themselves where there are rules for them."""
        raise AssertionError(f"{type(self).__name__} says nothing here")

    def labels(self, record: Mapping[str, Any]) -> str | tuple[str, ...] | None:
        """What near duplicates may differ in, and what each share gets its part of."""
        return None

    def unfit(self, splits: np.ndarray) -> Iterable[int]:
        """The numbers of training records that are dropped once all are read. splits: the code of each record."""
        return ()

    # ---- writing ----

    def written(self, record: Fields, split: str) -> Iterable[Fields]:
        """What is written of a record; where there are rules for texts, the record itself."""
        return (record,)

    def counted(self, record: Fields) -> Mapping[str, Any]:
        """Numbers, or tables of numbers, that are summed over all records that are written of a split."""
        return {}

    def facts(self) -> dict[str, Any]:
        """What else the report tells, when all is written."""
        return {}


def placed(record: Record, *errors: PenjingError) -> Sequence[PenjingError]:
    """The errors with the place of the record that they are about."""
    for error in errors:
        error.file, error.line = record.file, record.line
    return errors
