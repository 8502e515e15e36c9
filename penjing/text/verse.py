"""Verse forms and a checker: line lengths in characters (Chinese) or syllables (English), and rhyme.

    check("床前明月光，疑是地上霜。举头望明月，低头思故乡。", FORMS["五言绝句"]).fulfilled

Chinese rhymes are the fourteen of the New Rhyme Book (中华新韵), by modern readings; English ones are those of the CMU
dictionary. Sources of both are packages of the extra `verse`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from penjing.base.errors import GenerateError
from penjing.text import verse_chinese, verse_english

Problem = Literal["length", "rhyme", "repeat", "strange", "missing", "extra"]
MEASURES = {"chinese": verse_chinese, "english": verse_english}
FREE = "-"


@dataclass(frozen=True)
class Form:
    """What a poem must fulfil.

    language  chinese: a line is what stands between marks, measured in characters; english: a line of text, in syllables
    lengths   for each line the least and the most units
    rhyme     a letter for each line; lines with one letter rhyme, `-` is free: "-A-A", "ABAB"
    """

    language: Literal["chinese", "english"]
    lengths: tuple[tuple[int, int], ...]
    rhyme: str

    def __post_init__(self) -> None:
        reason = None
        if self.language not in MEASURES:
            reason = f"the language {self.language!r} is not one of {', '.join(MEASURES)}"
        elif not self.lengths or len(self.rhyme) != len(self.lengths):
            reason = f"{len(self.lengths)} lines, but {len(self.rhyme)} letters of rhyme"
        elif any(not 1 <= low <= high for low, high in self.lengths):
            reason = "each length is a pair, the least (from 1 on) and the most units"
        if reason:
            raise GenerateError("P-GENERATE-042", reason=reason)


def even(language: str, lines: int, least: int, most: int, rhyme: str) -> Form:
    """A form whose lines have one length; the rhyme is repeated to the end."""
    return Form(language, ((least, most),) * lines, (rhyme * lines)[:lines])  # type: ignore[arg-type]


FORMS = {
    "五言绝句": even("chinese", 4, 5, 5, "-A"),
    "七言绝句": even("chinese", 4, 7, 7, "-A"),
    "五言律诗": even("chinese", 8, 5, 5, "-A"),
    "七言律诗": even("chinese", 8, 7, 7, "-A"),
    "couplet": even("english", 2, 8, 10, "AA"),
    "quatrain": even("english", 4, 7, 9, "ABAB"),
    "ballad": Form("english", ((7, 9), (5, 7), (7, 9), (5, 7)), "-A-A"),
    "haiku": Form("english", ((5, 5), (7, 7), (5, 5)), "---"),
    "limerick": Form("english", ((7, 10), (7, 10), (5, 7), (5, 7), (7, 10)), "AABBA"),
    "sonnet": even("english", 14, 10, 10, "ABABCDCDEFEFGG"),
}


class Line(NamedTuple):
    """One line and what it lacks. `units`: its characters or syllables; `sound`: what it rhymes on."""

    text: str
    units: int
    wanted: tuple[int, int]
    sound: str
    problems: tuple[Problem, ...]
    guessed: tuple[str, ...] = ()  # words that the dictionary does not know; their sound is guessed from the spelling


class Verdict(NamedTuple):
    """What a poem fulfils of a form, line by line."""

    lines: list[Line]

    @property
    def fulfilled(self) -> bool:
        return not any(line.problems for line in self.lines)

    @property
    def share(self) -> float:
        """The share of lines without a problem, 0 to 1."""
        return sum(not line.problems for line in self.lines) / len(self.lines)


def check(text: str, form: Form) -> Verdict:
    """Measure a poem against a form. Lines too few are "missing", lines too many "extra"."""
    measure = MEASURES[form.language]
    found, partners, lines = measure.lines(text), {}, []
    for number, (wanted, letter) in enumerate(zip(form.lengths, form.rhyme, strict=True)):
        if number >= len(found):
            lines.append(Line("", 0, wanted, "", ("missing",)))
            continue
        heard = measure.measure(found[number])
        problems: list[Problem] = ["strange"] if heard.strange else []
        fitting = [count for count in heard.counts if wanted[0] <= count <= wanted[1]]
        if not fitting:
            problems.append("length")
        if letter != FREE:
            problems += rhyme_problems(heard, partners.setdefault(letter, []))
        units = (fitting or heard.counts)[0]
        lines.append(Line(found[number], units, wanted, "/".join(heard.sounds), tuple(problems), heard.guessed))
    lines += [Line(text, 0, (0, 0), "", ("extra",)) for text in found[len(form.lengths) :]]
    return Verdict(lines)


def rhyme_problems(heard: verse_chinese.Heard, partners: list[verse_chinese.Heard]) -> list[Problem]:
    """Does a line rhyme with those before it that have its letter, on another word? It then joins them."""
    problems: list[Problem] = []
    if not heard.sounds or not all(set(heard.sounds) & set(partner.sounds) for partner in partners):
        problems.append("rhyme")
    elif heard.ending in [partner.ending for partner in partners]:
        problems.append("repeat")
    partners.append(heard)
    return problems


def rhymes(first: str, second: str, language: Literal["chinese", "english"] = "english") -> bool:
    """Do two lines (or words) rhyme, on different words?"""
    heard: Sequence[verse_chinese.Heard] = [MEASURES[language].measure(text) for text in (first, second)]
    return bool(set(heard[0].sounds) & set(heard[1].sounds)) and heard[0].ending != heard[1].ending
