"""Which paraphrases of training records are worth keeping: other words, like content, nothing of valid or test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penjing.text.overlap import f1, words


class Sieve:
    """Passes a paraphrase once. `held`: texts that no paraphrase may be equal to, word by word."""

    def __init__(self, held: Iterable[str], least: float, ratio: float):
        self.seen = {plain(text) for text in held}
        self.least, self.ratio = least, ratio
        self.dropped: Counter[str] = Counter()

    def passes(self, text: str, origin: str) -> bool:
        """Whether it is kept; why not is counted."""
        why = self.fault(text, origin)
        if why:
            self.dropped[why] += 1
            return False
        self.seen.add(plain(text))
        return True

    def fault(self, text: str, origin: str) -> str:
        """What is wrong with a paraphrase, or nothing."""
        cut = plain(text)
        if not cut:
            return "empty"
        if cut == plain(origin):
            return "equal"
        if cut in self.seen:
            return "known"
        if max(len(text), len(origin)) > self.ratio * max(1, min(len(text), len(origin))):
            return "length"
        return "far" if f1(text, origin) < self.least else ""


def plain(text: str) -> str:
    """A text by its words alone."""
    return " ".join(words(text))


def with_text(record: Mapping[str, Any], text: str) -> dict[str, Any]:
    """A record with another text, and where that came from."""
    return {**record, "text": text, "origin": record["text"]}


def alike(records: Sequence[Mapping[str, Any]], answers: Sequence[Mapping[str, Any]]) -> list[bool]:
    """Whether a classifier gives each record the label, or the labels, that it has."""
    found = []
    for record, answer in zip(records, answers, strict=True):
        if "labels" in answer:
            found.append({str(label) for label in record.get("labels") or ()} == set(answer["labels"]))
        else:
            found.append(str(record.get("label")) == answer["label"])
    return found
