"""A run that is asked to stop ends after its step, and says so."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from typing import Any

from penjing.base.errors import TrainError


class StoppedError(TrainError):
    """The run was asked to stop; its state is saved."""

    exit_code = 130


@contextlib.contextmanager
def stop_signals() -> Iterator[list[str]]:
    """Collect SIGINT and SIGTERM instead of dying of them: the loop ends after its step. A second one ends at once."""
    caught: list[str] = []
    old = {}

    def remember(number: int, frame: Any) -> None:
        caught.append(signal.Signals(number).name)
        if len(caught) > 1:
            raise KeyboardInterrupt

    with contextlib.suppress(ValueError):  # only the main thread may listen
        old = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield caught
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
