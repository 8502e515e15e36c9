"""Token ids to text, piece by piece: no half character is ever shown, and what is shown is never taken back.

All pieces together are `tokenizer.decode` of all tokens. What may be the beginning of a stop string is held back.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from penjing.text.tokenizer import Tokenizer

BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")
BROKEN = "\ufffd"  # stands at the end of a text that ends within a character
AROUND = 16  # tokens of the text before that decide about a space


class TextPieces:
    """Text of tokens that come one by one. `before`: the tokens that stand before them, in the same text."""

    def __init__(self, tokenizer: Tokenizer, before: Sequence[int] = ()):
        self.tokenizer, self.inner = tokenizer, tokenizer.inner
        decoder = self.inner.decoder
        self.in_bytes = decoder is not None and b"ByteFallback" in decoder.__getstate__()
        self.seen = [token for token in before[-AROUND:] if not self.silent(token)]  # shown already; with a text
        self.waiting: list[int] = []

    def silent(self, token: int) -> bool:
        """Is it a token that decoding leaves out?"""
        return token in self.tokenizer.silent or self.inner.id_to_token(token) is None

    def push(self, token: int) -> str:
        """The text that is certain with this token. Raises P-TOKEN-004 for an id outside the vocabulary."""
        if not 0 <= token < self.tokenizer.size:
            self.tokenizer.decode([token])
        if self.silent(token):
            return ""
        self.waiting.append(token)
        if self.in_bytes and BYTE.fullmatch(self.inner.id_to_token(token)):
            return ""  # a run of bytes is decoded as a whole, and becomes another text if it breaks off
        return self.take(whole=False)

    def finish(self) -> str:
        """What is left."""
        return self.take(whole=True) if self.waiting else ""

    def take(self, whole: bool) -> str:
        """The text of the waiting tokens, if it is whole or must be."""
        text = self.tokenizer.decode([*self.seen, *self.waiting])
        if not whole and text.endswith(BROKEN):
            return ""
        piece = text[len(self.tokenizer.decode(self.seen)) :]
        # the next token's space depends on what stands before it, so something with a text must
        self.seen = self.waiting if self.tokenizer.decode(self.waiting) else [*self.seen, *self.waiting]
        self.waiting = []
        return piece


class StopTexts:
    """Cuts a text that comes in pieces at the first stop string, wherever the pieces part. `keep`: with the string."""

    def __init__(self, stops: Sequence[str] = (), keep: bool = False):
        self.stops, self.keep = [stop for stop in stops if stop], keep
        self.found: str | None = None
        self.held = ""

    def push(self, piece: str) -> str:
        """What can be shown; after a stop string nothing."""
        if self.found is not None or not self.stops:
            return piece if self.found is None else ""
        self.held += piece
        places = [(at + len(stop), at, stop) for stop in self.stops if (at := self.held.find(stop)) >= 0]
        if places:
            last, first, self.found = min(places)  # the one that is whole first, so that pieces do not matter
            return self.release(last if self.keep else first)
        return self.release(len(self.held) - self.begun())

    def begun(self) -> int:
        """How many characters at the end may be the beginning of a stop string."""
        longest = min(len(self.held), max(map(len, self.stops)) - 1)
        ends = (size for size in range(longest, 0, -1) if any(s.startswith(self.held[-size:]) for s in self.stops))
        return next(ends, 0)

    def release(self, size: int) -> str:
        shown, self.held = self.held[:size], "" if self.found is not None else self.held[size:]
        return shown

    def finish(self) -> str:
        """What was held back, if no stop string came of it."""
        return self.release(len(self.held))


class TextStream:
    """Tokens to text up to a stop string; `found` is the one that came."""

    def __init__(self, tokenizer: Tokenizer, stops: Sequence[str] = (), keep: bool = False, before: Sequence[int] = ()):
        self.pieces, self.stops = TextPieces(tokenizer, before), StopTexts(stops, keep)

    @property
    def found(self) -> str | None:
        return self.stops.found

    def push(self, token: int) -> str:
        return self.stops.push(self.pieces.push(token))

    def finish(self) -> str:
        return self.stops.push(self.pieces.finish()) + self.stops.finish()


def streamed(
    tokenizer: Tokenizer, tokens: Iterable[int], stops: Sequence[str] = (), keep: bool = False,
    before: Sequence[int] = (),
) -> Iterator[str]:  # fmt: skip
    """Pieces of text, none empty; it ends with a stop string."""
    stream = TextStream(tokenizer, stops, keep, before)
    for token in tokens:
        if piece := stream.push(token):
            yield piece
        if stream.found is not None:
            return
    if piece := stream.finish():
        yield piece
