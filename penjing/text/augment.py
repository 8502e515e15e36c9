"""Other readings of a text for training: words left out, exchanged, or replaced by words of like meaning or use.

A text is words and what stands between them; Chinese words are jieba's. All chance comes from the generator given, so a
run that goes on draws what the other would have drawn. English ways: Wei & Zou 2019 (EDA).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, TypeVar

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import TextError, raise_all
from penjing.base.files import existing
from penjing.base.progress import tell
from penjing.base.readers.opened import opened
from penjing.base.readers.source import Source, format_of
from penjing.text.vectors import read_vectors
from penjing.text.word_starts import CHINESE, jieba

One = TypeVar("One")
WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
BETWEEN = re.compile("[,，、;；]")  # what stands between the synonyms of a line
BLOCK = 1024  # words whose neighbours are looked for at one time
Table = Mapping[str, Sequence[str]]  # a word in lower case, and what may stand for it
Share = Annotated[float, Field(gt=0, lt=1, description="share of a text's words, by chance")]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Delete:
    """Words are left out; the last one that is left stays."""

    share: Share = 0.1


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Swap:
    """Words change their places with others."""

    share: Share = 0.1


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Synonyms:
    """Words are replaced by those that a file gives: a line is a word, a tab and its synonyms with commas between."""

    file: Path
    share: Share = 0.1


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Neighbours:
    """Words are replaced by the nearest ones among word vectors: of like use, which is not always of like meaning."""

    file: Path
    share: Share = 0.1
    nearest: Annotated[int, Field(ge=1, description="how many neighbours of a word may stand for it")] = 5
    least: Annotated[float, Field(ge=-1, le=1, description="the least cosine of a neighbour")] = 0.6
    words: Annotated[int, Field(ge=2, description="only so many words of the file, which has the commonest first")] = (
        50_000
    )


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Augment:
    """What is done to a training text each time it is read."""

    delete: Delete | None = None
    swap: Swap | None = None
    synonyms: Synonyms | None = None
    neighbours: Neighbours | None = None

    def __post_init__(self) -> None:
        if not (self.delete or self.swap or self.synonyms or self.neighbours):
            raise TextError("P-TEXT-093")


class Cut(NamedTuple):
    """A text in parts: there is one more between the words than there are words."""

    words: list[str]
    between: list[str]

    @property
    def text(self) -> str:
        return self.between[0] + "".join(word + after for word, after in zip(self.words, self.between[1:], strict=True))


def cut(text: str) -> Cut:
    """The words of a text."""
    places = [place for found in WORD.finditer(text) for place in inside(text, *found.span())]
    ends = [0, *(end for _, end in places)]
    starts = [*(start for start, _ in places), len(text)]
    return Cut([text[slice(*place)] for place in places], [text[a:b] for a, b in zip(ends, starts, strict=True)])


def inside(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """The words of what looks like one: Chinese has no spaces."""
    found, here = [], start
    for run in CHINESE.finditer(text, start, end):
        if run.start() > here:
            found.append((here, run.start()))
        here = run.start()
        for word in jieba().cut(run.group()):
            found.append((here, here + len(word)))
            here += len(word)
    return found if here == end else [*found, (here, end)]


class Reader:
    """Reads training texts otherwise each time: `reader(text, random)`. Made for texts: what would never change one of
    them is an error."""

    def __init__(self, ways: Augment, texts: Iterable[str]):
        self.ways = ways
        known = (
            {word.lower() for text in texts for word in cut(text).words} if ways.synonyms or ways.neighbours else set()
        )
        self.synonyms = synonyms_for(known, ways.synonyms) if ways.synonyms else {}
        self.neighbours = neighbours_for(known, ways.neighbours) if ways.neighbours else {}

    def __call__(self, text: str, random: np.random.Generator) -> str:
        ways, (words, between) = self.ways, cut(text)
        if ways.synonyms:
            words = replaced(words, self.synonyms, ways.synonyms.share, random)
        if ways.neighbours:
            words = replaced(words, self.neighbours, ways.neighbours.share, random)
        if ways.swap:
            words = swapped(words, ways.swap.share, random)
        found = Cut(words, between)
        return (deleted(found, ways.delete.share, random) if ways.delete else found).text

    def fingerprint(self) -> bytes:
        """What decides what is read, the files' words included."""
        told = json.dumps([repr(self.ways), self.synonyms, self.neighbours], sort_keys=True)
        return hashlib.sha256(told.encode("utf-8", "backslashreplace")).digest()


