"""What a tokenizer puts around two texts: special tokens and token types, read off its post-processor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tokenizers


class Frame(NamedTuple):
    """Special tokens before, between and after two texts, and the types of all five parts."""

    begin: tuple[list[int], list[int]] = ([], [])  # tokens and their types
    first: int = 0  # the type of the first text's tokens
    middle: tuple[list[int], list[int]] = ([], [])
    second: int = 0
    end: tuple[list[int], list[int]] = ([], [])

    @property
    def size(self) -> int:
        """How many special tokens there are."""
        return len(self.begin[0]) + len(self.middle[0]) + len(self.end[0])

    @property
    def typed(self) -> bool:
        """Whether any token has another type than 0."""
        return bool(self.first or self.second or any(self.begin[1] + self.middle[1] + self.end[1]))

    def build(self, first: Sequence[int], second: Sequence[int]) -> tuple[list[int], list[int]]:
        """Tokens and types of two texts."""
        tokens = [*self.begin[0], *first, *self.middle[0], *second, *self.end[0]]
        own = [self.first] * len(first), [self.second] * len(second)
        return tokens, [*self.begin[1], *own[0], *self.middle[1], *own[1], *self.end[1]]


def frame_of(inner: tokenizers.Tokenizer) -> Frame:
    """The frame of a tokenizer, by two probes that it knows."""
    for probe in ("a", "1", ".", "的"):
        whole = inner.encode(probe, probe)
        owners = np.asarray([-1 if owner is None else owner for owner in whole.sequence_ids])
        if not {0, 1} <= set(owners.tolist()):
            continue
        (start, last), (then, stop) = (np.flatnonzero(owners == text)[[0, -1]].tolist() for text in (0, 1))
        pieces = slice(0, start), slice(last + 1, then), slice(stop + 1, None)
        begin, middle, end = ((whole.ids[piece], whole.type_ids[piece]) for piece in pieces)
        return Frame(begin, whole.type_ids[start], middle, whole.type_ids[then], end)
    return Frame()


def shares(first: int, second: int, room: int) -> tuple[int, int]:
    """How many tokens of each of two texts stay in `room`, the longer one cut first (as transformers' longest_first)."""
    less, more = sorted((first, second))
    more = less if less > room else min(more, max(less, room - less))
    if less + more > room:
        less, more = room // 2, room // 2 + room % 2
    return (less, more) if first <= second else (more, less)
