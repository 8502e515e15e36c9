"""Texts compared by the n-grams that they share: the cosine of TF-IDF vectors, of words or of characters.

weight = (1 + log tf) · idf, idf = log((1 + N) / (1 + n)) + 1, where n of N training texts hold the n-gram. One that
fewer than two hold counts as held by none, so a new word is as telling as a rare one. Which n-grams (words, characters,
or the mean of both cosines) is chosen on valid, or without one on train.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from penjing.evaluate.pair_baselines import PairBaseline, Records, all_texts, packed, unpacked
from penjing.tasks.task import Task
from penjing.text.bm25 import terms

SPACE = re.compile(r"\s+")
LOOKED_AT = 2000  # records on which the n-grams are chosen
LEAST = 2  # texts that must hold an n-gram to be counted


def words(text: str) -> list[str]:
    """Words (Chinese: characters and pairs), and two of them side by side."""
    cut = terms(text)
    return cut + [f"{one} {two}" for one, two in zip(cut, cut[1:], strict=False)]


def characters(text: str) -> list[str]:
    """One to four characters side by side."""
    plain = f" {SPACE.sub(' ', text.lower().strip())} "
    return [plain[start : start + n] for n in (1, 2, 3, 4) for start in range(len(plain) - n + 1)]


CUTTERS: dict[str, Callable[[str], list[str]]] = {"words": words, "characters": characters}
CHOICES = {"words": ("words",), "characters": ("characters",), "both": ("words", "characters")}


class Baseline(PairBaseline):
    """TF-IDF cosine. `holding`: for each kind of n-gram how many training texts hold it."""

    kind: ClassVar[str] = "tfidf_cosine"

    def __init__(self, task: Task, holding: dict[str, dict[str, int]], facts: dict[str, Any]):
        self.task, self.holding, self.facts = task, holding, facts

    @classmethod
    def fit(cls, task: Task, train: Records, valid: Records, seed: int = 0) -> Baseline:
        """Count, then choose. Nothing is drawn, so the seed changes nothing."""
        texts = list(dict.fromkeys(all_texts(train)))
        holding = {name: counted(texts, cut) for name, cut in CUTTERS.items()}
        model = cls(task, holding, {"texts": len(texts), "grams": "both"})
        held = list(valid or train)[:LOOKED_AT]
        scores = {name: model.scored(name, held) for name in CHOICES}
        model.facts |= {"grams": max(scores, key=scores.__getitem__)}
        kept = CHOICES[model.facts["grams"]]
        model.holding = {name: table for name, table in holding.items() if name in kept}
        model.facts |= {"features": sum(map(len, model.holding.values()))}
        return model

    def scored(self, grams: str, records: Records) -> float:
        """The main score with these n-grams."""
        trial = Baseline(self.task, self.holding, {**self.facts, "grams": grams})
        return self.task.score(trial.answer(records), records)[self.task.main_score]

    @property
    def used(self) -> tuple[str, ...]:
        return CHOICES[self.facts["grams"]]

    def vector(self, text: str, name: str) -> dict[str, float]:
        """The n-grams of a text with their weights, of length 1."""
        total, holding = 1 + self.facts["texts"], self.holding[name]
        found = {
            gram: (1 + math.log(times)) * (math.log(total / (1 + holding.get(gram, 0))) + 1)
            for gram, times in Counter(CUTTERS[name](text)).items()
        }
        length = math.sqrt(sum(value * value for value in found.values()))
        return {gram: value / length for gram, value in found.items()}

    def near(self, text, other):
        found = 0.0
        for name in self.used:
            one, two = self.vector(text, name), self.vector(other, name)
            found += sum(value * two[gram] for gram, value in one.items() if gram in two)
        return found / len(self.used)

    def searched(self, queries: Sequence[str], candidates: Sequence[str]) -> Iterator[np.ndarray]:
        tables = {name: inverted([self.vector(text, name) for text in candidates]) for name in self.used}
        for query in queries:
            row = np.zeros(len(candidates))
            for name, table in tables.items():
                for gram, value in self.vector(query, name).items():
                    if gram in table:
                        places, values = table[gram]
                        row[places] += value * values
            yield row / len(self.used)

    def arrays(self):
        found = {}
        for name, table in self.holding.items():
            parts = packed(table) | {"holding": np.asarray([*table.values()], np.int64)}
            found |= {f"{name}.{part}": array for part, array in parts.items()}
        return found

    @classmethod
    def restored(cls, arrays, facts, task):
        holding = {}
        for name in CHOICES[facts["grams"]]:
            parts = {key.partition(".")[2]: array for key, array in arrays.items() if key.startswith(f"{name}.")}
            holding[name] = dict(zip(unpacked(parts), parts["holding"].tolist(), strict=True))
        return cls(task, holding, facts)


def counted(texts: Sequence[str], cut: Callable[[str], list[str]]) -> dict[str, int]:
    """How many texts hold each n-gram, of those that enough hold."""
    found: Counter[str] = Counter()
    for text in texts:
        found.update(set(cut(text)))
    return {gram: count for gram, count in sorted(found.items()) if count >= LEAST}


def inverted(vectors: Sequence[Mapping[str, float]]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """For each n-gram the texts that hold it, and its weights there."""
    found: defaultdict[str, tuple[list[int], list[float]]] = defaultdict(lambda: ([], []))
    for place, vector in enumerate(vectors):
        for gram, value in vector.items():
            found[gram][0].append(place)
            found[gram][1].append(value)
    return {gram: (np.asarray(places), np.asarray(values)) for gram, (places, values) in found.items()}
