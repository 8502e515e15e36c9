"""Cleaning, rule by rule, with counts and samples of what each rule did. Whole corpora: `recipe/stages/clean.py`."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any, Literal

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from penjing.text import rules
from penjing.text.language import language_of
from penjing.text.personal import find_personal, mask_personal

SAMPLES = 5  # kept per rule
ROUNDS = 8  # a rule can make work for another one; texts settle after two or three
CELLS = 1 << 21  # counters of repeated lines

RULES: dict[str, Callable[[str], str]] = {
    "html": rules.plain,
    "control": rules.printable,
    "unicode": rules.composed,
    "whitespace": rules.tidy,
    "boilerplate": rules.without_boilerplate,
}


@dataclass(config=ConfigDict(extra="forbid"), frozen=True)
class CleanOptions:
    """Which rules are used. Lengths count characters after cleaning."""

    html: bool = True
    control: bool = True
    unicode: bool = True
    whitespace: bool = True
    boilerplate: bool = True
    personal: Literal["off", "report", "mask"] = "report"
    languages: tuple[Literal["en", "zh", "mixed", "other"], ...] | None = None
    min_characters: int = 1
    max_characters: int | None = None


@dataclass
class Tally:
    """What one rule did: records changed and dropped, and the first samples."""

    changed: int = 0
    dropped: int = 0
    samples: list[dict[str, str]] = field(default_factory=list)
    kinds: dict[str, int] = field(default_factory=dict)

    def note(self, before: str, after: str | None) -> None:
        """Count one record that was changed, or dropped when `after` is None."""
        self.changed += after is not None
        self.dropped += after is None
        if len(self.samples) < SAMPLES:
            self.samples.append({"dropped": excerpt(before)} if after is None else around(before, after))

    def add(self, other: Tally) -> None:
        self.changed += other.changed
        self.dropped += other.dropped
        self.samples += other.samples[: SAMPLES - len(self.samples)]
        self.kinds = dict(Counter(self.kinds) + Counter(other.kinds))


def excerpt(text: str, start: int = 0) -> str:
    """Some 120 characters of a text, printable wherever they go."""
    piece = text[max(start - 40, 0) : max(start - 40, 0) + 120]
    return piece.encode("utf-8", "backslashreplace").decode() + ("…" if len(text) > start + 80 else "")


def around(before: str, after: str) -> dict[str, str]:
    """Both texts near the first place where they differ."""
    place, past = (
        0,
        min(len(before), len(after)) + 1,
    )  # the first `place` characters are equal, the first `past` are not
    while past - place > 1:
        middle = (place + past) // 2
        if before[:middle] == after[:middle]:
            place = middle
        else:
            past = middle
    return {"before": excerpt(before, place), "after": excerpt(after, place)}


class Cleaner:
    """Applies the rules to one record after another and keeps account. Duplicates are no matter of one record."""

    def __init__(self, options: CleanOptions | None = None, repeated: RepeatedLines | None = None):
        self.options, self.repeated = options or CleanOptions(), repeated
        self.rules = [(name, rule) for name, rule in RULES.items() if getattr(self.options, name)]
        self.tallies: dict[str, Tally] = {}

    def clean(self, records: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
        """The records that stay, with clean `text` (and `text_b`)."""
        for record in records:
            pair = (record["text"],) if record.get("text_b") is None else (record["text"], record["text_b"])
            cleaned = self.clean_texts(pair)
            if cleaned is not None:
                record["text"] = cleaned[0]  # type: ignore[index]
                if len(cleaned) > 1:
                    record["text_b"] = cleaned[1]  # type: ignore[index]
                yield record

    def clean_texts(self, texts: Sequence[str]) -> tuple[str, ...] | None:
        """The texts of one record, cleaned; None when a rule drops the record."""
        cleaned = tuple(self.changed(text) for text in texts)
        whole = "\n".join(cleaned)
        rule = self.dropping(cleaned, whole)
        if rule:
            self.note(rule, whole or "\n".join(texts), None)
            return None
        return tuple(self.personal(text) for text in cleaned) if self.options.personal != "off" else cleaned

    def changed(self, text: str) -> str:
        """The text after all rules, again until nothing changes: cleaning twice is cleaning once."""
        noted: set[str] = set()
        for _ in range(ROUNDS):
            before = text
            for name, rule in self.rules:
                text = self.apply(name, rule, text, noted)
            if self.repeated is not None:
                text = self.apply("repeated_lines", self.repeated.without, text, noted)
            if text == before:
                break
        return text

    def apply(self, name: str, rule: Callable[[str], str], text: str, noted: set[str]) -> str:
        after = rule(text)
        if after != text and name not in noted:
            noted.add(name)
            self.note(name, text, after)
        return after

    def note(self, name: str, before: str, after: str | None) -> None:
        """Count what a rule did. Samples show no personal data either, whole or cut."""
        tally = self.tally(name)
        if self.options.personal != "off" and len(tally.samples) < SAMPLES:
            before, after = mask_personal(before)[0], None if after is None else mask_personal(after)[0]
        tally.note(before, after)

    def dropping(self, texts: Sequence[str], whole: str) -> str | None:
        """The rule that drops the record, if any."""
        options = self.options
        if min(map(len, texts)) < options.min_characters:
            return "min_characters"
        if options.max_characters is not None and len(whole) > options.max_characters:
            return "max_characters"
        if options.languages is not None and language_of(whole) not in options.languages:
            return "languages"
        return None

    def personal(self, text: str) -> str:
        """Count personal data, and mask it if asked. A sample never shows the data itself."""
        if not find_personal(text):
            return text
        masked, kinds = mask_personal(text)
        tally = self.tally("personal")
        place = min(masked.find(f"[{kind.upper()}]") for kind in kinds)
        if len(tally.samples) < SAMPLES:
            tally.samples.append({"masked": excerpt(masked, place)})
        tally.kinds = dict(Counter(tally.kinds) + kinds)
        tally.changed += 1
        return masked if self.options.personal == "mask" else text

    def tally(self, name: str) -> Tally:
        return self.tallies.setdefault(name, Tally())

    def report(self) -> dict[str, Any]:
        """{rule: {changed, dropped, samples, kinds of personal data}}."""
        return {name: as_dict(tally) for name, tally in self.tallies.items()}


def as_dict(tally: Tally) -> dict[str, Any]:
    found: dict[str, Any] = {"changed": tally.changed, "dropped": tally.dropped, "samples": tally.samples}
    return found | ({"kinds": tally.kinds} if tally.kinds else {})


class RepeatedLines:
    """Finds lines that stand in many documents, in bounded memory: two counters per line in one table of CELLS.

    Counted are lines of 12 characters or more in documents of three lines or more, once per document.
    """

    def __init__(self, counts: np.ndarray | None = None, least: int = 0):
        self.counts = np.zeros(CELLS, np.uint32) if counts is None else counts
        self.documents, self.least = 0, least

    def add(self, cells: np.ndarray, documents: int) -> None:
        """Count the cells (M x 2) of the lines of some documents."""
        np.add.at(self.counts, cells.ravel(), 1)
        self.documents += documents

    def found(self, share: float, documents: int = 20) -> bool:
        """Fix how many documents make a line boilerplate; is there such a line?"""
        self.least = max(int(share * self.documents), documents)
        return bool((self.counts >= self.least).any())

    def without(self, text: str) -> str:
        """The text without its repeated lines."""
        lines = text.split("\n")
        if len(lines) < 3:
            return text
        return "\n".join(line for line in lines if len(line) < 12 or self.counts[cells_of(line)].min() < self.least)


def cells_of(line: str) -> list[int]:
    digest = hashlib.blake2b(line.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return [int.from_bytes(digest[:4], "little") % CELLS, int.from_bytes(digest[4:], "little") % CELLS]


def line_cells(texts: Iterable[str]) -> tuple[np.ndarray, int]:
    """Cells of the lines that count in these documents (M x 2), and the number of documents of three lines or more."""
    cells, documents = [], 0
    for text in texts:
        lines = text.split("\n")
        if len(lines) >= 3:
            documents += 1
            cells += [cells_of(line) for line in {line for line in lines if len(line) >= 12}]
    return np.array(cells, np.int64).reshape(-1, 2), documents
