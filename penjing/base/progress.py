"""How a long step tells what it does. The library never prints: it tells events to whoever listens.

with listen(draw):          # the command line draws them with rich; a test collects them
    penjing.pretrain(...)
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["begin", "step", "note", "warning", "end"]


@dataclass(frozen=True)
class Event:
    """One thing that happened. `done` of `total` is in the unit of the step (records, tokens, steps)."""

    kind: Kind
    what: str  # the work, e.g. "pretrain"
    text: str = ""
    done: float | None = None
    total: float | None = None
    values: dict[str, Any] = field(default_factory=dict)  # e.g. loss, tokens_per_second, seconds_left, padding
    time: float = field(default_factory=time.time)


_listeners: ContextVar[tuple[Callable[[Event], None], ...]] = ContextVar("listeners", default=())


@contextlib.contextmanager
def listen(function: Callable[[Event], None]) -> Iterator[None]:
    """Call `function` with each event told inside the block."""
    token = _listeners.set((*_listeners.get(), function))
    try:
        yield
    finally:
        _listeners.reset(token)


def tell(
    kind: Kind, what: str, text: str = "", *, done: float | None = None, total: float | None = None, **values: Any
) -> None:
    """Tell an event to all listeners; with none, it costs nothing."""
    listeners = _listeners.get()
    if listeners:
        event = Event(kind, what, text, done, total, values)
        for function in listeners:
            function(event)
