"""Measuring a finetune step whose task answers with more than a label: what the stage `evaluate` does for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import language
from penjing.base.files import existing, whole_file, write_json
from penjing.base.progress import tell
from penjing.evaluate.answers import answers_certificate
from penjing.evaluate.candidates import answered
from penjing.evaluate.certificate import MODEL
from penjing.evaluate.classical import load_classical
from penjing.evaluate.measuring import chosen_split
from penjing.tasks.model import Model
from penjing.tasks.task import Task

SHOWN = 3  # scores of a summary beside the main one


def ask(
    out: Path, data: Path, trained: Path, model: Model, split: str, resamples: int, confidence: float, seed: int
) -> dict[str, Any]:
    """Answer, compare, write; returns the summary. `trained` holds the model and its baselines."""
    split, raw = chosen_split(existing(data), split)
    task = model.task
    records = [task.normal(record) for record in raw]
    task.check(records, True)
    folders = {MODEL: trained / MODEL} | baseline_folders(trained, task.baselines)
    candidates = {MODEL: model} | {name: load_classical(f) for name, f in folders.items() if name != MODEL}
    answers, facts = answered(candidates, records)
    for name, folder in folders.items():
        facts[name]["bytes"] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    paths = {name: f"{trained.name}/{folder.relative_to(trained).as_posix()}" for name, folder in folders.items()}
    found = answers_certificate(task, answers, facts, records, split=split, resamples=resamples, confidence=confidence,
                                seed=seed, paths=paths)  # fmt: skip
    write_json(out / "certificate.json", found)
    write_answers(out / "predictions.jsonl", task, records, answers)
    tell("end", "evaluate", (found["verdict"] or {}).get(language(), ""))
    return summary(found)


def baseline_folders(trained: Path, names: Sequence[str]) -> dict[str, Path]:
    """The baselines of a finetune step, in the order of the task."""
    places = {name: trained / "baselines" / name for name in names}
    return {name: place for name, place in places.items() if (place / "penjing.json").exists()}


def write_answers(
    path: Path, task: Task, records: Sequence[Mapping[str, Any]], answers: Mapping[str, Sequence[dict[str, Any]]]
) -> None:
    """One JSON line per record: the record, each candidate's answer, and the model's own main score on it."""
    own = own_scores(task, answers[MODEL], records)
    with whole_file(path) as file:
        for number, record in enumerate(records):
            line = {"record": dict(record), "score": own[number],
                    "candidates": {name: given[number] for name, given in answers.items()},
                    "lines": ["".join(text for text, _ in parts)
                              for parts in task.lines(record, answers[MODEL][number])],
                    "true": task.truth(record)}  # fmt: skip
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def own_scores(task: Task, answers: Sequence[dict[str, Any]], records: Sequence[Mapping[str, Any]]) -> list[Any]:
    """The main score of each record by itself; null where the task's scores are no sums over records."""
    if type(task).scores is Task.scores:
        return [None] * len(records)
    found = task.scores(task.statistics(answers, records)).get(task.main_score)
    if found is None:
        return [None] * len(records)
    return [round(float(one), 6) if np.isfinite(one) else None for one in found]


def summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers that a table shows, and the verdict in the user's language."""
    scores = {name: about["scores"] for name, about in found["candidates"].items()}
    main = found["metric"]
    metrics = [main, *(name for name in scores[MODEL] if name != main)][: 1 + SHOWN]
    short = {name: {m: values[m] for m in metrics if m in values} for name, values in scores.items()}
    verdict = found["verdict"]
    baselines = {name: values for name, values in short.items() if name != MODEL}
    return {"split": found["split"], "records": found["records"], MODEL: short[MODEL], "baselines": baselines,
            "verdict": verdict and verdict[language()], "outcome": verdict and verdict["outcome"]}  # fmt: skip
