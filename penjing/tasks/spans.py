"""Where spans of noise stand: T5's arithmetic (arXiv:1910.10683, 3.1.4) and BART's infilling (arXiv:1910.13461, 2.2)."""

from __future__ import annotations

import numpy as np


def noise_of(tokens: np.ndarray, rate: float, span: float) -> tuple[np.ndarray, np.ndarray]:
    """For texts of so many tokens: how many are noise, and in how many spans. Rounded as T5's own code does.

    Every span has a token at least, and a token of its own that is kept; a text of one token is one span.
    """
    tokens = np.asarray(tokens, dtype=np.int64)
    noise = np.where(tokens > 1, np.clip(np.round(tokens * rate), 1, np.maximum(1, tokens - 1)), tokens).astype(
        np.int64
    )
    spans = np.minimum(np.maximum(1, np.round(noise / span)), np.minimum(noise, np.maximum(1, tokens - noise)))
    return noise, np.where(tokens > 0, spans, 0).astype(np.int64)


def corrupted_length(tokens: np.ndarray, rate: float, span: float) -> np.ndarray:
    """How long a text is once each span of noise is one sentinel."""
    noise, spans = noise_of(tokens, rate, span)
    return np.asarray(tokens, dtype=np.int64) - noise + spans


def longest_text(room: int, rate: float, span: float) -> int:
    """The most tokens whose corrupted form still fits in `room`, found as T5 finds it: one more as long as it fits."""
    tokens = room
    while corrupted_length(np.asarray(tokens + 1), rate, span) <= room:
        tokens += 1
    return tokens


def segments(items: int, parts: int, random: np.random.Generator) -> np.ndarray:
    """Items cut at random into so many parts of one or more, all cuts alike: lengths."""
    cuts = np.sort(random.permutation(max(0, items - 1))[: parts - 1]) + 1
    return np.diff(np.concatenate([[0], cuts, [items]]))


def span_starts(tokens: int, rate: float, span: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Spans of noise, as many and as long as T5's: where each starts and ends.

    All places are alike, as long as no two spans touch. (T5's own code ends every text with a span, which would leave
    short texts one place.)
    """
    noise, spans = (int(number) for number in noise_of(np.asarray(tokens), rate, span))
    if not spans:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    lost, gaps = segments(noise, spans, random), segments(tokens - noise + 2, spans + 1, random)
    gaps[[0, -1]] -= 1  # at both ends there may be nothing
    starts = np.cumsum(gaps[:-1]) + np.cumsum(lost) - lost
    return starts, starts + lost


def infilled(tokens: int, share: float, span: float, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """BART's spans: lengths drawn from Poisson, some of them 0, until `share` of the tokens are gone; start and end.

    No more spans than tokens that go, so that a mask for each makes no text longer.
    """
    budget = min(tokens, max(1, round(share * tokens))) if tokens else 0
    lengths = random.poisson(span, budget)
    ends = np.minimum(np.cumsum(lengths), budget)
    count = int(np.searchsorted(ends, budget)) + 1 if budget else 0
    lengths = np.diff(np.concatenate([[0], ends[:count]]))[:budget].astype(np.int64)
    if budget:
        lengths[-1] += budget - int(lengths.sum())
    gaps = np.sort(random.integers(0, tokens - budget + 1, len(lengths)))
    lengths = random.permutation(lengths)
    starts = gaps + np.cumsum(lengths) - lengths
    return starts, starts + lengths


def replaced_spans(tokens: np.ndarray, starts: np.ndarray, ends: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The text with each span as its sign."""
    parts, done = [], 0
    for start, end, sign in zip(starts.tolist(), ends.tolist(), signs, strict=True):
        parts += [tokens[done:start], [sign]]
        done = end
    return np.concatenate([*parts, tokens[done:]]).astype(np.int64)


def named_spans(tokens: np.ndarray, starts: np.ndarray, ends: np.ndarray, signs: np.ndarray) -> np.ndarray:
    """The spans alone, each behind its sign."""
    parts = [part for start, end, sign in zip(starts, ends, signs, strict=True) for part in ([sign], tokens[start:end])]
    return np.concatenate([*parts, tokens[:0]]).astype(np.int64)
