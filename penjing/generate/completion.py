"""The shortest way to the end of a grammar, found by trying tokens: what a row needs when its budget runs out."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

TRIED = 600  # states looked at before the search gives up; one takes some 0.1 to 1 milliseconds
BRANCHES = 128  # tokens tried in one state, each with another first byte
FREE = 8  # where more than this share (one in 8) of all tokens may come, a quotation mark is tried first
DETOUR, LOOP = 0.05, 1.0  # what it costs to take the next best token, and to come where the way was before
FAR = 10.0  # the same loop where a string is to be left: all other tokens are tried before


class Found(NamedTuple):
    """A way to the end (tokens, without the stop token), or why there is none."""

    way: list[int] | None
    impossible: bool = False  # every token in every state was tried


class Order:
    """The tokens in the order in which they are tried."""

    def __init__(self, tokens: Sequence[bytes], free: bool):
        def key(number: int) -> tuple[bool, int, int, bytes]:
            return free and tokens[number][:1] != b'"', *worth(tokens[number])

        self.tokens = np.array(sorted(range(len(tokens)), key=key), dtype=np.int64)
        self.first = np.array([tokens[number][0] if tokens[number] else 256 for number in self.tokens], dtype=np.int64)


def worth(token: bytes) -> tuple[int, int, bytes]:
    """The rank of one token, the smaller the earlier: brackets that close, commas, digits, words, brackets that open."""
    if not token or token[:1].isspace() or token[0] >= 0x80:
        rank = 8 if token and token[0] >= 0x80 else 9
    elif not token.strip(b'"]})'):
        rank = 1 if token[-1:] == b'"' else 0
    elif not token.strip(b"[]{}()") and token[-1:] in b"]})":
        rank = 1
    elif token[-1:] in b"[{(":
        rank = 7
    elif not token.strip(b'":,'):
        rank = 2
    elif token in (b"0", b"null"):
        rank = 3
    elif not any(bytes([byte]).isalnum() for byte in token):
        rank = 4
    else:
        rank = 5 if token.isalnum() else 6
    return rank, -len(token) if len(token) <= 12 else 0, token


class Finder:
    """Finds ways to the end for matchers over one vocabulary."""

    def __init__(self, tokens: Sequence[bytes], stop: Sequence[int]):
        self.size, self.stop = len(tokens), sorted(stop)
        self.escapes = [number for number, token in enumerate(tokens) if b"\\" in token]  # no way out of a string
        self.bound, self.free = Order(tokens, False), Order(tokens, True)

    def allowed(self, matcher: Any) -> np.ndarray:
        """V bool: the tokens that may come next."""
        bits = np.frombuffer(matcher.compute_bitmask(), dtype=np.uint8)
        return np.unpackbits(bits, count=self.size, bitorder="little").astype(bool)

    def is_free(self, allowed: np.ndarray) -> bool:
        """Whether nearly anything may come: the state is within a string."""
        return np.count_nonzero(allowed) > self.size // FREE

    def branches(self, allowed: np.ndarray) -> tuple[list[int], bool]:
        """The tokens to try in one state, best first, and whether these are all."""
        order = self.free if self.is_free(allowed) else self.bound
        places = np.flatnonzero(allowed[order.tokens])
        best = np.full(257, -1)
        best[order.first[places[::-1]]] = places[::-1]  # of one first byte, the earliest is written last
        chosen = np.sort(best[best >= 0])[:BRANCHES]
        return order.tokens[chosen].tolist(), len(chosen) == len(places)

    def search(self, matcher: Any, most: int, tried: int = TRIED, better: int = 0) -> Found:
        """A short way of at most `most` tokens from the matcher's state.

        Not always the very shortest: `better` more states are looked at for a shorter one.
        """
        way = self.straight(matcher, most)
        if way is None:
            found = self.explore(matcher, most, tried)
            return found if found.way is not None or found.impossible else Found(self.by_strings(matcher, most, tried))
        return Found(self.explore(matcher, len(way) - 1, better).way or way)

    def straight(self, matcher: Any, most: int) -> list[int] | None:
        """The way that takes the best token of each state."""
        state, way = matcher.deep_copy(), []
        while len(way) <= most:
            allowed = self.allowed(state)
            if ended(state):
                return way
            allowed[self.stop] = False
            tokens, _ = self.branches(allowed)
            if not tokens or not state.consume_token(tokens[0]):
                return None
            way.append(tokens[0])
        return None

    def by_strings(self, matcher: Any, most: int, tried: int) -> list[int] | None:
        """A way that settles one string after the other: several that are hard to end are too many to try together."""
        state, way = matcher.deep_copy(), []
        while len(way) <= most:
            allowed = self.allowed(state)
            if ended(state):
                return way
            allowed[self.stop] = False
            if self.is_free(allowed):
                part = self.explore(state, most - len(way), tried, out=True).way
            else:
                part = self.branches(allowed)[0][:1]
            if not part or not all(state.consume_token(token) for token in part):
                return None
            way += part
        return None

    def explore(self, matcher: Any, most: int, tried: int, out: bool = False) -> Found:
        """The way with the least detours and loops, as far as `tried` states show, to the end or, with `out`, out of
        the string that the state is in. A loop: the same tokens may come.
        """
        number, whole, found, seen = itertools.count(), True, None, set()
        heap: list[tuple[float, int, Any, list[int], frozenset[int]]] = [(0.0, 0, matcher, [], frozenset())]
        while heap and tried > 0 and most >= 0:
            tried -= 1
            cost, _, before, way, sights = heapq.heappop(heap)
            state = before.deep_copy()
            if way and not state.consume_token(way[-1]):
                continue
            allowed = self.allowed(state)
            if not self.is_free(allowed) if out else ended(state):
                found, most = way, len(way) - 1
                continue
            allowed[self.stop + self.escapes if out else self.stop] = False
            sight = hash(allowed.tobytes())
            if len(way) >= most or (len(way), sight) in seen:
                whole = whole and not allowed.any()
                continue
            seen.add((len(way), sight))
            tokens, all_tried = self.branches(allowed)
            whole = whole and all_tried
            cost += (FAR if out else LOOP) * (sight in sights)
            for rank, token in enumerate(tokens):
                step = (cost + rank * DETOUR, next(number), state, [*way, token], sights | {sight})
                heapq.heappush(heap, step)
        return Found(found, impossible=found is None and whole and not heap)


def ended(matcher: Any) -> bool:
    """May the text end here?"""
    return matcher.is_accepting() and not matcher.is_error()
