"""What decoding gives back: a column a step, or whole answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import NamedTuple

Stops = Callable[[int, list[int]], bool]  # row, its tokens so far; True ends the row
Top = list[tuple[int, float]]


class Column(NamedTuple):
    """One step of all rows."""

    tokens: list[int | None]  # None: the row had ended before
    log_probabilities: list[float | None]  # of the network's scores after the rules, before penalties and cuts
    reasons: list[str | None]  # None while it goes on; "stop", "length" when the row ends with this token
    top: list[Top] | None = None  # the likeliest tokens of each row, if asked for


@dataclass
class Answer:
    """One continuation of one prompt."""

    tokens: list[int] = field(default_factory=list)  # without the stop token
    log_probabilities: list[float] = field(default_factory=list)  # one a token
    reason: str = "length"  # or "stop"
    score: float | None = None  # of a beam: the log-probability of all, stop token too, over length ** length_penalty
    top: list[Top] = field(default_factory=list)  # one a token, if asked for
    end: tuple[int, float] | None = None  # the stop token and its log-probability, if one came


def gathered(columns: Iterable[Column], stop_tokens: Iterable[int]) -> list[Answer]:
    """The answers that columns add up to, one a row."""
    answers: list[Answer] = []
    ends = set(stop_tokens)
    for column in columns:
        answers = answers or [Answer() for _ in column.tokens]
        for row, (answer, token) in enumerate(zip(answers, column.tokens, strict=True)):
            if token is None:
                continue
            answer.reason = column.reasons[row] or answer.reason
            if token in ends:
                answer.end = (token, column.log_probabilities[row])
                continue
            answer.tokens.append(token)
            answer.log_probabilities.append(column.log_probabilities[row])
            if column.top is not None:
                answer.top.append(column.top[row])
    return answers


def spread(found: Iterable[list[Answer]], returns: int) -> Iterator[Column]:
    """The columns of answers that are whole already; a row without an answer has no tokens."""
    rows: list[list[tuple]] = []
    for answers in found:
        rows += [steps(answer) for answer in answers] + [[]] * (returns - len(answers))
    for column in zip_longest(*rows, fillvalue=(None, None, None)):
        yield Column(*map(list, zip(*column, strict=True)))


def steps(answer: Answer) -> list[tuple[int, float, str | None]]:
    """Token, log-probability and reason of each step of an answer."""
    tokens, logs = list(answer.tokens), list(answer.log_probabilities)
    if answer.end is not None:
        tokens, logs = [*tokens, answer.end[0]], [*logs, answer.end[1]]
    return list(zip(tokens, logs, [*[None] * (len(tokens) - 1), answer.reason], strict=True))
