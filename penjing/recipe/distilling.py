"""What the stage `distil_linear` does: a classifier teaches a linear model of n-grams, and it is measured what that gave.

Beside the student stands the same linear model fitted on the true labels alone: only what the student has over that one is
the teacher's. Legend: N texts, C labels.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import EvaluateError, TrainError, language
from penjing.base.files import write_json
from penjing.base.progress import tell
from penjing.base.records import read_records
from penjing.evaluate.baselines import save_baselines
from penjing.evaluate.certificate import MODEL, TEACHER, certificate, check_probabilities, predicted
from penjing.evaluate.compare import TAUGHT
from penjing.evaluate.ensemble import load_candidate
from penjing.evaluate.fitting import fit_linear
from penjing.evaluate.linear import Kind, text_of
from penjing.evaluate.targets import targets_of
from penjing.recipe.models import NETWORKS, kind_in, model_folder
from penjing.train.prepare import records_of

WHAT = "distil_linear"
TIMED, ALONE = 256, 32  # texts answered together, and those one by one
ROUNDS, SECONDS = 3, 2.0  # how often each, and no more often once so much time has gone
CLOCKS = ("seconds", "cpu_seconds")  # facts of a fit that are others each time, so they are not in the student's folder

Records = Sequence[Mapping[str, Any]]


def distilled(out: Path, model: Path, data: Path, texts: Path | None, kind: Kind, seed: int) -> dict[str, Any]:
    """Teach, save `out`/model and `out`/baselines, measure on valid; the summary."""
    folder = model_folder(model, NETWORKS)
    teacher, labels, several = taught_by(folder)
    train, valid, test = (records_of(data, split) for split in ("train", "valid", "test"))
    if not train:
        raise TrainError("P-TRAIN-003", what=f"{data}/train.jsonl")
    truth, held = (targets_of(records, labels, several) for records in (train, valid))
    more, left_out = unlabelled(texts, [*train, *valid, *test])
    chances = asked(teacher, [*train, *more], len(labels))
    own = [text_of(record) for record in train]
    choosing = ([text_of(record) for record in valid], held) if valid else None
    tell("begin", WHAT, "student", total=len(own) + len(more))
    every = [*own, *map(text_of, more)]
    student = fit_linear(kind, every, chances, labels, several=several, valid=choosing, seed=seed)
    tell("begin", WHAT, f"{kind} of the labels alone", total=len(own))
    alone = fit_linear(kind, own, truth, labels, several=several, valid=choosing, seed=seed)
    spent = student.facts.pop(CLOCKS[0]), student.facts.pop(CLOCKS[1])
    student.facts |= {"teacher": folder.name if folder.name != MODEL else folder.parent.name, "unlabelled": len(more)}
    student.save(out / MODEL)
    saved = save_baselines(out, {kind: alone})
    found: dict[str, Any] = {"train": len(train), "unlabelled": len(more), "left_out": left_out}
    found |= costs({MODEL: (student, out / MODEL), TEACHER: (teacher, folder)}, train)
    found |= {"strength": student.facts["strength"], "fit_seconds": spent[0]}
    if not valid:
        tell("warning", WHAT, "no valid records: what the student lost, and whether the teacher helped, is not known")
        return found
    paths = {name: place.relative_to(out).as_posix() for name, place in saved.items()}
    proof = measured({MODEL: student, TEACHER: teacher, kind: alone}, valid, held, labels, paths, seed)
    write_json(out / "certificate.json", proof)
    tell("end", WHAT, proof["verdict"][language()])
    return found | shown(proof)


def taught_by(folder: Path) -> tuple[Any, list[str], bool]:
    """A classifier, its labels, and whether several of them may stand together. P-EVAL-052: it answers otherwise."""
    teacher = load_candidate(folder)
    task = getattr(teacher, "task", teacher)  # a linear model, or a mixture with one, knows its labels itself
    if not hasattr(task, "probabilities"):
        given = f"a model of the task {task.name}" if hasattr(task, "name") else kind_in(folder)
        raise EvaluateError("P-EVAL-052", file=folder, given=given)
    return teacher, list(task.labels), bool(getattr(task, "several", False))


def unlabelled(texts: Path | None, known: Records) -> tuple[list[Mapping[str, Any]], int]:
    """Records of a file, each text once and none that stands in a split; how many were left out for that."""
    records = [] if texts is None else list(read_records(texts, needs=("text",)))
    seen, kept = {text_of(record) for record in known}, list[Mapping[str, Any]]()
    for record in records:
        if (text := text_of(record)) not in seen:
            seen.add(text)
            kept.append(record)
    return kept, len(records) - len(kept)


def asked(teacher: Any, records: Records, labels: int) -> np.ndarray:
    """What the teacher says of all texts, N C; finite, or P-EVAL-009."""
    tell("begin", WHAT, TEACHER, total=len(records))
    chances = np.asarray(teacher.probabilities(records), np.float64)
    check_probabilities({TEACHER: chances}, len(records), labels)
    return chances


def measured(
    candidates: Mapping[str, Any], valid: Records, truth: np.ndarray, labels: Sequence[str], paths: Mapping[str, str],
    seed: int,
) -> dict[str, Any]:  # fmt: skip
    """The certificate of the student, its teacher, and the model of the labels alone."""
    given = {name: predicted(candidate, valid) for name, candidate in candidates.items()}
    facts = {
        name: speed | {f"fit_{key}": value for key, value in getattr(candidates[name], "facts", {}).items()}
        for name, (_, speed) in given.items()
    }
    return certificate({name: chances for name, (chances, _) in given.items()}, truth, labels, split="valid",
                       seed=seed, paths=paths, facts=facts, words=TAUGHT)  # fmt: skip


def costs(candidates: Mapping[str, tuple[Any, Path]], records: Records) -> dict[str, Any]:
    """Of the student and the teacher: microseconds a text from text to answer, together and one by one; bytes on disk."""
    some = records[:TIMED]
    found: dict[str, dict[str, Any]] = {"microseconds": {}, "microseconds_alone": {}, "bytes": {}}
    for name, (candidate, folder) in candidates.items():
        found["microseconds"][name] = microseconds(candidate, [some])
        found["microseconds_alone"][name] = microseconds(candidate, [[record] for record in some[:ALONE]])
        found["bytes"][name] = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return found


def microseconds(candidate: Any, batches: Sequence[Records]) -> float:
    """The quickest of some rounds, by text."""
    best, begin = np.inf, time.perf_counter()
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for batch in batches:
            candidate.answer(batch)
        best = min(best, time.perf_counter() - began)
        if time.perf_counter() - begin > SECONDS:
            break
    return round(1e6 * best / sum(map(len, batches)), 1)


def shown(proof: Mapping[str, Any]) -> dict[str, Any]:
    """What a table shows of the certificate: scores, the student minus its teacher, the verdict in the user's language."""
    metrics = dict.fromkeys((proof["metric"], "accuracy", "macro_f1"))
    scores = {name: {metric: one["scores"][metric] for metric in metrics} for name, one in proof["candidates"].items()}
    lost = next(d for d in proof["differences"] if (d["to"], d["metric"]) == (TEACHER, proof["metric"]))
    found = {name: proof[name] for name in ("split", "records")} | {name: scores.pop(name) for name in (MODEL, TEACHER)}
    found |= {"baselines": scores, "minus_teacher": {side: lost[side] for side in ("value", "low", "high")}}
    return found | {"verdict": proof["verdict"][language()], "outcome": proof["verdict"]["outcome"]}
