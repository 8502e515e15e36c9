"""What the stage `merge` does: changes folded into the weights, or several adapters by weights, and the proof."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from penjing.base.errors import ModelError
from penjing.base.files import write_json
from penjing.changes.merging import Way, add, combined, folded_difference
from penjing.changes.peft import CONFIG
from penjing.evaluate.folding import compared, metrics, seen
from penjing.recipe.learning import folder_of
from penjing.tasks.adapters import base_of, model_of_adapter
from penjing.tasks.likeness import Records
from penjing.tasks.model import Model

CERTIFICATE = "merge_certificate.json"


def adapter_of(step: Path) -> Path:
    """The adapter that a finetune step left, or the folder itself; P-CHANGE-018 if there is none."""
    found = step / "adapter" if (step / "adapter" / CONFIG).exists() else step
    if not (found / CONFIG).exists():
        raise ModelError("P-CHANGE-018", file=step)
    return found


def folded(out: Path, step: Path, records: Records, split: str | None = None) -> dict[str, Any]:
    """Fold a model's changes; the certificate, on records of a split.

    A fold that changes the answers leaves no model: P-CHANGE-020.
    """
    model = Model.load(folder_of(step))
    if not model.changes:
        raise ModelError("P-CHANGE-021", file=step)
    before, names = seen(model, records), [one.change.name for one in model.changes]
    model.changes.fuse()
    return proven(out, model, before, records, {"folded": names, "split": split})


def merged(
    out: Path,
    steps: Sequence[Path],
    weights: Sequence[float],
    way: Way,
    density: float,
    seed: int,
    records: Records,
    split: str | None = None,
) -> dict[str, Any]:
    """Fold several adapters of one base into it by weights, each scored beside the whole where there are records."""
    folders = [adapter_of(step) for step in steps]
    bases = {str(base_of(folder)) for folder in folders}
    if len(bases) > 1:
        raise ModelError("P-CHANGE-022", bases=", ".join(sorted(bases)))
    differences, heads, alone = [], [], {}
    for number, folder in enumerate(folders, 1):
        model = model_of_adapter(folder)
        if number == 1:
            first = model
        elif model.task != first.task:
            raise ModelError("P-CHANGE-023", given=model.task.name, file=folder)
        if records:
            alone[str(number)] = metrics(model, model.eval().answer(records), records)
        heads.append({} if model.head is None else model.head.state_dict())
        differences.append(folded_difference(model.changes))
    add(first.changes, combined(differences, weights, way, density, seed))
    with torch.no_grad():
        for name, tensor in heads[0].items():
            mean = sum(head[name] * weight for head, weight in zip(heads, weights, strict=True)) / sum(weights)
            tensor.copy_(mean)
    about = {"way": way, "weights": list(weights), "alone": alone, "split": split}
    return proven(out, first, seen(first, records), records, about)


def proven(out: Path, model: Model, before: dict[str, Any], records: Records, about: dict[str, Any]) -> dict[str, Any]:
    """Save a folded model and compare what is read again with what was said before."""
    model.lineage = model.lineage | {
        "merge": {name: about[name] for name in about if name in ("folded", "way", "weights")}
    }
    model.save(out / "model")
    found = about | compared(before, Model.load(out / "model"), records)
    write_json(out / CERTIFICATE, found)
    if not found["passed"]:
        shutil.rmtree(out / "model")
        raise ModelError("P-CHANGE-020", file=out / CERTIFICATE, distance=f"{found['distance']:.2g}",
                         answers=found.get("other_answers", 0))  # fmt: skip
    return found
