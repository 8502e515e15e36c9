"""Tags of tokens and the entities that they spell: reading and writing the schemes, the rules of each, the cut of text.

bio      B-X begins, I-X goes on (IOB2; CoNLL, most Chinese sets)
iob1     I-X begins and goes on, B-X only right behind an entity of the same type (CoNLL-2003 as published)
bioes    B-X I-X E-X, and S-X for one token alone; also written BMES (M for I) or BILOU (L for E, U for S)
none     a tag is the class of its token: parts of speech
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np

from penjing.text.word_starts import CHINESE

Scheme = Literal["bio", "iob1", "bioes", "none"]
MARKED = re.compile(r"([BIESMLUWO])(?:[-_](.+))?", re.DOTALL)
PLAIN = {"M": "I", "L": "E", "U": "S", "W": "S"}  # other letters for the same
UNNAMED = "_"  # the type of a tag without one, as seqeval calls it
MARKS = {"bio": "BI", "iob1": "BI", "bioes": "BIES"}
HAN = CHINESE.pattern.removesuffix("+")
LETTER = rf"(?:(?!{HAN})[^\W_])"
CUT = re.compile(  # a Chinese character, an abbreviation, a word with what joins its parts, a mark by itself
    rf"{HAN}|(?:{LETTER}\.){{2,}}(?!\w)|{LETTER}+(?:[._'’&/+@:-]+{LETTER}+)*|\S"
)
CLITIC = re.compile(r"(?<=\w)(?:['’](?:s|re|ve|ll|d|m)|n['’]t)$", re.IGNORECASE)
HAN_TOKEN = re.compile(HAN)  # one Chinese character
WIDE = re.compile(rf"{HAN}|[\u3000-\u303f\uff00-\uffef]")  # Chinese characters and punctuation


class Span(NamedTuple):
    """An entity: tokens `start` to `end`, the latter not included."""

    type: str
    start: int
    end: int


@lru_cache(1 << 16)
def parsed(tag: str) -> tuple[str, str] | None:
    """Mark (B, I, E, S or O) and type of a tag; None if it has no mark."""
    found = MARKED.fullmatch(tag)
    return None if found is None else (PLAIN.get(found[1], found[1]), found[2] or UNNAMED)


def scheme_of(tags: Iterable[str]) -> Scheme:
    """bioes, bio, or none, by all tags of some records. (iob1 is read as bio is: see `spans`.)"""
    marks = {None if found is None else found[0] for found in map(parsed, set(tags))}
    if None in marks or not marks - {"O"}:
        return "none" if None in marks else "bio"
    return "bioes" if marks & {"E", "S"} else "bio"


def spans(tags: Sequence[str]) -> list[Span]:
    """The entities of tags in any scheme but `none`, as conlleval and seqeval read them: a new one begins at B and S, and
    at an I or E that no entity of its type stands before; it ends where the next token is not its I or E."""
    found: list[Span] = []
    open_type, start = None, 0
    for place, tag in enumerate(tags):
        mark, kind = parsed(tag) or ("O", UNNAMED)
        if open_type is not None and (mark in "BSO" or kind != open_type):
            found.append(Span(open_type, start, place))
            open_type = None
        if mark != "O" and open_type is None:
            open_type, start = kind, place
        if mark in "ES":
            found.append(Span(kind, start, place + 1))
            open_type = None
    return found if open_type is None else [*found, Span(open_type, start, len(tags))]


def strict_spans(tags: Sequence[str], scheme: Scheme) -> list[Span]:
    """The entities that keep the rules of `bio` or `bioes`; what breaks them is none (seqeval's strict mode)."""
    found, place = [], 0
    marks = [parsed(tag) or ("O", UNNAMED) for tag in tags]
    while place < len(marks):
        (mark, kind), start = marks[place], place
        place += 1
        if mark not in "BS":
            continue
        while mark != "S" and place < len(marks) and marks[place] in (("I", kind), ("E", kind)):
            place += 1
            if marks[place - 1][0] == "E":
                break
        if scheme == "bio" or marks[place - 1][0] in "ES":
            found.append(Span(kind, start, place))
    return found


def strays(tags: Sequence[str]) -> int:
    """Tokens marked as going on (I, E) where no entity of their type is open."""
    starts = {span.start for span in spans(tags)}
    return sum(place in starts and (parsed(tag) or "O")[0] in "IE" for place, tag in enumerate(tags))


def keeps_to_iob1(tags: Sequence[str]) -> bool | None:
    """False where a B does not stand right behind an entity of its own type, True where I begin entities, None where
    there is neither: records are IOB1 if some keep to it and none does not."""
    inside, before = None, ("O", UNNAMED)
    for tag in tags:
        here = parsed(tag) or ("O", UNNAMED)
        inside = True if here[0] == "I" else inside
        if here[0] == "B" and (before[0] == "O" or before[1] != here[1]):
            return False
        before = here
    return inside


def tags_of(found: Iterable[Span], tokens: int, scheme: Scheme) -> list[str]:
    """The tags that spell these entities."""
    tags, last = ["O"] * tokens, Span("", 0, -1)
    for span in sorted(found, key=lambda span: span.start):
        name = "" if span.type == UNNAMED else f"-{span.type}"
        tags[span.start : span.end] = [f"I{name}"] * (span.end - span.start)
        if scheme != "iob1" or (last.end == span.start and last.type == span.type):
            tags[span.start] = f"B{name}"
        if scheme == "bioes":
            tags[span.end - 1] = f"E{name}" if span.end - span.start > 1 else f"S{name}"
        last = span
    return tags


def tag_names(types: Iterable[str], scheme: Scheme) -> list[str]:
    """All tags of some types: O first, then each type's."""
    if scheme == "none":
        return sorted(types)
    return ["O", *(mark if kind == UNNAMED else f"{mark}-{kind}" for kind in sorted(types) for mark in MARKS[scheme])]


def allowed(names: Sequence[str], scheme: Scheme) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a scheme allows, bool: steps C C (from, to), first tags C, last tags C."""
    steps, ends = np.ones((len(names), len(names)), dtype=bool), np.ones((2, len(names)), dtype=bool)
    if scheme == "none":
        return steps, *ends
    marks, bound = [parsed(name) or ("O", UNNAMED) for name in names], "B" if scheme == "iob1" else "IE"
    for to, (mark, kind) in enumerate(marks):
        for came, before in enumerate(marks):
            goes_on = before in (("B", kind), ("I", kind))
            closed = scheme != "bioes" or before[0] in "OES"
            steps[came, to] = goes_on if mark in bound else closed
        ends[0, to] = mark not in bound
        ends[1, to] = scheme != "bioes" or mark not in "BI"
    return steps, *ends


def cut(text: str, borders: Iterable[int] = ()) -> list[tuple[int, int]]:
    """The tokens of a text as places (start, end): Chinese by character, else words, marks apart from them.

    Words keep what joins their parts (U.N., non-EU, 3.5), and lose 's and the like. `borders` are places where a token
    must end, so that no entity begins or ends inside one.
    """
    wanted = sorted(set(borders))
    found = [place for match in CUT.finditer(text) for place in parts(text, match.start(), match.end())]
    if not wanted:
        return found
    return [piece for start, end in found for piece in divided(start, end, wanted)]


def parts(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """A word, its clitic apart."""
    clitic = CLITIC.search(text[start:end])
    middle = end if clitic is None else start + clitic.start()
    yield from ((start, middle), (middle, end)) if middle < end else ((start, end),)


def divided(start: int, end: int, borders: Sequence[int]) -> Iterator[tuple[int, int]]:
    """One token in pieces at the borders inside it."""
    inner = [start, *(border for border in borders if start < border < end), end]
    yield from zip(inner[:-1], inner[1:], strict=True)


def joined(tokens: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """Tokens as a text, and the place of each: a space between words, none beside Chinese."""
    text, places, end = [], [], 0
    for number, token in enumerate(tokens):
        near = number == 0 or bool(WIDE.match(token) or WIDE.match(tokens[number - 1][-1:]))
        text += ["" if near else " ", token]
        start = end + (not near)
        end = start + len(token)
        places.append((start, end))
    return "".join(text), places
