"""Several models of one fine-tuning, each with its own seed, or each without another part of the records (k-fold).

out/members/1/ …      what each training leaves: plan, log, outcome, its model; one that is whole is not made again
out/members.json      what each scores on valid by itself, and the whole; out/folds.json  the cross-validated scores
out/model/            the model that they make together
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penjing.base.errors import EvaluateError, PenjingError, TrainError
from penjing.base.files import read_json, whole_file, write_json
from penjing.base.progress import tell

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.task import Task

FOLDER = "members"
APART = 100  # between the seeds of two members
RESAMPLES, CONFIDENCE = 2000, 0.95
Records = Sequence[Any]


def member_problems(options: Mapping[str, Any], kind: type[Task]) -> list[PenjingError]:
    """What is wrong with the options about members, before anything runs."""
    from penjing.recipe.learning import no_effect
    from penjing.tasks.committee import can_average
    from penjing.train.prepare import records_in

    if options["members"] == 1:
        usual = {"folds": False, "way": "average"}
        return no_effect(
            [name for name, value in usual.items() if options[name] != value], "a run with members above 1"
        )
    found: list[PenjingError] = []
    if options["way"] == "average" and not can_average(kind):
        found.append(EvaluateError("P-EVAL-044", task=kind.name))
    if (
        options["way"] == "greedy_soup"
        and "data" in options
        and not any(True for _ in records_in(options["data"], "valid"))
    ):
        found.append(EvaluateError("P-EVAL-046"))
    if options["folds"] and not kind.comparable:
        found.append(TrainError("P-TRAIN-021", task=kind.name))
    return found


def members_taught(
    options: Mapping[str, Any], out: Path, task: Task, train: Records, valid: Records
) -> tuple[Task, dict[str, Any]]:
    """Teach every member that is not taught yet, and make one model of them in `out`/model; its task, and a summary."""
    from penjing.recipe.joining import joined
    from penjing.train.resume import INDEX

    count = options["members"]
    fold = parted(task, train, options) if options["folds"] else None
    write_json(out / INDEX, {"members": count})  # so that the folder stays when this is stopped
    models = {str(number): member(number, options, out, task, train, valid, fold) for number in range(1, count + 1)}
    found: dict[str, Any] = {}
    if fold is not None:
        found["cross_validated"] = cross_validated(out, task, list(models.values()), train, fold, options["seed"])
    family = models["1"].family
    made, about = joined(models, options["way"], valid)
    made.lineage = made.lineage | {"finetune": {"records": len(train), "members": count}}
    made.save(out / "model")
    write_json(out / "members.json", about)
    size = sum(p.numel() for p in made.parameters())
    valued = {"valid": about["valid"]} if "valid" in about else {}
    summary = {"task": task.name, "members": count} | found | valued | {"family": family, "parameters": size}
    return made.task, summary | outcomes(out, count)


def member(
    number: int, options: Mapping[str, Any], out: Path, task: Task, train: Records, valid: Records,
    fold: np.ndarray | None,
) -> Model:  # fmt: skip
    """One member, read again if it is whole. Those of a soup begin with the same weights, and only their order differs."""
    from penjing.recipe.learning import taught
    from penjing.tasks.model import Model
    from penjing.train.resume import drop_state

    folder, seed = out / FOLDER / str(number), options["seed"] + APART * (number - 1)
    if (folder / "model").exists():
        tell("note", "finetune", f"member {number} is there")
    else:
        tell("note", "finetune", f"member {number} of {options['members']}")
        own = options | {"seed": seed if options["way"] == "average" else options["seed"]}
        records = (
            train if fold is None else [record for record, at in zip(train, fold, strict=True) if at != number - 1]
        )
        folder.mkdir(parents=True, exist_ok=True)
        taught(own, folder, task, records, valid, order=seed)
    drop_state(folder)
    return Model.load(folder / "model")


def drop_copies(out: Path, way: str) -> None:
    """Averaged members stand whole in the model's folder; once that is made, their first copies can go."""
    if way == "average":
        for folder in (out / FOLDER).glob("*/model"):
            shutil.rmtree(folder)


