"""Words that must come: beams with more of them are kept beside beams that are likelier (arXiv:1804.06609)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

Word = tuple[int, ...]


class Wanted(NamedTuple):
    """The words that an answer lacks, and the beginnings of them that it ends with."""

    words: tuple[Word, ...] = ()
    begun: int = 0  # tokens at the answer's end that begin one of the words, the longest such beginning

    @property
    def needed(self) -> int:
        """How many tokens the words take if nothing else comes between."""
        return sum(map(len, self.words)) - self.begun

    def after(self, tokens: Sequence[int]) -> Wanted:
        """What is lacking once `tokens`, all of the answer, are there."""
        if not self.words:
            return self
        words = list(self.words)
        for word in self.words:
            if tuple(tokens[-len(word) :]) == word:
                words.remove(word)  # one of two equal words
                return Wanted(tuple(words))
        return Wanted(self.words, max(begun(word, tokens) for word in words))

    def next(self, tokens: Sequence[int]) -> set[int]:
        """The tokens that bring a word on: they go on with one that has begun, or begin one."""
        return {word[begun(word, tokens)] for word in self.words if begun(word, tokens) == self.begun}


def begun(word: Word, tokens: Sequence[int]) -> int:
    """How many tokens at the end of the answer begin the word."""
    sizes = range(min(len(word) - 1, len(tokens)), 0, -1)
    return next((size for size in sizes if tuple(tokens[-size:]) == word[:size]), 0)


def banked(found: Sequence[Any]) -> list[Any]:
    """Candidates, best first within each number of tokens still needed, taken in turn from the fewest needed on."""
    banks: dict[int, list[Any]] = {}
    for one in sorted(found, key=lambda one: -one.score):
        banks.setdefault(one.wanted.needed, []).append(one)
    turns = zip_longest(*(banks[needed] for needed in sorted(banks)))
    return [one for turn in turns for one in turn if one is not None]
