"""What a causal language model must beat: n-grams of characters by Kneser-Ney, fitted in seconds.

It spells any text: a character that training had once at most costs what an unknown one does, and which of all the
others in Unicode it is. So its bits per byte are those of a probability that sums to one, as a network's are.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import EvaluateError
from penjing.base.files import read_json, whole_folder, write_json
from penjing.evaluate.kneser_ney import KneserNey, longest
from penjing.tasks.blocks import code_points, spent

KIND = "ngram_lm"
CHARACTERS = 1_112_064  # of Unicode, without surrogates
LEAST = 2  # a character must occur as often to be known
ORDERS = (3, 4, 5, 6, 7, 8)  # tried on valid
USUAL = 6
SHOWN = 200_000  # characters of valid that the order is chosen on
READ = 30_000_000  # characters of training text, so that memory is bounded: some 1.5 GB

Records = Iterable[Mapping[str, Any]]


class Baseline:
    """Characters 1, 2, … of `alphabet` (ascending); 0 is any other."""

    def __init__(self, alphabet: np.ndarray, model: KneserNey, facts: Mapping[str, Any] | None = None):
        self.alphabet, self.model, self.facts = alphabet, model, dict(facts or {})

    @classmethod
    def fit(cls, task: Any, train: Records, valid: Records | None = None, seed: int = 0) -> Baseline:
        """The model of the training texts; the order is the best on valid, or the usual one without."""
        began = time.perf_counter()
        texts = some_of(train, READ)
        if not texts:
            raise EvaluateError("P-EVAL-001")
        alphabet = known_characters(texts)
        numbers = [numbered(alphabet, text) for text in texts]
        held = [numbered(alphabet, text) for text in some_of(valid or (), SHOWN)]
        most = longest(len(alphabet) + 1, max(ORDERS))
        orders = [order for order in ORDERS if order <= most] if held else [min(USUAL, most)]
        best = KneserNey.chosen(
            numbers, orders or [most], len(alphabet) + 1,
            lambda model: sum(-np.log2(model.chances(text)).sum() for text in held),
        )  # fmt: skip
        facts = {
            "order": best.order, "read": sum(map(len, texts)), "characters": len(alphabet), "ngrams": best.size,
            "chosen_on": "valid" if held else "nothing", "seconds": round(time.perf_counter() - began, 3),
        }  # fmt: skip
        return cls(alphabet, best, facts)

    def answer(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Bits and bytes of each block of each text, as the causal task answers."""
        found = []
        for record in records:
            points = code_points(record["text"])
            numbers = numbered(self.alphabet, points)
            bits = -np.log2(self.model.chances(numbers)) + (numbers == 0) * self.escape
            found.append(spent(record["text"], np.arange(len(points)), bits))
        return found

    @property
    def escape(self) -> float:
        """The bits that tell one unknown character from the others."""
        return math.log2(CHARACTERS - len(self.alphabet))

    def save(self, folder: str | Path) -> None:
        """penjing.json and one file of arrays."""
        with whole_folder(folder) as place:
            np.savez(place / "ngrams.npz", alphabet=self.alphabet, **self.model.arrays())
            write_json(place / "penjing.json", {"kind": KIND, "format": 1, "task": {"task": "causal"},
                                                "order": self.model.order, "facts": self.facts})  # fmt: skip

    @classmethod
    def load(cls, folder: str | Path) -> Baseline:
        """The model that `save` wrote, with bit-identical answers."""
        folder = Path(folder)
        about = read_json(folder / "penjing.json", dict)
        try:
            with np.load(folder / "ngrams.npz", allow_pickle=False) as arrays:
                alphabet = arrays["alphabet"]
                model = KneserNey.of_arrays(arrays, about["order"], len(alphabet) + 1)
        except Exception as error:  # a broken archive may say anything
            raise EvaluateError("P-EVAL-003", file=folder / "ngrams.npz", reason=error) from error
        return cls(alphabet, model, about.get("facts"))


def known_characters(texts: Sequence[np.ndarray]) -> np.ndarray:
    """The characters that occur often enough, ascending; all of them where none does."""
    found, counts = np.unique(np.concatenate(texts), return_counts=True)
    return found[counts >= LEAST] if (counts >= LEAST).any() else found


def numbered(alphabet: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Characters as symbols."""
    at = np.searchsorted(alphabet, text).clip(max=len(alphabet) - 1)
    return np.where(alphabet[at] == text, at + 1, 0).astype(np.int64)


def first_of(records: Records, most: int) -> list[Mapping[str, Any]]:
    """The first records, up to so many characters of text; none of them empty."""
    found: list[Mapping[str, Any]] = []
    held = 0
    for record in records:
        if held >= most:
            break
        if text := record["text"][: most - held]:
            found.append({**record, "text": text})
            held += len(text)
    return found


def some_of(records: Records, most: int) -> list[np.ndarray]:
    """The code points of these."""
    return [code_points(record["text"]) for record in first_of(records, most)]
