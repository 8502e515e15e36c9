"""Translation by words and short phrases read off aligned sentences, with a model of target words: no reordering."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.files import read_json, whole_file, whole_folder, write_json
from penjing.evaluate.alignments import aligned
from penjing.evaluate.classical import saved_task
from penjing.evaluate.phrases import Weights, WordModel, phrase_table, plain, translated, words

Records = Sequence[Mapping[str, Any]]
TRIED = tuple(Weights(w, b) for w in (0.4, 0.7, 1.0) for b in (0.0, 0.7, 1.4))
TUNED_ON = 100  # valid records


class Baseline:
    """A phrase memory and a model of target words for each pair of languages."""

    def __init__(self, task: Any, parts: dict[str, tuple[dict, WordModel]], weights: Weights, facts: dict[str, Any]):
        self.task, self.parts, self.weights, self.facts = task, parts, weights, facts

    @classmethod
    def fit(cls, task: Any, train: Records, valid: Records, seed: int = 0) -> Baseline:
        """Align, read off phrases, count target words; the weights are those that serve best on valid records."""
        groups: dict[str, list[Mapping[str, Any]]] = {}
        for record in train:
            groups.setdefault(pair(record), []).append(record)
        found = cls(task, {name: fitted(records) for name, records in groups.items()}, Weights(), {})
        some = list(valid[:TUNED_ON])
        scores = {}
        for weights in TRIED if some else ():
            found.weights = weights
            scores[weights] = task.score(found.answer(some), some)[task.main_score]
        found.weights = max(scores, key=lambda one: scores[one]) if scores else Weights()
        sizes = {"phrases": sum(len(table) for table, _ in found.parts.values())}
        found.facts = sizes | {"weight_of_words": found.weights.words, "bonus": found.weights.bonus}
        return found

    def answer(self, records: Records) -> list[dict[str, Any]]:
        """The translations, in the form of the task's answers."""
        found = []
        for record in map(self.task.normal, records):
            part = self.parts.get(pair(record)) or next(
                (one for name, one in self.parts.items() if name.endswith(str(record.get("target_lang")))),
                next(iter(self.parts.values())),
            )
            found.append({"text": translated(record["source"], *part, self.weights)})
        return found

    def save(self, folder: Path) -> None:
        """penjing.json, and one file of phrases and counts for each pair of languages."""
        with whole_folder(folder) as part:
            about = {"kind": "phrase_translation", "task": self.task.record(), "weights": vars(self.weights)}
            write_json(part / "penjing.json", about | {"facts": self.facts, "pairs": list(self.parts)})
            for number, (phrases, model) in enumerate(self.parts.values()):
                with whole_file(part / f"{number}.jsonl") as file:
                    file.write(json.dumps({"total": model.total}) + "\n")
                    for source, options in phrases.items():
                        file.write(json.dumps({"phrase": source, "options": options}, ensure_ascii=False) + "\n")
                    for run, count in model.counts.items():
                        file.write(json.dumps({"words": run, "count": count}, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Baseline:
        """What `save` wrote."""
        about = read_json(folder / "penjing.json", dict)
        parts = {}
        for number, name in enumerate(about["pairs"]):
            phrases, counts, total = {}, {}, 1
            with open(folder / f"{number}.jsonl", encoding="utf-8") as file:
                for row in map(json.loads, file):
                    if "phrase" in row:
                        phrases[row["phrase"]] = [(tuple(target), chance) for target, chance in row["options"]]
                    elif "words" in row:
                        counts[tuple(row["words"])] = row["count"]
                    else:
                        total = row["total"]
            parts[name] = (phrases, WordModel(counts, total))
        return cls(saved_task(about), parts, Weights(**about["weights"]), about["facts"])


def pair(record: Mapping[str, Any]) -> str:
    """The languages of a record."""
    return f"{record.get('source_lang', '')}-{record.get('target_lang', '')}"


def fitted(records: Records) -> tuple[dict, WordModel]:
    """Phrases and target words of one pair of languages."""
    sources = [[plain(word) for word in words(record["source"])] for record in records]
    targets = [words(record["target"]) for record in records]
    links = aligned(numbered(sources), numbered(targets))
    return phrase_table(sources, targets, links), WordModel.fit(targets)


def numbered(sentences: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Words as numbers from 1 on."""
    known: dict[str, int] = {}
    return [np.asarray([known.setdefault(w, len(known) + 1) for w in s], dtype=np.int64) for s in sentences]
