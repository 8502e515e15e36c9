"""What the stage `compress` does: search, choose, confirm once on records that the search never saw, and write it down."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penjing.base.errors import ModelError, TaskError, TrainError, language
from penjing.base.files import write_json
from penjing.base.hub import local_folder
from penjing.base.progress import tell
from penjing.evaluate.ensemble import load_candidate
from penjing.recipe.compressing.choosing import chosen, front, needed, told, verdict
from penjing.recipe.compressing.limits import Limits
from penjing.recipe.compressing.page import write_page
from penjing.recipe.compressing.point import Ruler
from penjing.recipe.compressing.search import Options, Search
from penjing.recipe.manifest import RESUME
from penjing.recipe.models import NETWORKS, model_folder
from penjing.recipe.shrinking import training
from penjing.tasks.model import Model
from penjing.tasks.task import Task
from penjing.train.prepare import records_of

EVIDENCE = "compress.json"


def compressed(out: Path, model: Path, data: Path, limits: Limits, how: Options) -> dict[str, Any]:
    """Search, choose, confirm; the folder then holds the model (if one is claimed), all points, the evidence and a page."""
    original, folder = opened(model)
    splits = {split: read(original.task, data, split) for split in ("valid", "test")}
    if not splits["valid"]:
        raise TrainError("P-CHANGE-113", file=data)
    search = Search(out, folder, original, training(data), splits["valid"], limits, how)
    write_json(out / RESUME, {"stage": "compress"})
    search.run()
    size = search.whole["bytes"]
    point = chosen(search.candidates, size, search.allowed, limits)
    found = evidence(search, point, confirmed(search, point, splits["test"]))
    search.take(point)
    write_json(out / EVIDENCE, found)
    write_page(out, found, list(search.points.values()))
    tell("end", "compress", found["verdict"][language()])
    return summary(search, found)


def opened(model: Path) -> tuple[Model, Path]:
    """The original and its folder. P-TRAIN-056: no network; P-CHANGE-114: its task has no score; P-CHANGE-115: changed."""
    folder = local_folder(model_folder(model, NETWORKS))
    found = load_candidate(folder)
    if not isinstance(found, Model):
        raise TrainError("P-TRAIN-056", file=model)
    if type(found.task).scores is Task.scores and type(found.task).resampled is Task.resampled:
        raise TaskError("P-CHANGE-114", file=model, task=found.task.name)
    if standing := [one.change.name for one in found.changes if not one.taken]:
        raise ModelError("P-CHANGE-115", file=model, given=", ".join(standing))
    return found, folder


def read(task: Task, data: Path, split: str) -> list[Any]:
    """The sound records of a split."""
    records = [task.normal(record) for record in records_of(data, split)]
    task.check(records, learn=True)
    return records


def confirmed(search: Search, point: Mapping[str, Any] | None, test: list[Any]) -> dict[str, Any] | None:
    """The chosen model on the test split, beside the original; None where there is nothing to confirm, or nothing by
    which."""
    if point is None or not test:
        return None
    tell("note", "compress", f"{told(point['stack'])}: confirmed on {len(test)} test records")
    return Ruler(search.model, test, search.how.seed).measured(search.place(point["stack"]))


def evidence(search: Search, point: Mapping[str, Any] | None, test: dict[str, Any] | None) -> dict[str, Any]:
    """All that is known at the end."""
    whole, records = search.whole, len(search.valid)
    more = needed(search.candidates, whole["bytes"], search.allowed)
    said = verdict(point, test and test["drop"], search.allowed, search.mark, more, records)
    return {
        "verdict": said, "metric": search.model.task.main_score, "budget": search.allowed, "mark": search.mark,
        "size": search.limits.size, "asked_seconds": search.limits.latency, "records": records,
        "records_needed": more if point is None else None,
        "original": whole, "chosen": point, "test": test, "front": [one["stack"] for one in front(search.candidates)],
    }  # fmt: skip


def summary(search: Search, found: Mapping[str, Any]) -> dict[str, Any]:
    """What a table shows."""
    point, whole = found["chosen"], found["original"]
    measured = found["test"] or point
    rows: dict[str, Any] = {"outcome": found["verdict"]["outcome"], "bytes_before": whole["bytes"]}
    if point is not None:
        rows |= {"stack": told(point["stack"]), "bytes": point["bytes"], "share": point["bytes"] / whole["bytes"],
                 "speed": faster(measured), "drop": measured["drop"]}  # fmt: skip
    return rows | {"front": front_rows(search, found), "verdict": found["verdict"][language()]}


def front_rows(search: Search, found: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The points that no other one beats, in the units that a table shows: bytes, milliseconds, points of a hundred."""
    rows = []
    for point in front(search.candidates):
        drop = {side: 100 * point["drop"][side] / search.mark for side in ("value", "low", "high")}
        rows.append({"stack": told(point["stack"]), "bytes": point["bytes"], "speed": faster(point),
                     "milliseconds": 1000 * point["seconds"]["one"], "drop": drop,
                     "chosen": point is found["chosen"]})  # fmt: skip
    return rows


def faster(point: Mapping[str, Any]) -> float:
    """How many times the original's throughput at batches of 32."""
    return float(point["seconds_before"]["batch"] / point["seconds"]["batch"])
