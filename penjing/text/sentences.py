"""Where sentences end among tokens, by two tables over the vocabulary: no text is needed, so memory stays flat.

A sentence ends behind a full stop, question or exclamation mark (English or Chinese), with the closing quotes and
brackets that follow it, and at an empty line. Abbreviations and numbers with a point are cut too: the objectives that
ask for sentences (BERT's, ALBERT's, BART's) do not mind.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import numpy as np

from penjing.text.word_starts import SPACE, as_bytes, bytes_of_characters

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer

STOP = re.compile(r"(?:[.!?。！？…]['\"”’」』）)\]]*\s*|\n\s*\n)\Z")
CLOSING = re.compile(r"['\"”’」』）)\].!?。！？…]+\s*")  # with a space before it, a quote opens


class Sentences:
    """Tables over the vocabulary: `stop` (a sentence may end behind the token), `trail` (it belongs to the one before)."""

    def __init__(self, tokenizer: Tokenizer):
        pipeline = json.loads(tokenizer.inner.to_str())
        prefix = pipeline["model"].get("continuing_subword_prefix") or ""
        level = "ByteLevel" in json.dumps([pipeline["pre_tokenizer"], pipeline["decoder"]])
        table = bytes_of_characters() if level else {}
        self.stop, self.trail = np.zeros(tokenizer.size, bool), np.zeros(tokenizer.size, bool)
        for token, number in tokenizer.inner.get_vocab(with_added_tokens=True).items():
            if number not in tokenizer.special:
                text = as_bytes(token.removeprefix(prefix), table).decode("utf-8", "ignore").replace(SPACE, " ")
                self.stop[number] = STOP.search(text) is not None
                self.trail[number] = CLOSING.fullmatch(text) is not None

    def starts(self, tokens: np.ndarray) -> np.ndarray:
        """The places in a text where sentences begin, 0 among them."""
        if not len(tokens):
            return np.zeros(0, np.int64)
        stop, trail = self.stop[tokens], self.trail[tokens]
        for place in np.flatnonzero(trail[1:]) + 1:  # what closes a sentence is its last token
            stop[place] |= stop[place - 1]
        return np.append(0, np.flatnonzero(stop[:-1] & ~trail[1:]) + 1)

    def of(self, tokens: np.ndarray) -> list[np.ndarray]:
        """The sentences of a text."""
        return np.split(tokens, self.starts(tokens)[1:])
