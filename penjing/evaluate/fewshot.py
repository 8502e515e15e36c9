"""How right a prompted model is with more and more examples, beside classical models fitted on all of train.

All are measured on the same records and resampled together, so that differences are paired. An interval says what other
records would have brought; what other examples would have is seen in the accuracies of the single seeds.
Shapes: N records, R resamples.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import DataError, TaskError
from penjing.base.files import whole_file
from penjing.base.progress import tell
from penjing.base.texts import two_texts
from penjing.evaluate.baselines import fit_baselines
from penjing.evaluate.compare import verdict
from penjing.evaluate.intervals import draws, interval
from penjing.evaluate.linear import KINDS
from penjing.tasks.prompted import Prompted
from penjing.tasks.task import Task

METRIC, TRAINED = "accuracy", "trained"

Record = Mapping[str, Any]
Answers = list[dict[str, Any]]
Ask = Callable[[int, int], Prompted]  # shots, seed -> who answers


@dataclass
class Point:
    """What was answered with so many examples: a row of answers for each seed."""

    shots: int
    seeds: list[int]
    answers: list[Answers]
    right: np.ndarray  # N: the share of the seeds with which a record was answered rightly
    about: dict[str, Any]


class Curve:
    """The same records asked with more and more examples, and of others."""

    def __init__(self, task: Task, records: Sequence[Record]):
        self.task, self.records = task, records
        self.points: list[Point] = []
        self.others: dict[str, tuple[Answers, np.ndarray]] = {}

    def ask(self, ask: Ask, shots: Sequence[int], seeds: Sequence[int]) -> None:
        """Ask with each number of examples; another seed draws other examples, where there are some to draw."""
        runs = [(number, seed) for number in shots for seed in (seeds if number else seeds[:1])]
        tell("begin", "fewshot", total=len(runs))
        done = 0
        for number in shots:
            some, answers, facts = [seed for shot, seed in runs if shot == number], [], []
            began = time.perf_counter()
            for seed in some:
                prompted = ask(number, seed)
                answers.append(prompted.answer(self.records))
                facts.append(prompted.facts)
                done += 1
                tell("step", "fewshot", f"{number} examples", done=done, total=len(runs))
            rate = len(some) * len(self.records) / max(time.perf_counter() - began, 1e-9)
            about = {name: float(np.mean([one[name] for one in facts])) for name in facts[0]}
            self.points.append(Point(number, some, answers, np.mean([self.right(one) for one in answers], axis=0),
                                     about | {"texts_per_second": round(rate, 1)}))  # fmt: skip
        tell("end", "fewshot")

    def set_beside(self, name: str, answers: Answers) -> None:
        """Another one who answered the same records."""
        self.others[name] = answers, self.right(answers)

    def right(self, answers: Answers) -> np.ndarray:
        """Whether each record was answered rightly, N."""
        pairs = zip(answers, self.records, strict=True)
        return np.array([answer["label"] == str(record["label"]) for answer, record in pairs], float)

    def macro(self, answers: Answers) -> float:
        return self.task.score(answers, self.records)["macro_f1"]

    # ---- what is told ----

    def found(self, resamples: int, confidence: float, seed: int) -> dict[str, Any]:
        """The curve, the others, differences to the best classical model, and a verdict in words."""
        rows = {str(point.shots): point.right for point in self.points}
        rows |= {name: right for name, (_, right) in self.others.items()}
        means = resampled_means(list(rows.values()), resamples, seed)
        samples = dict(zip(rows, means, strict=True))
        classical = [name for name in self.others if name != TRAINED]
        best = max(classical, key=lambda name: self.others[name][1].mean()) if classical else None
        curve = []
        for point in self.points:
            name = str(point.shots)
            row = {"shots": point.shots, METRIC: interval(samples[name], point.right.mean(), confidence),
                   "macro_f1": float(np.mean([self.macro(answers) for answers in point.answers])),
                   "seeds": [{"seed": seed, METRIC: float(self.right(answers).mean())}
                             for seed, answers in zip(point.seeds, point.answers, strict=True)]}  # fmt: skip
            if best is not None:
                apart = point.right.mean() - self.others[best][1].mean()
                row["difference"] = {"to": best} | interval(samples[name] - samples[best], apart, confidence)
            curve.append(row | point.about)
        others = {name: {METRIC: interval(samples[name], right.mean(), confidence), "macro_f1": self.macro(answers)}
                  for name, (answers, right) in self.others.items()}  # fmt: skip
        return {"metric": METRIC, "records": len(self.records), "confidence": confidence, "resamples": resamples,
                "curve": curve, "others": others, "best_baseline": best, "verdict": judged(curve, confidence)}  # fmt: skip

    def write_predictions(self, path: Path) -> None:
        """A JSON line for each record: what was answered with each number of examples, first seed, and by others."""
        with whole_file(path) as file:
            for row, record in enumerate(self.records):
                first, second = two_texts(record)
                line = {"text": first} | ({"text_b": second} if second else {}) | {"true": str(record["label"])}
                line["shots"] = {str(point.shots): short(point.answers[0][row]) for point in self.points}
                line["others"] = {name: short(answers[row]) for name, (answers, _) in self.others.items()}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def short(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The label of an answer and how sure it is."""
    return {"predicted": answer["label"], "probability": round(float(answer["probability"]), 6)}


def resampled_means(rows: Sequence[np.ndarray], resamples: int, seed: int) -> np.ndarray:
    """The mean of each row N in each resample of its records; the same resamples for all: rows R."""
    weights = draws(np.ones(len(rows[0]), np.int64), resamples, seed)
    values = np.stack(rows).astype(np.float32)  # rows N
    return np.concatenate([values @ some.T for some in weights], axis=1).astype(float) / len(rows[0])


def judged(curve: Sequence[Mapping[str, Any]], confidence: float) -> dict[str, Any] | None:
    """The most examples against the best classical model, in words."""
    last = max(curve, key=lambda row: row["shots"])
    if "difference" not in last:
        return None
    apart = {"of": "model", "metric": METRIC} | last["difference"]
    found, number = verdict(apart, confidence, None), last["shots"]
    english, chinese = f"with {number} example{'s' * (number != 1)} in the prompt", f"提示中有 {number} 个示例时"
    return found | {"en": f"{english}: {found['en']}", "zh": f"{chinese}：{found['zh']}", "shots": number}


def classical_answers(
    train: Sequence[Record], valid: Sequence[Record], labels: Sequence[str], records: Sequence[Record], seed: int
) -> dict[str, Answers]:
    """What the linear baselines answer, each fitted on all of train."""
    fitted = fit_baselines(train, valid, labels, KINDS, seed=seed)
    return {name: model.answer(list(records)) for name, model in fitted.items()}


def trained_answers(model: Any, labels: Sequence[str], records: Sequence[Record]) -> Answers:
    """What a trained classifier answers. Raises P-SHOT-012 and -013."""
    task = getattr(getattr(model, "task", None), "name", "classify")
    own = list(getattr(model, "labels", None) or getattr(model.task, "labels", None) or ())
    several = getattr(model, "several", False) or getattr(getattr(model, "task", None), "several", False)
    if task != "classify" or several or not own:
        raise TaskError(
            "P-SHOT-013", name="trained model", task="several labels" if several else task, needs="classify"
        )
    if apart := sorted(set(labels) ^ set(own)):
        raise DataError("P-SHOT-012", name="trained model", given=apart[0], known=own)
    return model.answer(list(records))
