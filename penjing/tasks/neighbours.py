"""The nearest of many texts by their vectors: asked like the index of `penjing.text.bm25`.

Shapes: N texts, W width, Q queries, K nearest.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from penjing.tasks.vectors import unit
from penjing.text.bm25 import highest

if TYPE_CHECKING:
    from penjing.tasks.model import Model


class Neighbours:
    """Texts with their vectors. The model is one of the tasks `embed` or `contrast`."""

    def __init__(self, model: Model, texts: Sequence[str], batch_tokens: int = 4096):
        self.model, self.texts = model, list(texts)
        self.vectors = self.read(texts, batch_tokens)  # N W, of length 1

    def __len__(self) -> int:
        return len(self.texts)

    def read(self, texts: Sequence[str], batch_tokens: int = 4096) -> np.ndarray:
        """The vectors of texts, of length 1."""
        return unit(self.model.task.vectors(self.model, texts, batch_tokens))  # type: ignore[attr-defined]

    def scores(self, query: str) -> np.ndarray:
        """The cosines of a query to all texts, N."""
        return self.read([query])[0] @ self.vectors.T

    def best(self, queries: Sequence[str], k: int) -> tuple[np.ndarray, np.ndarray]:
        """The k nearest texts of each query, nearest first: indices Q K, cosines Q K. K is k, or N where that is less."""
        k = min(k, len(self))
        found = [highest(row @ self.vectors.T, k) for row in self.read(queries)]
        places = np.asarray([one for one, _ in found], np.int64).reshape(len(found), k)
        return places, np.asarray([one for _, one in found], np.float32).reshape(len(found), k)
