"""Porter's stemmer (Porter 1980) with the changes that NLTK made to it, which rouge-score uses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

IRREGULAR = {
    "skies": "sky", "sky": "sky", "dying": "die", "lying": "lie", "tying": "tie", "news": "news",
    "innings": "inning", "inning": "inning", "outings": "outing", "outing": "outing", "cannings": "canning",
    "canning": "canning", "howe": "howe", "proceed": "proceed", "exceed": "exceed", "succeed": "succeed",
}  # fmt: skip
SECOND = {
    "ational": "ate", "tional": "tion", "enci": "ence", "anci": "ance", "izer": "ize", "bli": "ble", "alli": "al",
    "entli": "ent", "eli": "e", "ousli": "ous", "ization": "ize", "ation": "ate", "ator": "ate", "alism": "al",
    "iveness": "ive", "fulness": "ful", "ousness": "ous", "aliti": "al", "iviti": "ive", "biliti": "ble",
    "fulli": "ful",
}  # fmt: skip
THIRD = {"icate": "ic", "ative": "", "alize": "al", "iciti": "ic", "ical": "ic", "ful": "", "ness": ""}
FOURTH = (
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou", "ism", "ate", "iti",
    "ous", "ive", "ize",
)  # fmt: skip
Rule = tuple[str, str, Callable[[str], bool]]  # ending, what it becomes, what must hold of the rest


@lru_cache(maxsize=100_000)
def stem(word: str) -> str:
    """The stem of a word in lower case."""
    if word in IRREGULAR or len(word) <= 2:
        return IRREGULAR.get(word, word)
    word = y_to_i(past_and_ing(plural(word)))
    return last(fourth(third(second(word))))


def consonant(word: str, place: int) -> bool:
    """Is this letter a consonant? A y is one at the beginning and after a vowel."""
    if word[place] == "y":
        return place == 0 or not consonant(word, place - 1)
    return word[place] not in "aeiou"


def measure(word: str) -> int:
    """How often consonants follow vowels."""
    kinds = [consonant(word, place) for place in range(len(word))]
    return sum(not before and after for before, after in zip(kinds, kinds[1:], strict=False))


def voiced(word: str) -> bool:
    """Is there a vowel?"""
    return any(not consonant(word, place) for place in range(len(word)))


def doubled(word: str) -> bool:
    return len(word) >= 2 and word[-1] == word[-2] and consonant(word, len(word) - 1)


def closed(word: str) -> bool:
    """Consonant, vowel, consonant other than w, x, y; or a word of vowel and consonant."""
    kinds = [consonant(word, place) for place in range(len(word))]
    return kinds == [False, True] or (kinds[-3:] == [True, False, True] and word[-1] not in "wxy")


def some(rest: str) -> bool:
    return measure(rest) > 0


def changed(word: str, rules: Sequence[Rule]) -> str:
    """The word by the first rule whose ending it has; unchanged where the rest does not fit that rule."""
    for ending, becomes, fits in rules:
        if word.endswith(ending):
            rest = word[: len(word) - len(ending)]
            return rest + becomes if fits(rest) else word
    return word


def plural(word: str) -> str:
    if word.endswith("ies") and len(word) == 4:
        return word[:-1]
    always = [(ending, becomes, lambda rest: True) for ending, becomes in
              (("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", ""))]  # fmt: skip
    return changed(word, always)


def past_and_ing(word: str) -> str:
    if word.endswith("ied"):
        return word[:-1] if len(word) == 4 else word[:-2]
    if word.endswith("eed"):
        return changed(word, [("eed", "ee", some)])
    rest = next((word[: -len(e)] for e in ("ed", "ing") if word.endswith(e) and voiced(word[: -len(e)])), None)
    if rest is None:
        return word
    if rest.endswith(("at", "bl", "iz")):
        return rest + "e"
    if doubled(rest):
        return rest if rest[-1] in "lsz" else rest[:-1]
    return rest + "e" if measure(rest) == 1 and closed(rest) else rest


def y_to_i(word: str) -> str:
    return changed(word, [("y", "i", lambda rest: len(rest) > 1 and consonant(rest, len(rest) - 1))])


def second(word: str) -> str:
    if word.endswith("alli") and some(word[:-4]):
        return second(word[:-2])
    rules: list[Rule] = [(ending, becomes, some) for ending, becomes in SECOND.items()]
    return changed(word, [*rules, ("logi", "log", lambda rest: some(rest + "l"))])


def third(word: str) -> str:
    return changed(word, [(ending, becomes, some) for ending, becomes in THIRD.items()])


def fourth(word: str) -> str:
    def fits(ending: str) -> Callable[[str], bool]:
        return lambda rest: measure(rest) > 1 and (ending != "ion" or rest[-1] in "st")

    return changed(word, [(ending, "", fits(ending)) for ending in FOURTH])


def last(word: str) -> str:
    if word.endswith("e"):
        rest = word[:-1]
        word = rest if measure(rest) > 1 or (measure(rest) == 1 and not closed(rest)) else word
    return word[:-1] if word.endswith("ll") and measure(word[:-1]) > 1 else word
