"""A whole corpus, cleaned in passes that stream: memory holds a few dozen bytes per record and no text.

pass 1   files ──clean, sign──▶ records.part (JSON lines) + signatures.part        all cores
pass 2   records.part ──without repeated lines──▶ the same again                   only if there are such lines
decide   signatures ──clusters──▶ the split of each record                         numbers alone
pass 3   records.part ──▶ train.jsonl valid.jsonl test.jsonl raw.jsonl
"""

from __future__ import annotations

import contextlib
import json
import os
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.progress import tell
from penjing.base.records import line_of
from penjing.text.clean import SAMPLES, CleanOptions, RepeatedLines, Tally, as_dict, excerpt
from penjing.text.duplicates import BANDS, equal, near_duplicates, similarity
from penjing.text.entries import Entries, chunks
from penjing.text.parallel import Done, Work, all_chunks
from penjing.text.splits import DROPPED, SPLITS, Clusters, Decision

MOST, CHARACTERS = 4096, 200_000  # a chunk: records, characters
FLUSHED = 1 << 16


@dataclass
class Corpus:
    """The records that stay after a pass: on disk their lines and signatures, in memory their numbers."""

    folder: Path
    name: str
    splits: array[int] = field(default_factory=lambda: array("b"))
    labels: array[int] = field(default_factory=lambda: array("i"))
    lengths: array[int] = field(default_factory=lambda: array("i"))
    languages: array[int] = field(default_factory=lambda: array("b"))
    digests: array[int] = field(default_factory=lambda: array("Q"))
    numbers: dict[Any, int] = field(default_factory=dict)  # label(s) -> number

    @property
    def lines(self) -> Path:
        return self.folder / f"{self.name}.records.part"

    @property
    def signatures(self) -> Path:
        return self.folder / f"{self.name}.signatures.part"

    def label_number(self, record: Mapping[str, Any]) -> int:
        label = tuple(sorted(record["labels"])) if "labels" in record else record.get("label")
        return -1 if label is None else self.numbers.setdefault(label, len(self.numbers))

    def remove(self) -> None:
        self.lines.unlink(missing_ok=True)
        self.signatures.unlink(missing_ok=True)


LANGUAGES = ("en", "zh", "mixed", "other")


class Pass:
    """One pass over records: cleans, tallies, and fills a Corpus."""

    def __init__(self, corpus: Corpus, work: Work, workers: int):
        self.corpus, self.work, self.workers = corpus, work, workers
        self.tallies: dict[str, Tally] = {}
        self.repeated = RepeatedLines()
        self.read = Counter[str]()
        self.done = 0

    def run(self, records: Iterable[tuple[str, dict[str, Any]]]) -> None:
        """Clean (split, record) pairs and add those that stay to the corpus."""
        with open(self.corpus.lines, "wb") as lines, open(self.corpus.signatures, "wb") as signed:
            for held, done in all_chunks(self.work, self.chunks(records), self.workers):
                self.account(done)
                self.keep(held, done, lines)
                signed.write(np.ascontiguousarray(done.signatures).data)

    def chunks(self, records: Iterable[tuple[str, dict[str, Any]]]) -> Iterator[Any]:
        return chunks((record | {"split": split} for split, record in records), MOST, CHARACTERS)

    def account(self, done: Done) -> None:
        for name, tally in done.tallies.items():
            self.tallies.setdefault(name, Tally()).add(tally)
        self.repeated.add(*done.cells)
        self.corpus.digests.frombytes(np.ascontiguousarray(done.digests).tobytes())

    def keep(self, held: list[dict[str, Any]], done: Done, lines: Any) -> None:
        corpus, languages, parts = self.corpus, iter(done.languages), []
        for record, texts in zip(held, done.texts, strict=True):
            split = record.pop("split")
            self.read[split] += 1
            if texts is None:
                continue
            record["text"] = texts[0]
            if len(texts) > 1:
                record["text_b"] = texts[1]
            corpus.splits.append(SPLITS.index(split))
            corpus.labels.append(corpus.label_number(record))
            corpus.lengths.append(sum(map(len, texts)))
            corpus.languages.append(LANGUAGES.index(next(languages)))
            parts.append(line_of(record))
        lines.write(b"".join(parts))
        self.done += len(held)
        tell("step", "clean", done=self.done, unit="records")


def read_back(corpus: Corpus) -> Iterator[tuple[str, dict[str, Any]]]:
    """The records of an earlier pass with their splits."""
    with open(corpus.lines, "rb") as file:
        for code, line in zip(corpus.splits, file, strict=True):
            yield SPLITS[code], json.loads(line)


def clusters_of(corpus: Corpus, near: bool, threshold: float) -> Clusters:
    """Who duplicates whom, exactly and nearly. Signatures stay on disk."""
    exact = equal(np.frombuffer(corpus.digests, "<u8").reshape(-1, 2))
    clusters = near_duplicates(signature_rows(corpus), threshold, exact) if near and len(exact) else exact
    splits, labels = np.array(corpus.splits, np.int8), np.array(corpus.labels, np.int32)
    return Clusters(exact, clusters, splits, labels, strata(labels, list(corpus.numbers)))


