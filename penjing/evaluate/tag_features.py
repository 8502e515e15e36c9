"""Features of tokens for a linear tagger: words, their shapes and affixes, their neighbours, as 64-bit keys.

What is known of a word alone is computed once for each distinct word; a feature of a place is then a template's number
mixed with the numbers of the words around it, for all places of all texts at once.

N places of all texts, D distinct words, F features of a place. A key 0 is no feature.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np

OUTSIDE = "\x00"  # the word before a text and behind it
FORMS = ("word", "lower", "shape", "brief", *(f"{side}{n}" for side in ("prefix", "suffix") for n in (1, 2, 3, 4)))
TEMPLATES = (  # (form, distance) pairs that make one feature
    *((("lower", distance),) for distance in (-2, -1, 0, 1, 2)),
    *((("word", distance),) for distance in (-1, 0, 1)),
    *((("shape", distance),) for distance in (-1, 0, 1)),
    *((("brief", distance),) for distance in (-2, 2)),
    *(((form, 0),) for form in FORMS[4:]),
    *(((f"suffix{n}", distance),) for n in (2, 3) for distance in (-1, 1)),
    *((("lower", distance), ("lower", distance + 1)) for distance in (-2, -1, 0, 1)),
    (("lower", -1), ("lower", 1)),
    (("lower", -1), ("lower", 0), ("lower", 1)),
    (("shape", -1), ("shape", 0)), (("shape", 0), ("shape", 1)), (("shape", -1), ("shape", 0), ("shape", 1)),
    (("brief", 0), ("lower", -1)), (("brief", 0), ("lower", 1)),
)  # fmt: skip
RUN = re.compile(r"(.)\1+")
MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def features(texts: Sequence[Sequence[str]]) -> np.ndarray:
    """The keys of all places of all texts, N F uint64."""
    words = [OUTSIDE, OUTSIDE]
    inside = [False, False]
    for tokens in texts:  # two words between texts, so that no feature reaches into another one
        words += [*tokens, OUTSIDE, OUTSIDE]
        inside += [*([True] * len(tokens)), False, False]
    known = {word: number for number, word in enumerate(dict.fromkeys(words))}
    number = np.fromiter(map(known.__getitem__, words), np.int64, len(words))
    places = np.flatnonzero(inside)
    table = {form: column for form, column in zip(FORMS, forms(list(known)).T, strict=True)}
    keys = np.empty((len(places), len(TEMPLATES)), dtype=np.uint64)
    for column, parts in enumerate(TEMPLATES):
        key = np.full(len(places), column + 1, dtype=np.uint64)
        there = np.ones(len(places), dtype=bool)
        for form, distance in parts:
            value = table[form][number[places + distance]]
            there &= value != 0
            key = mixed(key + MIX[0] * value)
        keys[:, column] = np.where(there, key, 0)
    return keys


def forms(words: Sequence[str]) -> np.ndarray:
    """What is known of each word alone, D x FORMS, as hashes; 0 where the word is too short for it."""
    rows = []
    for word in words:
        shape = shape_of(word)
        affixes = [word[:n] if len(word) > n else "" for n in (1, 2, 3, 4)]
        affixes += [word[-n:] if len(word) > n else "" for n in (1, 2, 3, 4)]
        rows.append([hashed(part) for part in (word, word.lower(), shape, RUN.sub(r"\1", shape), *affixes)])
    return np.asarray(rows, dtype=np.uint64).reshape(-1, len(FORMS))


def shape_of(word: str) -> str:
    """A for a capital, a for a small letter, c for another one, 9 for a digit; marks as they are."""
    if word == OUTSIDE:
        return word
    return "".join(
        "9" if c.isdigit() else "A" if c.isupper() else "a" if c.islower() else "c" if c.isalpha() else c
        for c in word[:24]
    )


def hashed(text: str) -> int:
    """A number for a text, the same everywhere; 0 for none."""
    if not text:
        return 0
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")


def mixed(keys: np.ndarray) -> np.ndarray:
    """Each number stirred, so that sums of numbers do not meet (splitmix64, Steele et al. 2014)."""
    with np.errstate(over="ignore"):
        keys = (keys ^ (keys >> np.uint64(30))) * MIX[1]
        keys = (keys ^ (keys >> np.uint64(27))) * MIX[2]
        return keys ^ (keys >> np.uint64(31))
