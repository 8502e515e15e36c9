"""What a denoising model must beat: n-grams of the very tokens that it writes, by Kneser-Ney, fitted in seconds.

A lost token is guessed from those before it in the undamaged text, all of which a decoder has read too, kept or
written; what stands behind it, which the encoder reads as well, n-grams do not see.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from penjing.base.errors import EvaluateError
from penjing.base.files import read_json, whole_folder, write_json
from penjing.evaluate.classical import saved_task
from penjing.evaluate.classical.ngram_lm import READ, SHOWN, first_of
from penjing.evaluate.kneser_ney import KneserNey, longest
from penjing.tasks.objective import own_chance
from penjing.tasks.pieces import Pieces
from penjing.text.tokenizer import Tokenizer

KIND, ARRAYS = "ngram_tokens", "ngrams.npz"
ORDERS = (2, 3, 4, 5)  # tried on valid
USUAL = 3

Records = Iterable[Mapping[str, Any]]


class Baseline:
    """Cuts texts by `tokenizer` into pieces of `window` tokens, as the model beside it does."""

    needs_model: ClassVar[bool] = True

    def __init__(
        self, task: Any, tokenizer: Tokenizer, window: int, model: KneserNey, facts: Mapping[str, Any] | None = None
    ):
        self.task, self.tokenizer, self.window, self.model = task, tokenizer, window, model
        self.facts = dict(facts or {})

    @classmethod
    def fit(cls, task: Any, train: Records, valid: Records | None = None, seed: int = 0, *, model: Path) -> Baseline:
        """The n-grams of the training texts; the order is the best on the lost tokens of valid, or the usual one."""
        from penjing.tasks.model import Model

        began, beside = time.perf_counter(), Model.load(model)
        tokenizer, window = beside.tokenizer, beside.window
        found = cls(task, tokenizer, window, KneserNey(tokenizer.size, []))
        rows = [row for row, _ in found.rows(found.pieces(first_of(train, READ)))]
        if not rows:
            raise EvaluateError("P-EVAL-001")
        held = found.pieces(first_of(valid or (), SHOWN))
        most = longest(tokenizer.size, max(ORDERS))
        orders = [order for order in ORDERS if order <= most] if len(held) else [min(USUAL, most)]
        found.model = KneserNey.chosen(rows, orders or [most], tokenizer.size, lambda model: found.cost(model, held))
        found.facts = {
            "order": found.model.order, "tokens": sum(map(len, rows)), "ngrams": found.model.size,
            "chosen_on": "valid" if len(held) else "nothing", "seconds": round(time.perf_counter() - began, 3),
        }  # fmt: skip
        return found

    def cost(self, model: KneserNey, pieces: Pieces) -> float:
        """The bits of the lost tokens."""
        return -sum(float(np.log2(model.chances(tokens)[lost]).sum()) for tokens, lost in self.rows(pieces))

    def pieces(self, records: Sequence[Mapping[str, Any]]) -> Pieces:
        """The rows that the model would be asked."""
        return self.task.pieces(self, records, False)

    def rows(self, pieces: Pieces) -> Iterable[tuple[np.ndarray, np.ndarray]]:
        """Of each row its tokens, and the places of those that are asked for."""
        special = list(self.tokenizer.special)
        for row in range(len(pieces)):
            tokens = pieces.inner(row).astype(np.int64)
            lost = self.task.written(tokens, own_chance(pieces, row))
            yield tokens, lost[~np.isin(tokens[lost], special)]

    def answer(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Labels, guesses and bits of each record, as the task answers."""
        pieces = self.pieces(records)
        answers: list[dict[str, Any]] = [{name: [] for name in self.task.lists} for _ in records]
        for owner, (tokens, lost) in zip(pieces.owner, self.rows(pieces), strict=True):
            bits = -np.log2(self.model.chances(tokens)[lost])
            lists = (tokens[lost], self.model.likeliest(tokens, lost), bits)
            for name, values in zip(self.task.lists, lists, strict=True):
                answers[owner][name] += values.tolist()
        return answers

    def save(self, folder: str | Path) -> None:
        """penjing.json, one file of arrays, and the tokenizer."""
        with whole_folder(folder) as place:
            np.savez(place / ARRAYS, **self.model.arrays())  # type: ignore[arg-type]
            self.tokenizer.save(place)
            about = {"kind": KIND, "format": 1, "task": self.task.record(), "window": self.window,
                     "order": self.model.order, "facts": self.facts}  # fmt: skip
            write_json(place / "penjing.json", about)

    @classmethod
    def load(cls, folder: str | Path) -> Baseline:
        """The model that `save` wrote, with bit-identical answers."""
        folder = Path(folder)
        about, tokenizer = read_json(folder / "penjing.json", dict), Tokenizer.load(folder)
        try:
            with np.load(folder / ARRAYS, allow_pickle=False) as arrays:
                model = KneserNey.of_arrays(arrays, about["order"], tokenizer.size)
        except Exception as error:  # a broken archive may say anything
            raise EvaluateError("P-EVAL-003", file=folder / ARRAYS, reason=error) from error
        return cls(saved_task(about), tokenizer, about["window"], model, about.get("facts"))
