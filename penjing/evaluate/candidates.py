"""The classical models beside a fine-tuned one: fitted on the same records, saved, and set beside it on valid."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.files import write_json
from penjing.base.progress import tell
from penjing.evaluate.answers import answers_certificate
from penjing.evaluate.certificate import MODEL, fit_and_save_baselines
from penjing.evaluate.classical import classical
from penjing.evaluate.ensemble import load_candidate
from penjing.tasks.task import Task

Records = Sequence[Mapping[str, Any]]


def fit_and_save(out: Path, task: Task, train: Records, valid: Records, *, seed: int) -> dict[str, Any]:
    """Fit the baselines of the task, save each as `out`/baselines/<name>/, and certify them and `out`/model on valid.

    With a valid split, `out`/certificate.json is written. Returns a small summary by baseline.
    """
    if hasattr(task, "probabilities"):
        return fit_and_save_baselines(out, train, valid, task.labels, seed=seed)  # type: ignore[attr-defined]
    models = fit_all(task, train, valid, seed, out / MODEL)
    for name, model in models.items():
        model.save(out / "baselines" / name)
    summary: dict[str, Any] = {name: {"fit_seconds": model.facts["seconds"]} for name, model in models.items()}
    if not valid or not models:
        return summary
    candidates = {MODEL: load_candidate(out / MODEL), **models}
    paths = {name: f"baselines/{name}" for name in models}
    given = answered(candidates, valid, "certificate")
    found = answers_certificate(task, *given, valid, split="valid", seed=seed, paths=paths)
    write_json(out / "certificate.json", found)
    tell("end", "certificate")
    return {name: about | {m: s for m, s in found["candidates"][name]["scores"].items() if m == found["metric"]}
            for name, about in summary.items()}  # fmt: skip


def fit_all(task: Task, train: Records, valid: Records, seed: int, model: Path) -> dict[str, Any]:
    """One fitted model for each name in `task.baselines`; one that answers token by token cuts texts as `model` does."""
    fitted = {}
    for done, name in enumerate(task.baselines):
        tell("begin", "baselines", name, done=done, total=len(task.baselines))
        began = time.perf_counter()
        kind = classical(name)
        beside = {"model": model} if getattr(kind, "needs_model", False) else {}
        fitted[name] = kind.fit(task, train, valid, seed, **beside)
        fitted[name].facts["seconds"] = round(time.perf_counter() - began, 3)
        tell("step", "baselines", name, done=done + 1, total=len(task.baselines), seconds=fitted[name].facts["seconds"])
    tell("end", "baselines")
    return fitted


def answered(
    candidates: Mapping[str, Any], records: Records, what: str = "evaluate"
) -> tuple[dict[str, list], dict[str, dict[str, Any]]]:
    """The answers of each candidate, and how long they took."""
    answers: dict[str, list] = {}
    facts: dict[str, dict[str, Any]] = {}
    for name, candidate in candidates.items():
        tell("begin", what, name, total=len(records))
        began = time.perf_counter()
        answers[name] = candidate.answer(records)
        seconds = time.perf_counter() - began
        speed = {"predict_seconds": round(seconds, 4), "texts_per_second": round(len(records) / max(seconds, 1e-9), 1)}
        facts[name] = speed | {f"fit_{key}": value for key, value in getattr(candidate, "facts", {}).items()}
    return answers, facts
