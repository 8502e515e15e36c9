"""What the stage `shrink` does: changes that make a model smaller, and the proof of what is left of it."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import TrainError, raise_all
from penjing.base.files import write_json
from penjing.base.hub import local_folder
from penjing.base.options import Choices
from penjing.base.progress import Event, listen
from penjing.changes import CHANGES, changes_of, kind_named
from penjing.changes.beside import Texts
from penjing.changes.change import Change
from penjing.evaluate.ensemble import load_candidate
from penjing.evaluate.folding import compared, metrics, seen
from penjing.evaluate.measuring import chosen_split
from penjing.recipe.learning import folder_of
from penjing.tasks.calibrating import recorded
from penjing.tasks.model import Model
from penjing.train.prepare import records_of

CERTIFICATE = "shrink_certificate.json"


def smaller(said: Choices) -> list[Change]:
    """The changes that are asked for; P-TRAIN-053 without any, P-TRAIN-054 for one that makes nothing smaller."""
    changes, known = changes_of(said), [name for name in CHANGES if not kind_named(name).adapts]
    if not changes:
        raise TrainError("P-TRAIN-053", field="change", known=known)
    raise_all([TrainError("P-TRAIN-054", field="change", given=one.name, known=known) for one in changes if one.adapts])
    return changes


def shrunk(
    out: Path, step: Path, said: Choices, data: Path | None, split: str, calibration: int, seed: int
) -> dict[str, Any]:
    """Change a model, save it, and compare what is read again with what was saved, and its scores with the whole one's.

    A model that answers otherwise when it is read again is not left: P-TRAIN-055. P-TRAIN-056: it is no network.
    """
    changes, folder = smaller(said), local_folder(folder_of(step))
    model = load_candidate(folder)
    if not isinstance(model, Model):
        raise TrainError("P-TRAIN-056", file=step)
    split, records = (None, []) if data is None else chosen_split(data, split)  # type: ignore[assignment]
    records = [model.task.normal(record) for record in records]
    found: dict[str, Any] = {"changes": [one.name for one in changes], "parameters_before": numbers(model)}
    if records:
        found |= {"split": split, "records": len(records), "before": metrics(model, model.answer(records), records)}
    events: list[Event] = []
    with listen(events.append):
        model.adapt(changes, seed, None if data is None else calibrating(model, training(data), calibration, seed),
                    labelled=data is not None)  # fmt: skip
    found |= {event.what: event.values for event in events if event.what in CHANGES}
    model.changes.finish()
    model.lineage = model.lineage | {"shrink": {"changes": found["changes"]}}
    model.save(out / "model")
    proof = compared(seen(model.eval(), records), Model.load(out / "model"), records)
    before, after = weight(folder), weight(out / "model")
    found |= {"parameters": numbers(model), "bytes_before": before, "bytes": after, "share": after / before}
    found |= {"after": proof["after"]} if records else {}
    kept = [one.change.record() for one in model.changes]
    write_json(out / CERTIFICATE, found | {"read_again": proof, "recorded": kept})
    if not proof["passed"]:
        shutil.rmtree(out / "model")
        raise TrainError("P-TRAIN-055", file=out / CERTIFICATE, distance=f"{proof['distance']:.2g}")
    return found


def training(data: Path) -> list[Any]:
    """The training records of a clean step. P-TRAIN-111: there are none."""
    records = records_of(data, "train")
    if not records:
        raise TrainError("P-TRAIN-111", file=data / "train.jsonl")
    return records


def calibrating(model: Model, records: Sequence[Any], count: int, seed: int) -> Texts:
    """Batches of some training records, with what is to be learnt of them."""
    chance = np.random.Generator(np.random.PCG64([seed, 11]))
    some = [model.task.normal(records[number]) for number in sorted(chance.permutation(len(records))[:count])]
    return recorded(model, some, seed)


def numbers(model: Model) -> int:
    """How many numbers of the model are kept."""
    return sum(tensor.numel() for tensor in model.state_dict().values())


def weight(folder: Path, kinds: Sequence[str] = ("*.safetensors", "*.bin")) -> int:
    """Bytes of a folder's weights."""
    return sum(file.stat().st_size for kind in kinds for file in folder.glob(kind))
