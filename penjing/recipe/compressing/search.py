"""The search: every point is measured once and kept in a file, so a search that was stopped goes on after the last one.

The plan is a plain function of the points that it has seen. Going on after a kill is the same plan from the start, in which
every point that the file holds costs nothing.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from penjing.base.errors import FileError, ModelError, PenjingError
from penjing.base.files import whole_file
from penjing.base.progress import tell
from penjing.changes import changes_of
from penjing.evaluate.drop import full_mark
from penjing.recipe.compressing.choosing import healed, shown, told
from penjing.recipe.compressing.healing import Healing, clear
from penjing.recipe.compressing.limits import Limits
from penjing.recipe.compressing.point import Ruler
from penjing.recipe.compressing.proposing import (
    CUTS,
    HEAL,
    PIECES,
    Alone,
    Cuts,
    Rung,
    Stack,
    ending,
    endings,
    following,
    single,
)
from penjing.recipe.shrinking import calibrating
from penjing.tasks.model import Model
from penjing.train.fit import FitOptions

POINTS, KEPT, TRIAL = "points.jsonl", "points", "trial"
MOST = 100_000  # training records by which pieces are counted
SOME = 512  # valid records that methods are tried on alone


@dataclass(frozen=True)
class Options:
    """How to search. `epochs`: of each healing; None: an even part of `minutes`."""

    methods: tuple[str, ...]
    rounds: int
    minutes: float
    epochs: float | None
    learning_rate: float
    batch_tokens: int
    calibration: int
    seed: int

    def healing(self) -> FitOptions:
        """How what is left is trained."""
        minutes = self.minutes / (self.rounds + 1) if self.epochs is None else None
        return FitOptions(epochs=self.epochs, minutes=minutes, learning_rate=self.learning_rate, seed=self.seed,
                          batch_tokens=self.batch_tokens, schedule="linear", warmup=0.1)  # fmt: skip


class Search:
    """All points of one search in the folder `out`, and the models of those that others go on from."""

    def __init__(
        self, out: Path, original: Path, model: Model, train: Sequence[Any], valid: Sequence[Any], limits: Limits, how: Options
    ):  # fmt: skip
        self.out, self.original, self.model, self.train, self.valid = out, original, model, train, valid
        self.limits, self.how = limits, how
        self.points: dict[str, dict[str, Any]] = dict(read_points(out / POINTS))

    @cached_property
    def few(self) -> Ruler:
        """Some valid records: for methods alone."""
        return Ruler(self.model, self.valid[:SOME], self.how.seed)

    @cached_property
    def all(self) -> Ruler:
        """All valid records: for what may be chosen."""
        return Ruler(self.model, self.valid, self.how.seed) if len(self.valid) > SOME else self.few

    @cached_property
    def mark(self) -> float:
        """What a hundred per cent of the budget are."""
        return full_mark(self.model.task, self.all.score)

    @property
    def allowed(self) -> float:
        """The budget in the units of the main score."""
        return self.limits.drop * self.mark

    @cached_property
    def healing(self) -> Healing:
        return Healing(self.original, self.model.task, self.train, self.out, self.how.healing())

    @property
    def candidates(self) -> list[dict[str, Any]]:
        """The points that were measured on all valid records: those that may be chosen."""
        return [point for point in self.points.values() if point.get("kept")]

    # ---- the plan ----

    def run(self) -> None:
        """Each method alone, then the original with fewer bits, then stacks of cuts, each healed and with fewer bits."""
        alone = self.alone()
        rungs = [Rung(Cuts(), [], 1.0, True)]
        self.ended([])
        for _ in range(self.how.rounds):
            if self.spent() >= 60 * self.how.minutes or (found := following(rungs, alone)) is None:
                break
            before, cuts = found
            stack = [*before.stack, *cuts.after(before.cuts), HEAL]
            point = self.point(stack, kept=True)
            every = [point, *self.ended(stack)]
            left = point["block_numbers"] / self.whole["block_numbers"]
            rungs.append(Rung(cuts, stack, left, any(shown(one, self.allowed) for one in every)))

    def alone(self) -> dict[str, dict[Any, Alone]]:
        """What each cut does by itself; what cannot be done to this network is left out."""
        network, found, points = self.model.network, dict[str, dict[Any, Alone]](), []
        blocks = min(len(stack.blocks) for stack in (network.encoder, network.decoder) if stack is not None)
        every = [(name, *one) for name in self.how.methods for one in single(name, blocks)]
        for done, (name, strength, stack) in enumerate(every):
            tell("step", "compress", done=done, total=len(every))
            points.append(point := self.point(stack))
            if name in CUTS and "drop" in point:
                gone = 1 - point["block_numbers"] / self.whole["block_numbers"]
                found.setdefault(name, {})[strength] = Alone(gone, point["drop"]["value"])
        if not any("drop" in point for point in points):
            reasons = "; ".join(f"{told(point['stack'])}: {point['error']}" for point in points)
            raise ModelError("P-CHANGE-116", file=self.original, reasons=reasons or "-")
        return found

    def ended(self, stack: Stack) -> list[dict[str, Any]]:
        """A stack with each of the endings that this network can have."""
        able = [name for name in self.how.methods if name not in CUTS and "drop" in self.point([ending(name)])]
        return [self.point([*stack, *one], kept=True) for one in endings(able)]

    @property
    def whole(self) -> dict[str, Any]:
        """The original."""
        return self.point([])

    def spent(self) -> float:
        """Seconds that all points took, also in earlier calls."""
        return sum(point["spent_seconds"] for point in self.points.values())

    # ---- one point ----

    def point(self, stack: Stack, kept: bool = False) -> dict[str, Any]:
        """A stack, measured, or as it was measured before. `kept`: on all valid records, and its model stays.

        A method alone that this network cannot have is a point too, with the code of the error."""
        key = key_of(stack, kept)
        if key not in self.points:
            tell("note", "compress", told(stack))
            began, found = time.perf_counter(), {"stack": stack, "kept": kept}
            try:
                found |= (self.all if kept else self.few).measured(self.folder(stack, kept))
            except PenjingError as error:
                if kept:
                    raise
                found |= {"error": error.code, "why": error.text("en").split("\n")[0]}
            clear(self.out / TRIAL)
            self.points[key] = found | {"spent_seconds": time.perf_counter() - began}
            write_points(self.out / POINTS, self.points.values())
        return self.points[key]

    def place(self, stack: Stack) -> Path:
        """Where the model of a stack is kept."""
        return self.out / KEPT / key_of(stack)[:12] if stack else self.original

    def folder(self, stack: Stack, kept: bool) -> Path:
        """The folder of the model of a stack, made if need be: from the last one in it that was healed."""
        place = self.place(stack) if kept or not stack else self.out / TRIAL
        if (place / "penjing.json").exists() or not stack:
            return place
        heal = healed(stack)
        changing = stack[:-1] if heal else stack
        first = max((at + 1 for at, one in enumerate(changing) if one == HEAL), default=0)
        model = Model.load(self.place(changing[:first]))
        for change in changes_of(changing[first:]):
            count = MOST if change.name == PIECES else self.how.calibration
            batches = calibrating(model, self.train, count, self.how.seed)
            model.adapt([change], self.how.seed, batches, labelled=True)
        model.changes.finish()
        if heal:
            training = place.with_name(f"{place.name}.training")
            model = self.healing(model, training)
        model.lineage = model.lineage | {"compress": {"stack": stack}}
        model.save(place)
        if heal:
            clear(training)
        return place

    # ---- the end ----

    def take(self, point: Mapping[str, Any] | None) -> None:
        """Leave the chosen model alone, in the folder `model`, and drop what only the search needed."""
        if point is not None and not (self.out / "model").exists():
            shutil.copytree(self.place(point["stack"]), self.out / "model.part", dirs_exist_ok=True)
            (self.out / "model.part").rename(self.out / "model")
        clear(self.out / KEPT)
        self.healing.forget()


def key_of(stack: Stack, kept: bool = False) -> str:
    """The name of a stack: the hash of its record."""
    said = json.dumps([stack, kept], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def read_points(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The points of an earlier call, by their names; none where there is no file."""
    if not file.exists():
        return
    try:
        for line in file.read_text("utf-8").splitlines():
            point = json.loads(line)
            yield key_of(point["stack"], point["kept"]), point
    except (ValueError, KeyError, TypeError) as error:
        raise FileError("P-FILE-004", path=file, reason=f"not the points of a search ({error})") from error


def write_points(file: Path, points: Any) -> None:
    """All points, one a line; the file is whole at every moment."""
    with whole_file(file) as out:
        for point in points:
            out.write(json.dumps(point, ensure_ascii=False) + "\n")
