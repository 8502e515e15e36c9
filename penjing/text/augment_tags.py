"""Other readings of tagged tokens for training: the ways of `augment.py`, with the tags where their tokens are.

Tokens and tags are made units: an entity is one, a word outside entities is one (Chinese characters that stand as single
tokens are joined to jieba's words), and where each tag is a class of tokens each token is one. Units are left out and
exchanged whole; only words outside entities are replaced, since the name of another thing would be another entity.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from penjing.text.augment import Augment, inside, neighbours_for, replaced, staying, swapped, synonyms_for
from penjing.text.tagging import HAN_TOKEN, Scheme, Span, cut, spans, tags_of


class Unit(NamedTuple):
    """Tokens that stay together; `tag`: the type of an entity, or of the scheme `none` the token's tag; "" outside."""

    tokens: tuple[str, ...]
    tag: str

    @property
    def word(self) -> str:
        """The text of what may be replaced; nothing of an entity."""
        return "" if self.tag else "".join(self.tokens)


def units(tokens: Sequence[str], tags: Sequence[str], scheme: Scheme) -> list[Unit]:
    """The units of tagged tokens, none of them lost."""
    if scheme == "none":
        return [Unit((token,), tag) for token, tag in zip(tokens, tags, strict=True)]
    found: list[Unit] = []
    end = 0
    for span in [*spans(tags), Span("", len(tokens), len(tokens))]:
        found += words(tokens[end : span.start])
        found += [Unit(tuple(tokens[span.start : span.end]), span.type)] if span.start < span.end else []
        end = span.end
    return found


def words(tokens: Sequence[str]) -> Iterator[Unit]:
    """Tokens outside entities as words: side by side Chinese characters are cut by jieba."""
    run: list[str] = []
    for token in [*tokens, None]:
        if token is not None and HAN_TOKEN.fullmatch(token):
            run.append(token)
            continue
        text = "".join(run)
        yield from (Unit(tuple(text[start:end]), "") for start, end in (inside(text, 0, len(text)) if run else ()))
        run = []
        if token is not None:
            yield Unit((token,), "")


def tagged(found: Iterable[Unit], scheme: Scheme) -> tuple[list[str], list[str]]:
    """Units as tokens and tags again."""
    tokens: list[str] = []
    entities, classes = [], []
    for unit in found:
        if unit.tag:
            entities.append(Span(unit.tag, len(tokens), len(tokens) + len(unit.tokens)))
        tokens += unit.tokens
        classes += [unit.tag] * len(unit.tokens)
    return tokens, classes if scheme == "none" else tags_of(entities, len(tokens), scheme)


class Reader:
    """Reads units otherwise each time: `reader(units, random)`. Made for all of them: a file that would never change one
    of them is an error."""

    def __init__(self, ways: Augment, rows: Iterable[Sequence[Unit]], scheme: Scheme):
        self.ways, self.scheme = ways, scheme
        known = {self.word(unit).lower() for row in rows for unit in row} - {""}
        self.synonyms = synonyms_for(known, ways.synonyms) if ways.synonyms else {}
        self.neighbours = neighbours_for(known, ways.neighbours) if ways.neighbours else {}

    def word(self, unit: Unit) -> str:
        """What may be replaced of a unit: where tags are classes, each token."""
        return unit.tokens[0] if self.scheme == "none" else unit.word

    def __call__(self, found: Sequence[Unit], random: np.random.Generator) -> tuple[list[str], list[str]]:
        """Tokens and their tags."""
        ways, row = self.ways, list(found)
        for way, table in ((ways.synonyms, self.synonyms), (ways.neighbours, self.neighbours)):
            if way:
                before = [self.word(unit) for unit in row]
                after = replaced(before, table, way.share, random)
                row = [unit if old == new else self.reworded(unit, new)
                       for unit, old, new in zip(row, before, after, strict=True)]  # fmt: skip
        if ways.swap:
            row = swapped(row, ways.swap.share, random)
        if ways.delete:
            row = [unit for unit, stays in zip(row, staying(len(row), ways.delete.share, random), strict=True) if stays]
        return tagged(row, self.scheme)

    def reworded(self, unit: Unit, word: str) -> Unit:
        """A unit with another word: one token where each token has a class of its own, else cut as texts are."""
        if self.scheme == "none":
            return Unit((word,), unit.tag)
        return Unit(tuple(word[start:end] for start, end in cut(word)), unit.tag)

    def fingerprint(self) -> bytes:
        """What decides what is read, the files' words included."""
        told = json.dumps([repr(self.ways), self.scheme, self.synonyms, self.neighbours], sort_keys=True)
        return hashlib.sha256(told.encode("utf-8", "backslashreplace")).digest()
