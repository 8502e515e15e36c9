"""Tokens that are chosen before they are asked for: of one row that goes on greedily, and whose scores nothing edits."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from penjing.generate.options import GenerateOptions
from penjing.generate.rows import Texts, edits
from penjing.model.cache import Memory

BURST = 0.01  # seconds that may go by between two tokens for the sake of several at once


class Ahead:
    """A queue, filled by the network's written-out step where it has one (`Tape.ahead`)."""

    def __init__(self, network: Any, options: GenerateOptions):
        wanted = options.greedy and not edits(options) and not options.top_log_probabilities
        self.tape = getattr(network, "tape", None) if wanted else None
        self.network, self.stops = network, options.stop_tokens
        self.ready: deque[tuple[int, float]] = deque()
        self.most = 1

    def next(self) -> tuple[list[int], list[float]] | None:
        """The next token and its log-probability, if it is known."""
        if not self.ready:
            return None
        token, log = self.ready.popleft()
        return [token], [log]

    def fill(self, memory: Memory, texts: Texts, left: int) -> bool:
        """Whether the next token is known now; as many more as fit into a burst, and not more than are `left`."""
        if self.ready:
            return True
        if self.tape is None or self.network.tape is not self.tape:
            return False
        began = time.perf_counter()
        tokens, logs = self.tape.ahead(int(texts.newest), memory, min(self.most, left), self.stops)
        if not tokens:
            return False
        spent = (time.perf_counter() - began) / len(tokens)
        self.most = max(1, int(BURST / spent))
        texts.extend(tokens)
        self.ready.extend(zip(tokens, logs, strict=True))
        return True
