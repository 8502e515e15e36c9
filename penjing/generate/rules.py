"""What edits the scores of the next token from outside: a grammar, a guide, a verse form.

A rule serves all rows of one generation. The loop tells it the prompts, asks it for scores before each token, and tells
it what each row took; rows that leave, or that beams copy, are told by `select`.

Shapes: R rows, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor


class Rule:
    """The base rule changes nothing."""

    def start(self, prompts: Sequence[Sequence[int]]) -> None:
        """The rows begin: the token ids of each row's prompt, without padding (of the decoder, where there are two)."""

    def apply(self, scores: Tensor) -> Tensor:
        """Scores R V (float32, before the softmax) to scores R V; a token that may not come gets -inf.

        It may work in place. Rules are applied in their order, before penalties, temperature and cuts.
        """
        return scores

    def accept(self, tokens: Sequence[int]) -> None:
        """The token that each row took."""

    def select(self, rows: Sequence[int]) -> None:
        """Keep these rows, in this order; one row may be taken many times (beams), another not at all (it has ended)."""
