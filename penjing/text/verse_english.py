"""English lines of verse: syllables counted and rhyme found in the CMU dictionary; unknown words are guessed and told."""

from __future__ import annotations

import itertools
import re
from bisect import bisect_left
from functools import cache
from types import ModuleType

from penjing.base.errors import needs_extra
from penjing.text.verse_chinese import Heard

WORD = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*['’]?")
READABLE = re.compile("a|i|o|(?=.*[aeiouy])[a-z]{2,}(?:'[a-z]+)?")  # no letters and initials
VOWELS = re.compile("[aeiouy]+")
RICH = 16  # a sound can be rhymed on freely if so many words of one syllable have it
MOST = 12  # combinations of pronunciations that one line is measured in


def lines(text: str) -> list[str]:
    """The lines with a word or sign in them."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def measure(line: str) -> Heard:
    """Syllables in each way to say the line, and the rhyme of its last word."""
    words = [plain(word) for word in WORD.findall(line)]
    if not words:
        return Heard((0,), (), "", strange=True)
    counts = {sum(way) for way in itertools.islice(itertools.product(*map(syllables, words)), MOST**2)}
    usual = sum(syllables(word)[0] for word in words)
    guessed = tuple(word for word in words if not pronunciations(word))
    strange = bool(re.search(r"[^\W_a-zA-Z]|\d", line))
    return Heard((usual, *sorted(counts - {usual})), sounds(words[-1]), words[-1], strange, guessed)


def plain(word: str) -> str:
    """A word as the dictionary writes it."""
    return word.lower().replace("’", "'").rstrip("'")


@cache
def pronouncing() -> ModuleType:
    """The CMU dictionary, from the extra `verse`."""
    try:
        import pronouncing as module
    except ImportError:
        needs_extra("pronouncing", "verse", "English syllables and rhyme")
    module.init_cmu()
    return module


@cache
def pronunciations(word: str) -> tuple[str, ...]:
    """The ways to say a word, the usual one first; none for an unknown word."""
    return tuple(pronouncing().phones_for_word(word))


def syllables(word: str) -> tuple[int, ...]:
    """The numbers of syllables a word may have, the usual one first; of an unknown word its groups of vowels."""
    found = [phones.count("0") + phones.count("1") + phones.count("2") for phones in pronunciations(word)]
    return tuple(dict.fromkeys(found)) or (guess(word),)


def guess(word: str) -> int:
    """Groups of vowels, without a silent e."""
    silent = word.endswith("e") and not word.endswith(("le", "ee")) and len(VOWELS.findall(word)) > 1
    return max(1, len(VOWELS.findall(word)) - silent)


def sounds(word: str) -> tuple[str, ...]:
    """What a word rhymes on: from the last stressed vowel on, without marks of stress; unknown: its written end."""
    ways = [sound_of(phones) for phones in pronunciations(word)]
    if ways:
        return tuple(dict.fromkeys(ways))
    written = re.search("[aeiouy]+[^aeiouy]*e?$", word)
    return (f"-{written[0]}",) if written else ()


def sound_of(phones: str) -> str:
    return re.sub(r"\d", "", pronouncing().rhyming_part(phones))


class Words:
    """The dictionary's words by what they begin with and by what they rhyme on, for building lines letter by letter."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}  # the usual number of syllables of each word
        self.rhyming: dict[str, list[str]] = {}  # the words on each sound, sorted
        self.most: dict[str, int] = {}  # for each beginning: bit n is set if a word of n syllables goes on from it
        for word, phones in pronouncing().pronunciations:
            if word in self.counts or not READABLE.fullmatch(word):
                continue
            count = sum(sign.isdigit() for sign in phones)
            self.counts[word] = count
            self.rhyming.setdefault(sound_of(phones), []).append(word)
            for end in range(1, len(word) + 1):
                self.most[word[:end]] = self.most.get(word[:end], 0) | 1 << count
        for group in self.rhyming.values():
            group.sort()
        short = {sound: sum(self.counts[word] == 1 for word in group) for sound, group in self.rhyming.items()}
        self.rich = {sound for sound, count in short.items() if count >= RICH}
        self.ends: dict[str, int] = {}  # as `most`, of the words on a rich sound
        for word in itertools.chain.from_iterable(self.rhyming[sound] for sound in self.rich):
            for end in range(1, len(word) + 1):
                self.ends[word[:end]] = self.ends.get(word[:end], 0) | 1 << self.counts[word]

    def sound(self, word: str) -> str:
        return sound_of(pronunciations(word)[0])

    def on(self, sound: str, beginning: str) -> list[str]:
        """The words on a sound that begin so."""
        group = self.rhyming.get(sound, [])
        start = bisect_left(group, beginning)
        return group[start : bisect_left(group, beginning + "\x7f", start)]


@cache
def dictionary() -> Words:
    """The words, read once (a second)."""
    return Words()
