"""The model and the best baseline together: their probabilities, each tempered, averaged.

Temperatures and the weight are chosen on the valid split by log loss, never on the split that is reported.
Legend: N texts, C labels, M members.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from penjing.base.errors import EvaluateError
from penjing.base.files import read_json, whole_folder, write_json
from penjing.evaluate.classical import is_classical, load_classical
from penjing.evaluate.linear import LinearModel, answers
from penjing.evaluate.metrics import SMALLEST, log_loss

GOLDEN = (5**0.5 - 1) / 2


class Candidate(Protocol):
    """Whatever gives probabilities: a Model, a LinearModel, an Ensemble."""

    def probabilities(self, texts: Sequence[Any]) -> np.ndarray: ...


@dataclass
class Member:
    """One candidate of an ensemble. Temperature above 1 makes it less sure; the weights of all add up to 1."""

    name: str
    candidate: Candidate
    temperature: float
    weight: float
    path: Path


@dataclass
class Ensemble:
    """Answers as a LinearModel or a Model does."""

    members: list[Member]
    labels: list[str]
    several: bool

    def probabilities(self, texts: Sequence[Any]) -> np.ndarray:
        """N C float64."""
        return self.mixed({m.name: m.candidate.probabilities(texts) for m in self.members})

    def mixed(self, probabilities: Mapping[str, np.ndarray]) -> np.ndarray:
        """N C from the members' own probabilities by name."""
        parts = [m.weight * tempered(probabilities[m.name], m.temperature, self.several) for m in self.members]
        return np.sum(parts, axis=0)

    def answer(self, texts: Sequence[Any]) -> list[dict[str, Any]]:
        """One dict per text, as a classifier's."""
        return answers(self.probabilities(texts), self.labels, self.several)

    def described(self) -> list[dict[str, Any]]:
        """Name, temperature and weight of each member."""
        return [{"name": m.name, "temperature": m.temperature, "weight": m.weight} for m in self.members]

    def save(self, folder: str | Path) -> None:
        """A folder with penjing.json, which names the members by their path relative to the folder."""
        folder = Path(folder)
        paths = [{"path": Path(os.path.relpath(m.path, folder)).as_posix()} for m in self.members]
        members = [about | path for about, path in zip(self.described(), paths, strict=True)]
        about = {"kind": "ensemble", "labels": self.labels, "several": self.several, "members": members}
        with whole_folder(folder) as part:
            write_json(part / "penjing.json", about)

    @classmethod
    def load(cls, folder: str | Path) -> Ensemble:
        """The ensemble with its members; one that moved away is an error."""
        folder = Path(folder)
        about, members = read_json(folder / "penjing.json"), []
        try:
            for member in about["members"]:
                path = folder / member["path"]
                if not path.exists():
                    raise EvaluateError("P-EVAL-008", folder=folder, absent=member["path"])
                loaded = load_candidate(path)
                members.append(Member(member["name"], loaded, member["temperature"], member["weight"], path))
            return cls(members, about["labels"], about["several"])
        except (KeyError, TypeError) as error:
            raise EvaluateError("P-EVAL-003", file=folder / "penjing.json", reason=error) from error


def load_candidate(folder: str | Path) -> Any:
    """The LinearModel, Ensemble, prompted or trained model that a folder holds."""
    folder = Path(folder)
    about = read_json(folder / "penjing.json", dict) if (folder / "penjing.json").exists() else {}
    if is_classical(about.get("kind", "")):
        return load_classical(folder)
    if about.get("kind") == "fewshot":
        return load_fewshot(folder)
    loaders: dict[str, Callable[[Path], Any]] = {"linear": LinearModel.load, "ensemble": Ensemble.load}
    return loaders.get(about.get("kind", ""), load_network)(folder)


def load_fewshot(folder: Path) -> Any:
    """A prompted model."""
    from penjing.evaluate.prompted_folder import load_prompted

    return load_prompted(folder)


def load_network(folder: Path) -> Any:
    """A trained Transformer."""
    from penjing.tasks.model import Model

    return Model.load(folder)


def fit_ensemble(
    candidates: Mapping[str, tuple[Candidate, Path]],
    probabilities: Mapping[str, np.ndarray],
    targets: np.ndarray | None,
    labels: Sequence[str],
    several: bool,
) -> Ensemble:
    """Two candidates with their valid probabilities N C. Without a valid split: halves, as they are."""
    names = list(candidates)
    assert len(names) == 2
    temperatures, weight = [1.0, 1.0], 0.5
    if targets is not None and len(targets):
        temperatures = [best_temperature(probabilities[name], targets) for name in names]
        first, second = (tempered(probabilities[n], t, several) for n, t in zip(names, temperatures, strict=True))
        weight = lowest(lambda w: log_loss(w * first + (1 - w) * second, targets), 0.0, 1.0)
    members = [
        Member(name, *(candidates[name][0], temperature, share, candidates[name][1]))
        for name, temperature, share in zip(names, temperatures, (weight, 1 - weight), strict=True)
    ]
    return Ensemble(members, list(labels), several)


def best_temperature(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """The temperature with the lowest log loss, between 1/20 and 20."""
    several = targets.ndim == 2

    def loss(power: float) -> float:
        return log_loss(tempered(probabilities, float(np.exp(power)), several), targets)

    return float(np.exp(lowest(loss, -np.log(20.0), np.log(20.0))))


def tempered(probabilities: np.ndarray, temperature: float, several: bool) -> np.ndarray:
    """Probabilities whose log odds are divided by the temperature."""
    if temperature == 1.0:
        return probabilities
    scores = np.log(np.clip(probabilities, SMALLEST, 1)) / temperature
    if several:
        against = np.log(np.clip(1 - probabilities, SMALLEST, 1)) / temperature
        return 0.5 * (1 + np.tanh(0.5 * (scores - against)))
    powers = np.exp(scores - scores.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def lowest(function: Callable[[float], float], low: float, high: float, steps: int = 40) -> float:
    """Where a function with one valley is lowest: golden-section search."""
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = function(left), function(right)
    for _ in range(steps):
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = function(right)
    return (low + high) / 2