# ---- folds ----


def parted(task: Task, train: Records, options: Mapping[str, Any]) -> np.ndarray:
    """The fold of each training record, N; too few records that differ are an error."""
    from penjing.text.folds import clusters_of, folds_of

    clusters = clusters_of([task.subject(as_it_was(record)) for record in train])
    groups = len(np.unique(clusters))
    if groups < options["members"]:
        raise TrainError("P-TRAIN-020", count=groups, records=len(train), members=options["members"])
    return folds_of(clusters, strata_of(task, train), options["members"], options["seed"])


def as_it_was(record: Any) -> Any:
    """A paraphrase as the text that it was made of: both stand in one fold."""
    return record if record.get("origin") is None else {**record, "text": record["origin"]}


def strata_of(task: Task, train: Records) -> np.ndarray:
    """The label of each record where there are labels, of several the first; else one for all."""
    if not hasattr(task, "labels"):
        return np.zeros(len(train), np.int64)
    targets = task.targets(train)
    return targets if targets.ndim == 1 else targets.argmax(1)  # type: ignore[union-attr]


def cross_validated(
    out: Path, task: Task, models: Sequence[Model], train: Records, fold: np.ndarray, seed: int
) -> dict[str, Any]:
    """Ask each member for the records it has not learnt from, and write what that scores: `folds.json`."""
    from penjing.evaluate.answers import drawn
    from penjing.evaluate.intervals import interval

    answers: list[Any] = [None] * len(train)
    parts = []
    for number, model in enumerate(models):
        tell("begin", "folds", str(number + 1), done=number, total=len(models))
        rows = np.flatnonzero(fold == number).tolist()
        records = [train[row] for row in rows]
        found = model.answer(records)
        for row, answer in zip(rows, found, strict=True):
            answers[row] = answer
        parts.append({"fold": number + 1, "records": len(rows)} | whole_scores(task.score(found, records)))
    samples = drawn(task, answers, train, RESAMPLES, seed)
    scores = {name: interval(samples[name], value, CONFIDENCE) for name, value in task.score(answers, train).items()}
    about = {"folds": len(models), "records": len(train), "metric": task.main_score, "confidence": CONFIDENCE,
             "resamples": RESAMPLES, "scores": scores, "by_fold": parts}  # fmt: skip
    write_json(out / "folds.json", about)
    write_held_out(out / "out_of_fold.jsonl", train, fold, answers)
    tell("end", "folds")
    return {task.main_score: scores[task.main_score]}


def whole_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """Scores but those of single types, such as `f1.PER`."""
    return {name: value for name, value in scores.items() if "." not in name}


def write_held_out(path: Path, train: Records, fold: np.ndarray, answers: Sequence[Any]) -> None:
    """One line for each training record: its fold, the record, and the answer of the member that has not seen it."""
    with whole_file(path) as file:
        for record, at, answer in zip(train, fold.tolist(), answers, strict=True):
            line = {"fold": at + 1, "record": dict(record), "answer": answer}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def outcomes(out: Path, count: int) -> dict[str, Any]:
    """What all trainings took together, beside what was planned; also written as `outcome.json`."""
    each = [read_json(out / FOLDER / str(number) / "outcome.json", dict) for number in range(1, count + 1)]
    found = {name: sum(one[name] for one in each) for name in ("steps", "tokens", "seconds")}
    found["tokens_per_second"] = found["tokens"] / max(1e-9, found["seconds"])
    planned = {name: [one["planned"][name] for one in each] for name in ("steps", "tokens", "seconds")}
    known = {name: sum(values) for name, values in planned.items() if None not in values}
    write_json(out / "outcome.json", found | {"members": count, "planned": known})
    return found | {"seconds": round(found["seconds"], 1), "tokens_per_second": round(found["tokens_per_second"])}