def replaced(words: Sequence[str], table: Table, share: float, random: np.random.Generator) -> list[str]:
    """Each word by chance as one that may stand for it, in its case."""
    found = list(words)
    for place in np.flatnonzero(random.random(len(words)) < share):
        others = table.get(words[place].lower())
        if others:
            found[place] = in_case(others[int(random.integers(len(others)))], words[place])
    return found


def in_case(word: str, like: str) -> str:
    """A word in capitals, or with a capital, where another one is so."""
    if like.isupper() and len(like) > 1:
        return word.upper()
    return word[:1].upper() + word[1:] if like[:1].isupper() else word


def swapped(words: Sequence[One], share: float, random: np.random.Generator) -> list[One]:
    """Each word by chance in the place of any other: a swap moves two, so half as many are drawn."""
    found = list(words)
    for place in np.flatnonzero(random.random(len(words)) < share / 2):
        other = int(random.integers(len(words)))
        found[place], found[other] = found[other], found[place]
    return found


def staying(count: int, share: float, random: np.random.Generator) -> list[bool]:
    """Which of so many words are not left out, each by chance; one always stays."""
    kept = random.random(count) >= share
    if count and not kept.any():
        kept[int(random.integers(count))] = True
    return kept.tolist()


def deleted(text: Cut, share: float, random: np.random.Generator) -> Cut:
    """Without some words, each by chance, and without the space that would be doubled."""
    kept = staying(len(text.words), share, random)
    words, between = [], [text.between[0]]
    for word, after, stays in zip(text.words, text.between[1:], kept, strict=True):
        if stays:
            words.append(word)
            between.append(after)
        else:
            doubled = between[-1][-1:].isspace() or not (words or between[-1])
            between[-1] += after.lstrip() if doubled else after
    return Cut(words, between)


def read_synonyms(path: Path) -> dict[str, list[str]]:
    """Lines `word<TAB>synonym,synonym`. Broken lines are one error that names them."""
    table: dict[str, list[str]] = {}
    problems: list[TextError] = []
    with opened(Source(existing(path), "synonyms", format_of(path)[1])) as file:
        for number, raw in enumerate(file, 1):
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8", "replace").rstrip("\r\n")
            word, _, rest = line.partition("\t")
            others = [other.strip() for other in BETWEEN.split(rest) if other.strip()]
            if not line.strip():
                continue
            if not word.strip() or not others or "\ufffd" in line:
                problems.append(TextError("P-TEXT-090", file=path, line=number, given=line[:60]))
                continue
            table.setdefault(word.strip().lower(), []).extend(others)
    raise_all(problems)
    return table


def synonyms_for(known: set[str], way: Synonyms) -> dict[str, list[str]]:
    """The lines of the file whose words are known."""
    found = {word: others for word, others in read_synonyms(way.file).items() if word in known}
    if not found:
        raise TextError("P-TEXT-091", file=way.file, words=len(known))
    tell("note", "augment", f"{len(found)} of {len(known)} words of the training texts have synonyms", words=len(found))
    return found


def neighbours_for(known: set[str], way: Neighbours) -> dict[str, list[str]]:
    """The nearest words of each known word among the first words of a file of vectors."""
    words, rows = [], []
    for entry in read_vectors(way.file):
        assert entry.vector is not None
        words.append(entry.word)
        rows.append(entry.vector)
        if len(words) == way.words:
            break
    vectors = np.stack(rows)
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    asked = {word.lower(): place for place, word in reversed(list(enumerate(words))) if word.lower() in known}
    found: dict[str, list[str]] = {}
    for block in np.array_split(np.asarray(sorted(asked.values()), int), max(1, len(asked) // BLOCK)):
        cosines = vectors[block] @ vectors.T
        for place, row in zip(block.tolist(), cosines, strict=True):
            others = nearest(words, place, row, way)
            if others:
                found[words[place].lower()] = others
    if not found:
        raise TextError("P-TEXT-092", file=way.file, words=len(known), least=way.least)
    tell(
        "note", "augment", f"{len(found)} of {len(known)} words of the training texts have neighbours", words=len(found)
    )
    return found


def nearest(words: Sequence[str], place: int, cosines: np.ndarray, way: Neighbours) -> list[str]:
    """The words nearest to one, without those that are the same in another case or no words at all."""
    most = min(len(words), 4 * way.nearest + 1)
    best = np.argpartition(-cosines, most - 1)[:most]
    best = best[np.argsort(-cosines[best], kind="stable")]
    own = words[place].lower()
    near = [words[other] for other in best if cosines[other] >= way.least and words[other].lower() != own]
    return [word for word in dict.fromkeys(near) if WORD.fullmatch(word)][: way.nearest]
