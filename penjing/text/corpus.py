"""A whole corpus of any kind, cleaned in passes that stream: memory holds a few dozen bytes per record and no text.

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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.progress import tell
from penjing.base.records import line_of
from penjing.text.clean import SAMPLES, RepeatedLines, Tally, as_dict, excerpt
from penjing.text.duplicates import BANDS, equal, near_duplicates, similarity
from penjing.text.kind import Fields, Kind
from penjing.text.parallel import Done, Item, View, Work, all_chunks
from penjing.text.splits import DROPPED, SPLITS, Clusters, Decision

MOST, CHARACTERS = 4096, 200_000  # a chunk: records, characters
FLUSHED = 1 << 16


@dataclass
class Corpus:
    """The records that stay after a pass: on disk their lines and signatures, in memory their numbers."""

    folder: Path
    name: str
    kind: Kind
    splits: array[int] = field(default_factory=lambda: array("b"))
    labels: array[int] = field(default_factory=lambda: array("i"))
    lengths: array[int] = field(default_factory=lambda: array("i"))
    languages: array[int] = field(default_factory=lambda: array("b"))
    digests: array[int] = field(default_factory=lambda: array("Q"))
    keys: array[int] = field(default_factory=lambda: array("Q"))
    numbers: dict[Any, int] = field(default_factory=dict)  # label(s) -> number

    @property
    def lines(self) -> Path:
        return self.folder / f"{self.name}.records.part"

    @property
    def signatures(self) -> Path:
        return self.folder / f"{self.name}.signatures.part"

    def label_number(self, record: Mapping[str, Any]) -> int:
        label = self.kind.labels(record)
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

    def run(self, records: Iterable[tuple[str, Fields]]) -> Pass:
        """Clean (split, record) pairs and add those that stay to the corpus."""
        items = ((split, record, self.corpus.kind.view(record)) for split, record in records)
        with open(self.corpus.lines, "wb") as lines, open(self.corpus.signatures, "wb") as signed:
            for held, done in all_chunks(self.work, chunks(items, MOST, CHARACTERS), self.workers):
                self.account(done)
                self.keep(held, done, lines)
                signed.write(np.ascontiguousarray(done.signatures).data)
        return self

    def account(self, done: Done) -> None:
        for name, tally in done.tallies.items():
            self.tallies.setdefault(name, Tally()).add(tally)
        self.repeated.add(*done.cells)
        self.corpus.digests.frombytes(np.ascontiguousarray(done.digests).tobytes())
        self.corpus.keys.frombytes(np.ascontiguousarray(done.keys).tobytes())
        self.corpus.lengths.extend(done.lengths)
        self.corpus.languages.extend(map(LANGUAGES.index, done.languages))

    def keep(self, held: list[tuple[str, Fields]], done: Done, lines: Any) -> None:
        corpus, parts = self.corpus, []
        for (split, record), texts in zip(held, done.texts, strict=True):
            self.read[split] += 1
            if texts is None:
                continue
            record.update(zip(("text", "text_b"), texts, strict=False))
            corpus.splits.append(SPLITS.index(split))
            corpus.labels.append(corpus.label_number(record))
            parts.append(line_of(record))
        lines.write(b"".join(parts))
        self.done += len(held)
        tell("step", "clean", done=self.done, unit="records")


def chunks(
    records: Iterable[tuple[str, Fields, Item]], most: int, characters: int
) -> Iterator[tuple[list[tuple[str, Fields]], list[Item]]]:
    """Records in chunks of at most so many, or of about so many characters, each with what is done by workers."""
    held: list[tuple[str, Fields]] = []
    items: list[Item] = []
    size = 0
    for split, record, item in records:
        if len(held) == most or size >= characters:
            yield held, items
            held, items, size = [], [], 0
        held.append((split, record))
        items.append(item)
        size += len(item[0])
    if held:
        yield held, items


def read_back(corpus: Corpus) -> Iterator[tuple[str, Fields]]:
    """The records of an earlier pass with their splits."""
    with open(corpus.lines, "rb") as file:
        for code, line in zip(corpus.splits, file, strict=True):
            yield SPLITS[code], json.loads(line)


def clusters_of(corpus: Corpus, threshold: float) -> Clusters:
    """Who duplicates whom, exactly and nearly. Signatures stay on disk."""
    exact = equal(np.frombuffer(corpus.digests, "<u8").reshape(-1, 2))
    splits, labels = np.array(corpus.splits, np.int8), np.array(corpus.labels, np.int32)
    keys, first = None, exact
    if corpus.keys:
        rows = np.frombuffer(corpus.keys, "<u8").reshape(len(exact), -1, 2)
        keys, first = equal(rows.reshape(-1, 2)).reshape(rows.shape[:2]), equal(rows[:, 0])
    clusters = near_duplicates(signature_rows(corpus), threshold, first) if len(exact) else exact
    splits[np.fromiter(corpus.kind.unfit(splits), np.int64)] = DROPPED
    return Clusters(exact, clusters, splits, labels, strata(labels, list(corpus.numbers)), keys)


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


def write_splits(corpus: Corpus, decision: Decision, samples: set[int]) -> tuple[dict[str, Fields], dict[int, str]]:
    """Write each split's file; returns what was counted of each, and the texts of the records asked for."""
    counts: dict[str, Fields] = {}
    texts, as_they_are = {}, corpus.kind.rules is not None
    with contextlib.ExitStack() as stack, open(corpus.lines, "rb") as lines:
        files: dict[int, Any] = {}
        for number, line in enumerate(lines):
            code = int(decision.split[number])
            if number in samples:
                view = corpus.kind.view(json.loads(line))
                texts[number] = excerpt(view.text if isinstance(view, View) else view[0])
            if code == DROPPED:
                continue
            if code not in files:
                files[code] = stack.enter_context(open(corpus.folder / f"{SPLITS[code]}.jsonl", "wb", FLUSHED))
            found = counts.setdefault(SPLITS[code], {"records": 0})
            files[code].write(line if as_they_are else rewritten(corpus.kind, line, SPLITS[code], found))
            found["records"] += as_they_are
        for file in files.values():
            file.flush()
            os.fsync(file.fileno())
    return {split: counts[split] for split in SPLITS if split in counts}, texts


