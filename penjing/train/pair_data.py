"""Pairs of texts from files: read in any form, cleaned of what teaches nothing, split, cut down, joined."""

from __future__ import annotations

import math
import statistics
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import DataError, raise_all
from penjing.base.files import existing
from penjing.base.progress import tell
from penjing.base.readers.parallel import LANGUAGE, parallel_files, read_parallel
from penjing.base.readers.source import format_of
from penjing.base.records import read_records
from penjing.tasks.two_sides import SUMMARIES, in_our_form, pair_of
from penjing.train.prepare import split_file

KEPT = ("source", "target", "source_lang", "target_lang", "references")
MARK = "summaries"  # a field of records that are to be written as document and summary
SHORT = 10  # characters: the lengths of short texts say little
Pairs = list[dict[str, Any]]


@dataclass(frozen=True)
class Reading:
    """Where the pairs of each split are. `names`: files by split, where they are not found by themselves."""

    folder: Path
    names: Mapping[str, str | None]
    columns: Mapping[str, str] | None
    languages: str | None

    def files(self, split: str) -> list[Path]:
        """The file of a split, or its two files; none where it is absent."""
        folder, name = existing(self.folder), self.names.get(split)
        if name is not None:
            return [existing(folder / name)]
        single = split_file(folder, split)
        if single is not None:
            return [] if single.name in self.names.values() else [single]  # one file serves one split
        return list(parallel_files(folder, split, self.languages if self.wanted(split) else None) or ())

    def wanted(self, split: str) -> bool:
        """Are there files `split.<language>` at all? Then the languages asked for must be among them."""
        first = (self.languages or "").split("-")[0]
        return bool(first) and any(self.folder.glob(f"{split}.{first}*"))

    def split(self, split: str) -> Pairs:
        """The pairs of a split in our form, in the direction that is wanted; all that is wrong is told at once."""
        files = self.files(split)
        if not files:
            return []
        if len(files) == 2:
            given = read_parallel(*files)
        else:
            given = read_records(files[0], columns=self.columns or columns_of(files[0]))
        found, problems, count = [], list[DataError](), 0
        for record in map(in_our_form, given):
            wrong = next((name for name in ("source", "target") if not isinstance(record.get(name), str | None)), None)
            lacking = next((name for name in ("source", "target") if name not in record), None)
            if wrong or lacking:
                count += 1
                problems += [problem(record, wrong, lacking)] if len(problems) < 11 else []
            else:
                found.append(self.turned_as_asked(record))
        raise_all(problems + problems[-1:] * (count - len(problems)))
        return found

    def turned_as_asked(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """The record's own fields, with the languages that were said; turned round where they are the other way."""
        kept = {name: record[name] for name in KEPT if record.get(name) is not None}
        kept |= {name: record.get(name) or "" for name in ("source", "target")}
        kept |= {MARK: True} if any(name in record for name in SUMMARIES) else {}
        if self.languages is None:
            return kept
        source, target = self.languages.split("-")
        if (kept.get("source_lang"), kept.get("target_lang")) == (target, source):
            return turned([kept])[0]
        return kept | {"source_lang": source, "target_lang": target}


def problem(record: Mapping[str, Any], wrong: str | None, lacking: str | None) -> DataError:
    """What is wrong with a record."""
    place = {"file": getattr(record, "file", None), "line": getattr(record, "line", None)}
    if wrong:
        return DataError("P-DATA-021", field=wrong, given=record[wrong], **place)
    return DataError("P-DATA-054", field=lacking, known=record, **place)


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


def cleaned(
    found: Mapping[str, Pairs], longest: int | None, ratio: float | None
) -> tuple[dict[str, Pairs], dict[str, int]]:
    """Texts in Unicode's composed form and trimmed; what teaches nothing, or would be known beforehand, is dropped."""
    kept, dropped = {}, {"empty": 0}
    for split, records in found.items():
        whole = [tidy(record) for record in records]
        kept[split] = [record for record in whole if record["source"] and record["target"]]
        dropped["empty"] += len(whole) - len(kept[split])
    asked, whole = {folded(record["source"]) for record in kept["test"]}, len(kept["valid"])
    kept["valid"] = [record for record in kept["valid"] if folded(record["source"]) not in asked]
    dropped["valid_in_test"] = whole - len(kept["valid"])  # by it weights would be chosen on test
    known = texts_of(kept["valid"] + kept["test"])
    train, seen = kept["train"], set[tuple[str, ...]]()
    kept["train"] = []
    usual = usual_ratios(train) if ratio else {}
    reasons = dict.fromkeys(("duplicates", "in_valid_or_test", "too_long", "odd_lengths"), 0)
    for record in train:
        key = (record["source"], record["target"], pair_of(record))
        if key in seen:
            reason = "duplicates"
        elif {folded(record["source"]), folded(record["target"])} & known:
            reason = "in_valid_or_test"
        elif longest and max(len(record["source"]), len(record["target"])) > longest:
            reason = "too_long"
        elif ratio and abs(log_ratio(record) - usual[pair_of(record)]) > math.log(ratio):
            reason = "odd_lengths"
        else:
            seen.add(key)
            kept["train"].append(record)
            continue
        reasons[reason] += 1
    return kept, dropped | reasons


def tidy(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record with its texts composed and trimmed."""
    return {name: composed(value) for name, value in record.items()}


def composed(value: Any) -> Any:
    """A text, or each of a list of texts, composed and trimmed."""
    if isinstance(value, list | tuple):
        return [composed(one) for one in value]
    return unicodedata.normalize("NFC", value).strip() if isinstance(value, str) else value


def folded(text: str) -> str:
    """A text without case and spaces: two of one form are the same."""
    return "".join(text.lower().split())


def texts_of(records: Iterable[Mapping[str, Any]]) -> set[str]:
    """All sources and targets, folded."""
    return {folded(record[name]) for record in records for name in ("source", "target")}


def log_ratio(record: Mapping[str, Any]) -> float:
    """The logarithm of how many times longer the target is; short texts count as longer than they are."""
    return math.log(max(SHORT, len(record["target"])) / max(SHORT, len(record["source"])))


def usual_ratios(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """For each pair of languages the ratio in the middle."""
    groups: dict[str, list[float]] = {}
    for record in records:
        groups.setdefault(pair_of(record), []).append(log_ratio(record))
    return {name: statistics.median(values) for name, values in groups.items()}


def split_off(train: Pairs, shares: Mapping[str, float], seed: int) -> dict[str, Pairs]:
    """Whole groups of one source go to test and valid until each has its share; the rest is train."""
    if not shares:
        return {}
    groups: dict[str, list[int]] = {}
    for number, record in enumerate(train):
        groups.setdefault(folded(record["source"]), []).append(number)
    order = np.random.Generator(np.random.PCG64([seed, 3])).permutation(len(groups))
    members, found, taken = list(groups.values()), {}, 0
    for split, share in shares.items():
        numbers: list[int] = []
        while len(numbers) < max(1, round(share * len(train))) and taken < len(order) - 1:
            numbers += members[order[taken]]
            taken += 1
        found[split] = [train[number] for number in sorted(numbers)]
    rest = sorted(number for place in order[taken:] for number in members[place])
    return found | {"train": [train[number] for number in rest]}


def drawn(records: Pairs, most: int | None, seed: int) -> Pairs:
    """At most so many of the records, in their order."""
    if most is None or most >= len(records):
        return records
    chosen = np.random.Generator(np.random.PCG64([seed, 4])).permutation(len(records))[:most]
    return [records[int(number)] for number in np.sort(chosen)]


def joined(kept: Mapping[str, Pairs], others: Pairs) -> tuple[Pairs, int]:
    """The training pairs with others behind them, and how many of those stand in valid or test."""
    able = unknown(kept, others)
    return [*kept["train"], *able], len(others) - len(able)


def unknown(kept: Mapping[str, Pairs], records: Pairs) -> Pairs:
    """Those of which neither text stands in valid or test: read from either side, it would be known beforehand."""
    known = texts_of([*kept["valid"], *kept["test"]])
    return [one for one in records if not {folded(one["source"]), folded(one["target"])} & known]


def turned(records: Pairs) -> Pairs:
    """Pairs in the other direction. Raises P-DATA-053 for records that do not say their languages."""
    if not all(record.get("source_lang") and record.get("target_lang") for record in records):
        raise DataError("P-DATA-053")
    other = {"source": "target", "target": "source", "source_lang": "target_lang", "target_lang": "source_lang"}
    return [{name: record[theirs] for name, theirs in other.items() if theirs in record} for record in records]


def written(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record as it is written: summaries by their own names."""
    kept = {name: value for name, value in record.items() if name != MARK}
    if MARK not in record:
        return kept
    return {"document": kept.pop("source"), "summary": kept.pop("target"), **kept}
