"""Chinese lines of verse: characters counted, and the rhyme of the last one by the New Rhyme Book (中华新韵)."""

from __future__ import annotations

import re
from functools import cache
from types import ModuleType
from typing import NamedTuple

from penjing.base.errors import needs_extra

MARKS = "，。！？；、：,.!?;:"
BETWEEN = re.compile(f"[{re.escape(MARKS)}\n]+")
RHYMES = {  # the name of the rhyme: the finals that share it
    "麻": "a ia ua", "波": "o e uo", "皆": "ie ve ê", "开": "ai uai", "微": "ei uei", "豪": "ao iao", "尤": "ou iou",
    "寒": "an ian uan van", "文": "en in uen vn", "唐": "ang iang uang", "庚": "eng ing ueng ong iong", "齐": "i v er",
    "支": "-i", "姑": "u",
}  # fmt: skip
OF_FINAL = {final: name for name, finals in RHYMES.items() for final in finals.split()}
BUZZING = re.compile("(?:[zcs]h?|r)i")  # zhi chi shi ri zi ci si: their i is another vowel
FIRST, LAST = "\u4e00", "\u9fff"


class Heard(NamedTuple):
    """How a line sounds: the numbers of units it may have, the sounds and the word it ends on."""

    counts: tuple[int, ...]
    sounds: tuple[str, ...]
    ending: str
    strange: bool = False  # it has what cannot be measured
    guessed: tuple[str, ...] = ()


def lines(text: str) -> list[str]:
    """What stands between marks and line breaks, without white space."""
    parts = ("".join(part.split()) for part in BETWEEN.split(text))
    return [part for part in parts if part]


def measure(line: str) -> Heard:
    """Characters, and the rhymes of the last one: of its usual reading and of its reading in this line."""
    known = all(is_character(character) for character in line)
    sounds = {name for name in (rhyme_of(line[-1:]), rhyme_in(line)) if name}
    return Heard((len(line),), tuple(sorted(sounds)), line[-1:], strange=not known)


def is_character(character: str) -> bool:
    return FIRST <= character <= LAST


@cache
def pypinyin() -> ModuleType:
    """Readings of characters, from the extra `verse`."""
    try:
        import pypinyin as module
    except ImportError:
        needs_extra("pypinyin", "verse", "Chinese rhyme")
    return module


@cache
def rhyme_of(character: str) -> str | None:
    """The rhyme of a character's usual reading."""
    return rhyme_in(character)


def rhyme_in(line: str) -> str | None:
    """The rhyme of the last character as it is read in this line."""
    if not line or not is_character(line[-1]):
        return None
    module = pypinyin()
    return rhyme_of_syllable(module.lazy_pinyin(line, style=module.Style.NORMAL, v_to_u=False)[-1])


@cache
def rhyme_of_syllable(syllable: str) -> str | None:
    """The rhyme of a syllable without its tone: `guang` 唐, `shi` 支, `shui` 微."""
    from pypinyin.contrib.tone_convert import to_finals

    final = "-i" if BUZZING.fullmatch(syllable) else to_finals(syllable, strict=True)
    return OF_FINAL.get(final)


@cache
def rhyming() -> dict[str, frozenset[str]]:
    """All characters by the rhyme of their usual reading."""
    module = pypinyin()
    characters = [chr(number) for number in range(ord(FIRST), ord(LAST) + 1)]
    readings = module.pinyin(characters, style=module.Style.NORMAL, v_to_u=False)  # one character, one word
    found: dict[str, set[str]] = {name: set() for name in RHYMES}
    for character, reading in zip(characters, readings, strict=True):
        name = rhyme_of_syllable(reading[0])
        if name:
            found[name].add(character)
    return {name: frozenset(group) for name, group in found.items()}