def strata(labels: np.ndarray, names: list[Any]) -> np.ndarray:
    """For each record the rarest of its labels, as a number; whole sets of labels may each occur once."""
    if all(isinstance(name, str) for name in names):
        return labels
    seen = Counter[str]()
    for number, count in zip(*np.unique(labels[labels >= 0], return_counts=True), strict=True):
        seen.update(dict.fromkeys(names[number], int(count)))
    places = {label: place for place, label in enumerate(seen)}
    rarest = [places[min(name, key=lambda label: (seen[label], label))] if name else len(places) for name in names]
    return np.where(labels < 0, -1, np.array(rarest, np.int32)[labels])


def signature_rows(corpus: Corpus) -> np.ndarray:
    return np.memmap(corpus.signatures, "<u8", "r").reshape(-1, BANDS)


def write_splits(corpus: Corpus, decision: Decision, samples: set[int]) -> tuple[dict[str, int], dict[int, str]]:
    """Write each split's file; returns their sizes and the texts of the records asked for."""
    counts, texts = Counter[str](), {}
    with contextlib.ExitStack() as stack, open(corpus.lines, "rb") as lines:
        files: dict[int, Any] = {}
        for number, line in enumerate(lines):
            code = int(decision.split[number])
            if number in samples:
                texts[number] = excerpt(json.loads(line)["text"])
            if code == DROPPED:
                continue
            if code not in files:
                files[code] = stack.enter_context(open(corpus.folder / f"{SPLITS[code]}.jsonl", "wb", FLUSHED))
            files[code].write(line)
            counts[SPLITS[code]] += 1
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    return dict(counts), texts


def sampled(decision: Decision) -> set[int]:
    """The records whose texts stand in the report as samples of duplicates."""
    chosen = {int(i) for which in decision.found.values() for i in which[:SAMPLES]}
    return chosen | {int(decision.partner[i]) for i in chosen if 0 <= decision.partner[i] < len(decision.partner)}


def duplicates_report(corpus: Corpus, decision: Decision, texts: Mapping[int, str], near: bool) -> dict[str, Any]:
    """{what was found: {found, samples: [{text, of, similarity}]}}."""
    rows = signature_rows(corpus) if near and len(corpus.splits) else None
    report = {}
    for name, which in decision.found.items():
        samples = []
        for i in map(int, which[:SAMPLES]):
            partner = int(decision.partner[i])
            sample: dict[str, Any] = {"text": texts.get(i), "of": texts.get(partner)}
            if rows is not None and 0 <= partner < len(rows):
                sample["similarity"] = round(float(similarity(rows[i : i + 1], rows[partner : partner + 1])[0]), 3)
            samples.append(sample)
        report[name] = {"found": len(which), "samples": samples}
    return report


def facts(corpus: Corpus, decision: Decision) -> dict[str, Any]:
    """Per split: records, characters, quantiles of length, languages, labels."""
    lengths, languages = np.array(corpus.lengths), np.array(corpus.languages)
    labels = np.array(corpus.labels)
    names = [name if isinstance(name, str) else list(name) for name in corpus.numbers]
    found = {}
    for code, split in enumerate(SPLITS):
        here = decision.split == code
        if not here.any():
            continue
        quantiles = np.percentile(lengths[here], (0, 5, 25, 50, 75, 95, 100)).round().astype(int).tolist()
        found[split] = {
            "records": int(here.sum()),
            "bytes": (corpus.folder / f"{split}.jsonl").stat().st_size,
            "characters": int(lengths[here].sum(dtype=np.int64)),
            "length_quantiles": dict(zip(("min", "5%", "25%", "50%", "75%", "95%", "max"), quantiles, strict=True)),
            "languages": {name: int((languages[here] == i).sum()) for i, name in enumerate(LANGUAGES)},
            "labels": label_counts(labels[here], names),
        }
    return found


def label_counts(numbers: np.ndarray, names: list[Any]) -> dict[str, int]:
    """How many records have each label; a record with several counts for each."""
    counts = Counter[str]()
    for number, count in zip(*np.unique(numbers[numbers >= 0], return_counts=True), strict=True):
        for label in [names[number]] if isinstance(names[number], str) else names[number]:
            counts[label] += int(count)
    return dict(sorted(counts.items()))


def tallied(*tallies: Mapping[str, Tally]) -> dict[str, Any]:
    """The rules' report over all passes; the second pass counts only what it adds."""
    together: dict[str, Tally] = {}
    for one in tallies:
        for name, tally in one.items():
            if name not in together or name not in ("personal",):
                together.setdefault(name, Tally()).add(tally)
    return {name: as_dict(tally) for name, tally in together.items()}


def entries_of(entries: Entries, patterns: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """All records in the order of precedence: test, valid, train, raw."""
    readers = {split: entries.read(split, patterns[split]) for split in SPLITS if patterns.get(split)}
    for split, records in readers.items():
        for record in records:
            yield split, record


def first_pass(
    corpus: Corpus, options: CleanOptions, entries: Entries, patterns: Mapping[str, Any], **how: Any
) -> Pass:
    """Read, clean and sign everything."""
    work = Work(options, near=how["near"], lines=how["lines"])
    one = Pass(corpus, work, how["workers"])
    one.run(entries_of(entries, patterns))
    return one


def second_pass(before: Corpus, corpus: Corpus, options: CleanOptions, repeated: RepeatedLines, **how: Any) -> Pass:
    """Everything again without the lines that stand in many documents."""
    work = Work(options, near=how["near"], lines=False, repeated=(repeated.counts, repeated.least))
    again = Pass(corpus, work, how["workers"])
    again.run(read_back(before))
    before.remove()
    return again
