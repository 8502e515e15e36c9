"""Measuring a finetune step on a clean step: what the stage `evaluate` does. Legend: N texts, C labels."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import EvaluateError, language
from penjing.base.files import existing, whole_file, write_json
from penjing.base.progress import tell
from penjing.base.records import Record
from penjing.base.texts import two_texts
from penjing.evaluate.baselines import load_baselines
from penjing.evaluate.certificate import ENSEMBLE, MODEL, certificate, predicted
from penjing.evaluate.compare import CLASSICAL, TAUGHT
from penjing.evaluate.ensemble import Ensemble, fit_ensemble, load_candidate
from penjing.evaluate.metrics import confusion, decisions, log_loss, per_label, reliability
from penjing.evaluate.targets import targets_of
from penjing.train.prepare import records_of

Chances = dict[str, np.ndarray]  # candidate -> N C


class Measuring:
    """Everything measured of one finetune step; `run` fills the step folder."""

    def __init__(self, out: Path, data: Path, trained: Path, model: Any, split: str, ensemble: bool):
        self.out, self.trained, self.ensemble = out, trained, ensemble
        self.candidates, self.folders = load_all(trained, model)
        task = getattr(model, "task", model)  # a linear model knows its labels itself
        self.labels, self.several = list(task.labels), bool(getattr(task, "several", False))
        self.split, self.records = chosen_split(existing(data), split)
        valid = records_of(data, "valid") if self.split != "valid" else []
        self.targets = targets_of(self.records, self.labels, self.several)
        self.valid, self.valid_targets = valid, targets_of(valid, self.labels, self.several)
        self.facts: dict[str, dict[str, Any]] = {}
        check_labels(self.candidates, self.labels)

    def run(self, resamples: int, confidence: float, seed: int) -> dict[str, Any]:
        """Predict, compare, write; returns the summary."""
        chances = {name: self.predict(name, candidate) for name, candidate in self.candidates.items()}
        mixed = self.mix(chances) if self.ensemble and len(chances) > 1 else None
        if mixed:
            chances[ENSEMBLE] = mixed.mixed(chances)
            self.facts[ENSEMBLE] = {"members": mixed.described()}
        paths = {name: f"{self.trained.name}/{folder.relative_to(self.trained).as_posix()}"
                 for name, folder in self.folders.items()}  # fmt: skip
        words = TAUGHT if "teacher" in getattr(self.candidates[MODEL], "facts", {}) else CLASSICAL
        found = certificate(chances, self.targets, self.labels, split=self.split, resamples=resamples, seed=seed,
                            confidence=confidence, paths=paths, facts=self.facts, words=words)  # fmt: skip
        if mixed:
            mixed.save(self.out / ENSEMBLE)
        write_json(self.out / "certificate.json", found)
        write_json(self.out / "scores.json", self.details(found, chances))
        write_predictions(self.out / "predictions.jsonl", self.records, self.targets, chances, self.labels)
        tell("end", "evaluate", (found["verdict"] or {}).get(language(), ""))
        return summary(found)

    def predict(self, name: str, candidate: Any) -> np.ndarray:
        """The candidate's probabilities, and its times and size among the facts."""
        tell("begin", "evaluate", name, total=len(self.records))
        chances, self.facts[name] = predicted(candidate, self.records)
        fitting = {f"fit_{key}": value for key, value in getattr(candidate, "facts", {}).items()}
        size = sum(file.stat().st_size for file in self.folders[name].rglob("*") if file.is_file())
        self.facts[name] |= fitting | {"bytes": size}
        return chances

    def mix(self, chances: Chances) -> Ensemble:
        """The model and the baseline with the lowest log loss, weighed on valid."""
        names = [name for name in chances if name != MODEL]
        known: Chances = {}
        if self.valid:
            known = {name: predicted(self.candidates[name], self.valid)[0] for name in chances}
            best = min(names, key=lambda name: log_loss(known[name], self.valid_targets))
        else:
            tell("warning", "evaluate", "no other split to weigh the ensemble on: halves of model and last baseline")
            best = names[-1]
        pair = {name: (self.candidates[name], self.folders[name]) for name in (MODEL, best)}
        targets = self.valid_targets if self.valid else None
        return fit_ensemble(pair, known, targets, self.labels, self.several)

    def details(self, found: Mapping[str, Any], chances: Chances) -> dict[str, Any]:
        """What tables and figures need: scores, per label, confusion, reliability of each candidate."""
        return {
            name: {
                "scores": found["candidates"][name]["scores"],
                "per_label": per_label(self.targets, decisions(values, self.several), self.labels),
                "confusion": None if self.several
                else confusion(self.targets, decisions(values, False), len(self.labels)).tolist(),
                "reliability": reliability(values, self.targets),
            }
            for name, values in chances.items()
        }  # fmt: skip


