"""Entities by heart: the longest stretch of tokens that in training was an entity more often than not; of the scheme
`none`, the most frequent tag of each token.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.errors import EvaluateError
from penjing.base.files import read_json, whole_folder, write_json
from penjing.evaluate.classical import saved_task
from penjing.tasks.tag import answered
from penjing.text.tagging import Span, spans, tags_of

KIND = "tag_dictionary"
SHARE = 0.5  # of its places at which a stretch must be an entity

Records = Sequence[Mapping[str, Any]]
Words = tuple[str, ...]


class Baseline:
    """`entries`: stretch of tokens -> type (or tag), and at what share of its places it was that."""

    def __init__(
        self, task: Any, entries: dict[Words, tuple[str, float]], usual: str, facts: dict[str, Any] | None = None
    ):
        self.task, self.entries, self.usual, self.facts = task, entries, usual, facts or {}
        self.sizes: dict[str, list[int]] = sizes_by_first(entries)

    @classmethod
    def fit(cls, task: Any, train: Records, valid: Records | None = None, seed: int = 0) -> Baseline:
        """What the training records hold. Nothing is chosen on valid, and nothing by chance."""
        began = time.perf_counter()
        train = [task.normal(record) for record in train]
        if not train:
            raise EvaluateError("P-EVAL-001")
        tags = Counter(tag for record in train for tag in record["tags"])
        kinds = (tag_counts if task.scheme == "none" else entity_counts)(train)
        seen = places_of(kinds, train)
        best = {words: kinds[words].most_common(1)[0] for words in kinds}
        entries = {words: (kind, count / seen[words]) for words, (kind, count) in best.items()
                   if task.scheme == "none" or count > SHARE * seen[words]}  # fmt: skip
        facts = {"entries": len(entries), "seconds": round(time.perf_counter() - began, 3)}
        return cls(task, entries, tags.most_common(1)[0][0], facts)

    def answer(self, records: Records) -> list[dict[str, Any]]:
        """Tags and entities, as the task answers."""
        found = []
        for record in map(self.task.normal, records):
            tokens = list(record["tokens"])
            chances = [1.0] * len(tokens)
            if self.task.scheme == "none":
                known = [self.entries.get((token,), (self.usual, 0.0)) for token in tokens]
                tags, chances = [tag for tag, _ in known], [share for _, share in known]
            else:
                matches = self.matches(tokens)
                tags = tags_of([span for span, _ in matches], len(tokens), self.task.scheme)
                for span, share in matches:
                    chances[span.start : span.end] = [share] * (span.end - span.start)
            found.append(answered(record, tags, chances, self.task.scheme))
        return found

    def matches(self, tokens: Sequence[str]) -> list[tuple[Span, float]]:
        """The longest entries from left to right, none over another."""
        found, place = [], 0
        while place < len(tokens):
            for size in self.sizes.get(tokens[place], ()):
                entry = self.entries.get(tuple(tokens[place : place + size]))
                if entry is not None and place + size <= len(tokens):
                    found.append((Span(entry[0], place, place + size), entry[1]))
                    place += size - 1
                    break
            place += 1
        return found

    def save(self, folder: str | Path) -> None:
        """penjing.json and the entries."""
        with whole_folder(folder) as place:
            write_json(place / "entries.json", [[list(words), *entry] for words, entry in self.entries.items()])
            about = {"kind": KIND, "format": 1, "task": self.task.record(), "usual": self.usual, "facts": self.facts}
            write_json(place / "penjing.json", about)

    @classmethod
    def load(cls, folder: str | Path) -> Baseline:
        """What `save` wrote."""
        folder = Path(folder)
        about, entries = read_json(folder / "penjing.json", dict), read_json(folder / "entries.json", list)
        try:
            task = saved_task(about)
            found = {tuple(words): (kind, share) for words, kind, share in entries}
            return cls(task, found, about["usual"], about.get("facts"))
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluateError("P-EVAL-003", file=folder, reason=error) from error


def entity_counts(records: Records) -> dict[Words, Counter[str]]:
    """How often each stretch of tokens is an entity of each type."""
    found: dict[Words, Counter[str]] = defaultdict(Counter)
    for record in records:
        for span in spans(record["tags"]):
            found[tuple(record["tokens"][span.start : span.end])][span.type] += 1
    return found


def tag_counts(records: Records) -> dict[Words, Counter[str]]:
    """How often each token has each tag."""
    found: dict[Words, Counter[str]] = defaultdict(Counter)
    for record in records:
        for token, tag in zip(record["tokens"], record["tags"], strict=True):
            found[(token,)][tag] += 1
    return found


def sizes_by_first(entries: Mapping[Words, Any]) -> dict[str, list[int]]:
    """The sizes of the entries that begin with each token, the longest first."""
    found: dict[str, set[int]] = defaultdict(set)
    for words in entries:
        found[words[0]].add(len(words))
    return {word: sorted(sizes, reverse=True) for word, sizes in found.items()}


def places_of(entries: Mapping[Words, Any], records: Records) -> Counter[Words]:
    """How often each entry stands in the texts at all."""
    sizes, seen = sizes_by_first(entries), Counter()
    for record in records:
        tokens = tuple(record["tokens"])
        for place, token in enumerate(tokens):
            seen.update(
                words
                for size in sizes.get(token, ())
                if (words := tokens[place : place + size]) in entries and place + size <= len(tokens)
            )
    return seen
