"""The baseline certificate: every candidate's scores with intervals on one split, the differences, the verdict.

It is plain JSON. Legend: N texts, C labels.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import EvaluateError, raise_all
from penjing.base.files import write_json
from penjing.evaluate.baselines import fit_baselines, save_baselines
from penjing.evaluate.compare import CLASSICAL, Words, best_of, difference, mcnemar, verdict
from penjing.evaluate.ensemble import load_candidate
from penjing.evaluate.intervals import interval, resampled
from penjing.evaluate.linear import KINDS
from penjing.evaluate.metrics import all_scores, decisions
from penjing.evaluate.targets import has_several, targets_of

MODEL, ENSEMBLE, TEACHER = "model", "ensemble", "teacher"  # the names of these candidates; all others are baselines


def certificate(
    probabilities: Mapping[str, np.ndarray],
    targets: np.ndarray,
    labels: Sequence[str],
    *,
    split: str,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    paths: Mapping[str, str] | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    words: Words = CLASSICAL,
) -> dict[str, Any]:
    """The certificate of candidates by name: `model`, baselines, perhaps `ensemble`, `teacher`; each with probabilities N C.

    `paths`: where each is saved; `facts`: whatever else is known of each (seconds, bytes), kept beside its scores;
    `words`: how the verdict is said.
    """
    check_probabilities(probabilities, len(targets), len(labels))
    several = targets.ndim == 2
    main = "micro_f1" if several else "accuracy"
    given = {name: decisions(chances, several) for name, chances in probabilities.items()}
    values = {name: all_scores(chances, targets) for name, chances in probabilities.items()}
    samples = resampled(targets, given, len(labels), resamples=resamples, seed=seed)
    candidates = {
        name: {
            "scores": {metric: interval(samples[name][metric], value, confidence) if metric in samples[name]
                       else {"value": value} for metric, value in values[name].items()},
            **({"path": paths[name]} if paths and name in paths else {}),
            **(facts or {}).get(name, {}),
        }
        for name in probabilities
    }  # fmt: skip
    found: dict[str, Any] = {
        "split": split, "records": len(targets), "labels": list(labels), "several": several, "metric": main,
        "confidence": confidence, "resamples": resamples, "seed": seed, "candidates": candidates,
    }  # fmt: skip
    return found | compared(given, targets, values, samples, main, confidence, paths or {}, words)


def compared(
    given: Mapping[str, np.ndarray],
    targets: np.ndarray,
    values: Mapping[str, Mapping[str, float]],
    samples: Mapping[str, Any],
    main: str,
    confidence: float,
    paths: Mapping[str, str],
    words: Words = CLASSICAL,
) -> dict[str, Any]:
    """Differences, McNemar's tests and verdicts of the model and the ensemble against the best baseline."""
    baselines = [name for name in given if name not in (MODEL, ENSEMBLE, TEACHER)]
    if not baselines:
        return {"differences": [], "mcnemar": [], "best_baseline": None, "verdict": None, "ensemble_verdict": None}
    best = best_of(baselines, values, main)
    pairs = [(one, other) for one in (MODEL, ENSEMBLE) if one in given for other in baselines]
    pairs += [pair for pair in ((ENSEMBLE, MODEL), (MODEL, TEACHER)) if set(pair) <= set(given)]
    metrics = [metric for metric in ("accuracy", "macro_f1", "micro_f1") if metric in values[best]]
    found = [difference(*pair, metric, values, samples, confidence) for pair in pairs for metric in metrics]

    def right(name: str) -> np.ndarray:
        same = given[name] == targets
        return same.all(1) if targets.ndim == 2 else same

    def judged(name: str) -> dict[str, Any] | None:
        chosen = [d for d in found if (d["of"], d["to"], d["metric"]) == (name, best, main)]
        same = [test for test in tests if (test["of"], test["to"]) == (name, best) and main == "accuracy"]
        said = words if name == MODEL else CLASSICAL
        return verdict(chosen[0], confidence, paths.get(best), *same, words=said) if chosen else None

    tests = [{"of": one, "to": other} | mcnemar(right(one), right(other)) for one, other in pairs]
    return {"differences": found, "mcnemar": tests, "best_baseline": best, "verdict": judged(MODEL),
            "ensemble_verdict": judged(ENSEMBLE)}  # fmt: skip


def check_probabilities(probabilities: Mapping[str, np.ndarray], number: int, labels: int) -> None:
    """All of the same shape and finite."""
    problems = []
    for name, chances in probabilities.items():
        if chances.shape != (number, labels):
            reason = f"{' x '.join(map(str, chances.shape))} numbers for {number} texts and {labels} labels"
            problems.append(EvaluateError("P-EVAL-009", name=name, reason=reason))
        elif not np.isfinite(chances).all():
            bad = int((~np.isfinite(chances)).any(1).sum())
            problems.append(EvaluateError("P-EVAL-009", name=name, reason=f"{bad} of {number} are not finite"))
    raise_all(problems)


def predicted(candidate: Any, records: Sequence[Any]) -> tuple[np.ndarray, dict[str, float]]:
    """Probabilities N C of a candidate, and how long it took."""
    begin = time.perf_counter()
    chances = np.asarray(candidate.probabilities(records), dtype=np.float64)
    seconds = time.perf_counter() - begin
    return chances, {
        "predict_seconds": round(seconds, 4),
        "texts_per_second": round(len(records) / max(seconds, 1e-9), 1),
    }


def certify(
    records: Sequence[Mapping[str, Any]],
    candidates: Mapping[str, Any],
    labels: Sequence[str],
    *,
    split: str,
    resamples: int = 2000,
    confidence: float = 0.95,
    seed: int = 0,
    paths: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Predict `records` with each candidate (`model`, baselines …) and certify, as the finetune stage does on valid."""
    targets, chances, facts = targets_of(records, labels, has_several(records)), {}, {}
    for name, candidate in candidates.items():
        chances[name], facts[name] = predicted(candidate, records)
        facts[name] |= {f"fit_{k}": v for k, v in getattr(candidate, "facts", {}).items()}
    return certificate(chances, targets, labels, split=split, resamples=resamples, confidence=confidence, seed=seed,
                       paths=paths, facts=facts)  # fmt: skip


def fit_and_save_baselines(
    out: str | Path,
    train: Sequence[Mapping[str, Any]],
    valid: Sequence[Mapping[str, Any]] | None,
    labels: Sequence[str],
    names: Sequence[str] = KINDS,
    *,
    seed: int = 0,
) -> dict[str, Any]:
    """Fit the baselines, save each as `out`/baselines/<name>/, and certify them and `out`/model on valid.

    With a valid split, `out`/certificate.json is written. Returns a small summary by baseline.
    """
    out = Path(out)
    models = fit_baselines(train, valid, labels, names, seed=seed)
    folders = save_baselines(out, models)
    summary: dict[str, Any] = {name: {"fit_seconds": model.facts["seconds"]} for name, model in models.items()}
    if valid:
        trained = {MODEL: load_candidate(out / MODEL)} if (out / MODEL).exists() else {}
        paths = {name: folder.relative_to(out).as_posix() for name, folder in folders.items()}
        found = certify(valid, trained | models, labels, split="valid", seed=seed, paths=paths)
        write_json(out / "certificate.json", found)
        for name in models:
            scores = found["candidates"][name]["scores"]
            summary[name] |= {metric: scores[metric] for metric in ("accuracy", "macro_f1")}
    return summary
