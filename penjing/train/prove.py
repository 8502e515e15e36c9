"""The resume certificate: a run stopped at random and resumed ends in the same bits as one that never stopped."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from penjing.base.errors import TrainError
from penjing.base.files import read_json, write_json
from penjing.base.progress import Event, listen, tell
from penjing.tasks.model import Model
from penjing.tasks.pieces import Pieces
from penjing.train.fit import FitOptions, fit, plan_of
from penjing.train.heap import keeping
from penjing.train.resume import INDEX, load_state

MOST_STEPS = 30  # of each of the two runs


class CutError(Exception):
    """The stop that the proof itself causes, as sudden as a kill: nothing is saved on the way out."""


def digest_of_state(folder: Path) -> str:
    """SHA-256 of a run's last state: weights, optimizer memory and best weights, by name."""
    kept, found = load_state(folder), hashlib.sha256()
    for name, tensor in sorted(kept[1].items() if kept else ()):
        found.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


@keeping()
def prove_resume(
    model: Model, training: Pieces, validation: Pieces | None, options: FitOptions, folder: Path, *, what: str,
    score: Callable[[Model], float | None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Run the first steps of this very training twice, once cut off, and compare. Writes `resume_certificate.json`."""
    plan = plan_of(model, training, validation, options, folder, what=what)
    steps, choice = min(MOST_STEPS, plan["steps"]), plan["choice"]
    stop = random.Random(options.seed).randint(max(1, steps // 4), max(1, steps - 2))
    short = replace(
        options, steps=steps, epochs=None, minutes=None, validate_times=2, patience=0, save_seconds=0,
        measure_seconds=0, dtype=choice["dtype"], threads=choice["threads"], compiled=choice["compiled"],
    )  # fmt: skip

    def run(place: Path, cut: int | None) -> str:
        twin = copy.deepcopy(model)

        def watch(event: Event) -> None:
            if (event.kind, event.what, event.done) == ("step", what, cut):
                raise CutError

        with listen(watch):
            fit(twin, training, validation, short, place, what=what, score=score)
        return digest_of_state(place)

    tell("note", what, f"proving the resume: {steps} steps, stopped after {stop}", total=steps)
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as two:
        whole = run(Path(one), None)
        with contextlib.suppress(CutError):
            run(Path(two), stop)
        kept = Path(two) / INDEX
        resumed_at = read_json(kept)["state"]["step"] if kept.exists() else 0
        resumed = run(Path(two), None)
    proof = {"steps": steps, "stopped_after": stop, "resumed_from": resumed_at, "whole": whole, "resumed": resumed}
    write_json(folder / "resume_certificate.json", proof | {"identical": whole == resumed})
    if whole != resumed:
        raise TrainError("P-TRAIN-006", file=folder / "resume_certificate.json")
    return proof | {"identical": True}
