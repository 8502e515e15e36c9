"""What was found for one question in all windows of its context, and how it is told and shown."""

from __future__ import annotations

import math
from typing import Any, ClassVar

AROUND = 60  # characters of the context shown on either side of an answer
DIGITS = 4  # of a score; what differs less is alike, so that the company of a window in its batch changes no answer


class Found:
    """The best spans of a context, each once whatever windows it was found in, and the score of "no answer"."""

    KEPT: ClassVar[int] = 20  # spans of a window

    def __init__(self, context: str):
        self.context = context
        self.spans: dict[tuple[int, int], float] = {}  # characters: score
        self.nothing = math.inf  # of the window that says it least

    def add(self, start: int, end: int, score: float) -> None:
        """A span; white space at its ends is no part of an answer."""
        text = self.context[start:end]
        start += len(text) - len(text.lstrip())
        end = start + len(text.strip())
        if start < end:
            self.spans[start, end] = max(round(score, DIGITS), self.spans.get((start, end), -math.inf))

    def told(self, threshold: float | None, count: int) -> dict[str, Any]:
        """The answer and the `count` best candidates, none of which overlap. threshold: None: there is always an answer.

        A score is the share among the best spans (and "no answer", where there may be none).
        """
        best = sorted(self.spans.items(), key=lambda one: (-one[1], one[0]))[: self.KEPT]
        chance = sigmoid(self.nothing - best[0][1]) if best else 1.0
        shares = softmax([score for _, score in best] + ([] if threshold is None else [self.nothing]))
        candidates = [self.candidate(spot, share) for (spot, _), share in zip(best, shares, strict=False)]
        there = bool(best) and (threshold is None or chance <= threshold)
        first = candidates[0] if there else {"answer": "", "start": None, "end": None, "score": shares_of(shares, best)}
        return {**first, "no_answer_probability": chance, "candidates": apart(candidates)[:count]}

    def candidate(self, spot: tuple[int, int], share: float) -> dict[str, Any]:
        start, end = spot
        return {"answer": self.context[start:end], "start": start, "end": end, "score": share}


def shares_of(shares: list[float], best: list[Any]) -> float:
    """The share of "no answer": what the spans leave."""
    return shares[-1] if len(shares) > len(best) else 0.0


def apart(candidates: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that overlap no better one, best first."""
    kept: list[dict[str, Any]] = []
    for one in candidates:
        if all(one["end"] <= other["start"] or other["end"] <= one["start"] for other in kept):
            kept.append(one)
    return kept


def sigmoid(value: float) -> float:
    """1 / (1 + e^-value), for any size."""
    if value >= 0:
        return 1 / (1 + math.exp(-min(value, 700)))
    small = math.exp(max(value, -700))
    return small / (1 + small)


def softmax(values: list[float]) -> list[float]:
    """Shares that sum to one."""
    most = max(values, default=0.0)
    powers = [1.0 if value == most else math.exp(value - most) for value in values]
    return [power / sum(powers) for power in powers]


def clipped(context: str, answer: dict[str, Any]) -> list[tuple[str, str]]:
    """The answer, marked, with what stands around it, in one line."""
    start, end = answer["start"], answer["end"]
    before, after = context[max(0, start - AROUND) : start], context[end : end + AROUND]
    before = ("…" if start > AROUND else "") + before
    after += "…" if len(context) > end + AROUND else ""
    return [(flat(before), "dim"), (flat(context[start:end]), "label.0"), (flat(after), "dim")]


def flat(text: str) -> str:
    """A text in one line."""
    return text.replace("\r\n", " ").replace("\n", " ").replace("\t", " ")
