"""Tokens with tags, or texts with entities, in any known form: {tokens, tags, text}, perhaps {offsets}.

Tags are written in the scheme of the training tags, IOB1 as BIO.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from penjing.base.errors import PenjingError, raise_all
from penjing.base.progress import tell
from penjing.base.records import Record
from penjing.tasks.tag import tell_strays
from penjing.tasks.tag_records import normal, problems, spelled
from penjing.tasks.tag_scores import entities
from penjing.text import kind
from penjing.text.parallel import View
from penjing.text.tagging import Scheme, cut, joined, keeps_to_iob1, scheme_of, strays


@dataclass
class Kind(kind.Kind):
    """Published figures are of all training sentences: repeated ones stay unless they stand in valid or test."""

    FIELDS: ClassVar[Sequence[str]] = ("tokens", "tags", "text", "entities")
    USUAL: ClassVar[Mapping[str, Any]] = {"exact_duplicates": False, "across_splits": "equal"}

    seen: set[str] = field(default_factory=set, init=False)  # tags of train
    strays: Counter[str] = field(default_factory=Counter, init=False)  # by split
    inside: Counter[str] = field(default_factory=Counter, init=False)  # borders inside words, by split
    iob1: dict[str, set[bool | None]] = field(default_factory=dict, init=False)  # by split

    def read(self, split: str, files: Sequence[Path]) -> Iterator[kind.Fields]:
        for record in super().read(split, files):
            self.seen.update(record["tags"] if split in ("train", "joined") else ())
            self.strays[split] += strays(record["tags"])
            self.iob1.setdefault(split, set()).add(keeps_to_iob1(record["tags"]))
            self.inside[split] += len(record["tokens"]) - len(cut(record["text"])) if "offsets" in record else 0
            yield record

    def normal(self, record: Record, split: str) -> kind.Fields:
        found = normal(record)
        raise_all(list(problems([found], learn="tags" in found)))
        return found

    def lacking(self, record: kind.Fields, split: str) -> Iterable[PenjingError]:
        return () if "tags" in record else problems([record], learn=True)

    def view(self, record: kind.Fields) -> View:
        words = " ".join(record["tokens"])
        return View(text_of(record), f"{words}\n{' '.join(record['tags'])}", (words,))

    @cached_property
    def scheme(self) -> Scheme:
        """The scheme of the training tags, once all are read."""
        return scheme_of(self.seen)

    def written(self, record: kind.Fields, split: str) -> Iterable[kind.Fields]:
        kept = {name: record[name] for name in ("tokens", "tags", "offsets") if name in record}
        yield {"text": text_of(record)} | kept | {"tags": spelled(record, self.scheme)}

    def counted(self, record: kind.Fields) -> Mapping[str, Any]:
        found = Counter(span.type for span in entities(record["tags"], self.scheme, False))
        return {"tokens": len(record["tokens"]), "entities": found}

    def facts(self) -> dict[str, Any]:
        for split, count in self.strays.items():
            self.strays[split] = 0 if self.scheme == "none" else tell_strays(count, self.iob1[split])
        for split, count in self.inside.items():
            if count:
                told = "entities begin or end inside a word, which is cut there; in plain text it is one token"
                tell("warning", "clean", f"{split}: {count} {told}", borders=count)
        return {"strays": dict(self.strays), "borders_inside_words": dict(self.inside)}


def text_of(record: Mapping[str, Any]) -> str:
    """A record's own text, or its tokens as one."""
    return record["text"] if "offsets" in record else joined(record["tokens"])[0]
