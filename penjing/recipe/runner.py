"""Run a recipe: check all, then make each step that is not made yet."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from penjing.base.errors import OptionError, PenjingError, RecipeError, raise_all
from penjing.base.files import PART, fingerprint, read_json, write_json
from penjing.base.progress import tell
from penjing.recipe.check import Planned, Stages, check_recipe, hash_steps
from penjing.recipe.folder import make, point
from penjing.recipe.lock import locked
from penjing.recipe.manifest import MANIFEST, RESUME, changes, describe_input, named_changes, read_manifest
from penjing.recipe.reading import Recipe, apply_sets, read_recipe
from penjing.recipe.stages import BUILT_IN

State = Literal["kept", "made", "to make", "to continue", "left out"]
RUN = "run.json"


@dataclass
class Run:
    """A recipe in a folder: its steps, what became of each, and their manifests."""

    recipe: Recipe
    out: Path
    steps: list[Planned]
    states: dict[str, State] = field(default_factory=dict)
    manifests: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def folders(self) -> dict[str, Path]:
        """The folder of each step."""
        return {one.name: self.out / one.folder for one in self.steps}


def plan(
    recipe: str | Path,
    out: str | Path | None = None,
    *,
    sets: Iterable[str] = (),
    only: str | None = None,
    stages: Stages = BUILT_IN,
) -> Run:
    """Check a recipe and say what would be done. Nothing is written; all problems are raised at once."""
    found, problems = read_recipe(recipe)
    problems += apply_sets(found, sets)
    if only is not None and only not in found.steps:
        problems.append(OptionError("P-OPTION-004", given=only, known=found.steps, kind="step of this recipe"))
    planned, wrong = check_recipe(found, stages)
    raise_all(problems + wrong)
    hash_steps(planned, found.folder)
    run = Run(found, Path(out) if out else Path("runs") / found.name, planned)
    for one in planned:
        run.states[one.name] = state_of(one, run, only)
    if only is not None:
        raise_all(not_made(run, only))
    return run


def state_of(one: Planned, run: Run, only: str | None) -> State:
    """What a run would do with a step, as things stand."""
    folder = run.out / one.folder
    if read_manifest(folder):
        return "kept"
    if only is not None and one.name != only:
        return "left out"
    return "to continue" if (run.out / (one.folder + PART) / RESUME).exists() else "to make"


def not_made(run: Run, only: str) -> list[PenjingError]:
    """The steps that `--only` needs and that are not there."""
    wanted = next(one for one in run.steps if one.name == only)
    names = sorted({step for step, _ in wanted.needs if run.states[step] != "kept"})
    return [RecipeError("P-RECIPE-011", step=only, given=name) for name in names]


def run_recipe(
    recipe: str | Path,
    out: str | Path | None = None,
    *,
    sets: Iterable[str] = (),
    only: str | None = None,
    stages: Stages = BUILT_IN,
) -> Run:
    """Check a recipe, then make what is not made yet, one step after the other."""
    run = plan(recipe, out, sets=sets, only=only, stages=stages)
    with locked(run.out / ".lock", run.out):
        tell("begin", "recipe", run.recipe.name, done=0, total=len(run.steps))
        for number, one in enumerate(run.steps, 1):
            if run.states[one.name] != "left out":
                run_step(one, run)
                record(run)
            tell("step", "recipe", one.name, done=number, total=len(run.steps))
        tell("end", "recipe", run.recipe.name)
    return run


def run_step(one: Planned, run: Run) -> None:
    """Keep a step that is made and whole, or make it."""
    folder = run.out / one.folder
    kept = read_manifest(folder)
    if kept and not whole(folder):
        raise RecipeError("P-RECIPE-012", stage=one.name, path=folder, files=named_changes(folder))
    if kept and same_inputs(one, kept, run.folders):
        run.states[one.name], run.manifests[one.name] = "kept", kept
        tell("note", one.name, "unchanged, kept", state="kept")
    else:
        tell("begin", one.name, one.stage.name, state=run.states[one.name])
        run.manifests[one.name] = make(one, folder, run.folders)
        run.states[one.name] = "made"
        tell("end", one.name, one.folder, seconds=run.manifests[one.name]["seconds"])
    point(run.out / one.name, folder)


def whole(folder: Path) -> bool:
    """Is a step folder as its manifest says?"""
    return not changes(folder)


def same_inputs(one: Planned, manifest: dict[str, Any], folders: dict[str, Path]) -> bool:
    """Do the earlier steps still hold the bytes that a made step has read? (One may have been made again.)"""
    said = {entry["path"]: entry["sha256"] for entry in manifest["inputs"] if "step" in entry}
    for step, inside in one.needs:
        path = folders[step] / inside
        name = f"{folders[step].name}/{inside}".rstrip("/")
        if not path.exists() or describe_input(path)["sha256"] != said.get(name):
            return False
    return True


def record(run: Run) -> None:
    """Write which folders make up the run now, with the hash of each manifest, and from which recipe."""
    before = seals(run.out)
    steps = {
        one.name: {"folder": one.folder, "stage": one.stage.name, "hash": one.hash}
        | ({"manifest": seal} if (seal := sealed(one, run, before)) else {})
        for one in run.steps
        if (run.out / one.folder).is_dir()
    }
    said = {"name": run.recipe.name, "recipe": run.recipe.file.resolve().as_posix(), "text": run.recipe.text}
    write_json(run.out / RUN, {**said, "steps": json.loads(json.dumps(steps))})


def seals(out: Path) -> dict[str, str]:
    """The hash of each step folder's manifest, as the run has written it down before."""
    try:
        return {
            step["folder"]: step["manifest"] for step in read_json(out / RUN)["steps"].values() if "manifest" in step
        }
    except (PenjingError, KeyError, TypeError, AttributeError):
        return {}


def sealed(one: Planned, run: Run, before: dict[str, str]) -> str | None:
    """The hash of a step's manifest; of a kept step the one that was written down when it was made."""
    path = run.out / one.folder / MANIFEST
    if run.states[one.name] != "made" and one.folder in before:
        return before[one.folder]
    return fingerprint(path) if path.exists() else None