def rewritten(kind: Kind, line: bytes, split: str, counts: Fields) -> bytes:
    """A record as its kind writes it; it is counted."""
    written = list(kind.written(json.loads(line), split))
    for record in written:
        summed(counts, {"records": 1, **kind.counted(record)})
    return b"".join(map(line_of, written))


def summed(total: Fields, more: Mapping[str, Any]) -> None:
    """Add numbers, and tables of numbers, to those that are there."""
    for name, value in more.items():
        if isinstance(value, Mapping):
            summed(total.setdefault(name, {}), value)
        else:
            total[name] = total.get(name, 0) + value


def sampled(decision: Decision) -> set[int]:
    """The records whose texts stand in the report as samples of duplicates."""
    chosen = {int(i) for which in decision.found.values() for i in which[:SAMPLES]}
    return chosen | {int(decision.partner[i]) for i in chosen if 0 <= decision.partner[i] < len(decision.partner)}


def duplicates_report(corpus: Corpus, decision: Decision, texts: Mapping[int, str]) -> dict[str, Any]:
    """{what was found: {found, dropped, samples: [{text, of, similarity}]}}."""
    rows = signature_rows(corpus) if len(corpus.splits) else None
    report = {}
    for name, which in decision.found.items():
        samples = []
        for i in map(int, which[:SAMPLES]):
            partner = int(decision.partner[i])
            sample: dict[str, Any] = {"text": texts.get(i), "of": texts.get(partner)}
            if rows is not None and 0 <= partner < len(rows):
                sample["similarity"] = round(float(similarity(rows[i : i + 1], rows[partner : partner + 1])[0]), 3)
            samples.append(sample)
        report[name] = {"found": len(which), "dropped": len(which) * (name in decision.gone), "samples": samples}
    return report


def facts(corpus: Corpus, decision: Decision, counts: Mapping[str, Fields]) -> dict[str, Any]:
    """Per split: what was counted, characters, quantiles of length, languages, labels."""
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
            **counts[split],
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


def cleaned(
    out: Path, kind: Kind, files: Mapping[str, Sequence[Path]], workers: int
) -> tuple[Corpus, Counter[str], list[dict[str, Tally]]]:
    """Read, clean and sign everything, in the order of precedence; with the numbers read, and what the rules did."""
    records = ((split, record) for split in SPLITS if split in files for record in kind.read(split, files[split]))
    work = Work(kind.rules, lines=kind.repeated_lines > 0)
    one = Pass(Corpus(out, "one", kind), work, workers).run(records)
    if not work.lines or not one.repeated.found(kind.repeated_lines):
        return one.corpus, one.read, [one.tallies]
    work = Work(kind.rules, lines=False, repeated=(one.repeated.counts, one.repeated.least))
    two = Pass(Corpus(out, "two", kind), work, workers).run(read_back(one.corpus))
    one.corpus.remove()
    return two.corpus, one.read, [one.tallies, two.tallies]