def trained_model(trained: Path) -> Any:
    """The model of a finetune step."""
    if not (existing(trained) / MODEL).exists():
        raise EvaluateError("P-EVAL-008", folder=trained, absent=f"{MODEL}/")
    return load_candidate(trained / MODEL)


def load_all(trained: Path, model: Any) -> tuple[dict[str, Any], dict[str, Path]]:
    """The model and the baselines of a finetune step, and where each is."""
    baselines = load_baselines(trained)
    folders = {MODEL: trained / MODEL} | {name: trained / "baselines" / name for name in baselines}
    return {MODEL: model} | baselines, folders


def check_labels(candidates: Mapping[str, Any], labels: Sequence[str]) -> None:
    """All candidates give the same labels in the same order."""
    for name, candidate in candidates.items():
        own = getattr(candidate, "labels", None) if name != MODEL else labels
        if list(own or ()) != list(labels):
            raise EvaluateError("P-EVAL-007", name=name, labels=", ".join(map(str, own or ["-"])), known=labels)


def chosen_split(data: Path, split: str) -> tuple[str, list[Record]]:
    """The split asked for, or valid if there is no test, said aloud."""
    if records := records_of(data, split):
        return split, records
    if split == "test" and (records := records_of(data, "valid")):
        tell("warning", "evaluate", "there is no test split: these are scores on valid, which training has looked at")
        return "valid", records
    raise EvaluateError("P-EVAL-006", folder=data)


def write_predictions(
    path: Path, records: Sequence[Mapping[str, Any]], targets: np.ndarray, chances: Chances, labels: Sequence[str]
) -> None:
    """One JSON line per text: text, true, and per candidate what it predicted and how sure it was."""
    several = targets.ndim == 2
    given = {name: decisions(values, several) for name, values in chances.items()}

    def words(answer: Any) -> Any:
        return [labels[i] for i in np.flatnonzero(answer)] if several else labels[int(answer)]

    def sure(values: np.ndarray) -> float:
        return round(float(np.maximum(values, 1 - values).min() if several else values.max()), 6)

    with whole_file(path) as file:
        for i, record in enumerate(records):
            first, second = two_texts(record)
            line = {"text": first} | ({"text_b": second} if second else {}) | {"true": words(targets[i])}
            line["candidates"] = {
                name: {"predicted": words(given[name][i]), "probability": sure(chances[name][i])} for name in chances
            }
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that a table shows, and the verdict in the user's language."""
    metrics = ["accuracy", "macro_f1", *(["micro_f1"] if found["several"] else [])]
    short = {
        name: {metric: about["scores"][metric] for metric in metrics} for name, about in found["candidates"].items()
    }
    baselines = {name: scores for name, scores in short.items() if name not in (MODEL, ENSEMBLE)}
    verdict = found["verdict"]
    result = {"split": found["split"], "records": found["records"], MODEL: short[MODEL], "baselines": baselines}
    result |= {ENSEMBLE: short[ENSEMBLE]} if ENSEMBLE in short else {}
    return result | {"verdict": verdict and verdict[language()], "outcome": verdict and verdict["outcome"]}
