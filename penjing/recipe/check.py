"""All that can be known to be wrong before anything runs, told at once; and the name that each step's folder gets."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penjing.base.errors import OptionError, PenjingError, RecipeError
from penjing.base.files import absent, fingerprint
from penjing.base.hub import hub_id, local_folder
from penjing.base.options import check_options, convert, options_of
from penjing.recipe.code import code_version
from penjing.recipe.manifest import named_changes, read_manifest
from penjing.recipe.reading import Recipe, Step
from penjing.recipe.references import leaves, mark, reference, references, walk, written
from penjing.recipe.stage import Stage

HUB = ("model", "source")  # options that take the id of a model on the hub too
Stages = Mapping[str, Stage | Callable[..., Any]]


@dataclass
class Planned:
    """A step that has passed its checks. Options are complete, typed, and hold references marked."""

    name: str
    stage: Stage
    options: dict[str, Any]
    inputs: list[Path] = field(default_factory=list)  # files and folders outside the run
    needs: list[tuple[str, str]] = field(default_factory=list)  # (earlier step, path inside)
    code: dict[str, Any] = field(default_factory=dict)
    hash: str = ""  # 64 hex digits

    @property
    def folder(self) -> str:
        """The name of its folder inside the run."""
        return f"{self.name}-{self.hash[:10]}"


def gather(problems: list[PenjingError], function: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """The function's result; if it raises, its problems join the others one by one and None comes back."""
    try:
        return function(*given, **named)
    except PenjingError as error:
        problems += [error, *error.others]
        error.others = []
        return None


def check_recipe(recipe: Recipe, stages: Stages) -> tuple[list[Planned], list[PenjingError]]:
    """The steps that are well, in their order, and all problems of the others."""
    planned: list[Planned] = []
    problems: list[PenjingError] = []
    for step in recipe.steps.values():
        place = {"file": recipe.file, "line": step.line}
        if step.stage not in stages:
            problems.append(OptionError("P-OPTION-004", given=step.stage, known=stages, kind="stage", **place))
            continue
        problems += check_references(step, recipe)
        stage = Stage.of(step.stage, stages[step.stage])
        found: list[PenjingError] = []
        one = gather(found, check_step, step.name, stage, step.options, recipe.folder)
        problems += [placed(problem, step, recipe) for problem in found]
        if one:
            planned.append(one)
    return planned, problems


def placed(problem: PenjingError, step: Step, recipe: Recipe) -> PenjingError:
    """A problem of a step with the line that it comes from."""
    if problem.file is None:
        option = problem.values.get("option") or problem.given
        problem.file, problem.line, problem.stage = recipe.file, step.lines.get(str(option), step.line), step.name
    return problem


def check_references(step: Step, recipe: Recipe) -> list[PenjingError]:
    """Each `$name` must be a step that stands before this one."""
    order, problems = list(recipe.steps), []
    before = order[: order.index(step.name)]
    for option, value in step.options.items():
        place = {"file": recipe.file, "line": step.lines.get(option, step.line), "stage": step.name}
        for name, _ in references(mark(value)):
            if name in before:
                continue
            if name in order:
                problems.append(RecipeError("P-RECIPE-007", given=f"${name}", step=step.name, **place))
            else:
                problems.append(RecipeError("P-RECIPE-008", given=name, known=before, **place))
    return problems


def check_step(name: str, stage: Stage, options: Mapping[str, Any], base: Path) -> Planned:
    """One step with complete, typed options; relative paths count from `base`. All its problems are raised at once."""
    problems: list[PenjingError] = stage.missing_extras()
    given = {key: mark(value) for key, value in options.items()}
    checked = well_given(stage, given, name, problems)
    fetched = {key: here(value, base, problems) if key in HUB else value for key, value in checked.items()}
    full = {key: rooted(value, base) for key, value in (defaults(stage) | fetched).items()}
    problems += missing_paths(full, base)
    own = {key: value for key, value in full.items() if not references(value)}
    if stage.check and not problems:
        problems += gather(problems, stage.check, own, base) or []
    raise_listed(problems)
    inputs = stage.inputs(own) if stage.inputs else [leaf for leaf in leaves(own) if isinstance(leaf, Path)]
    raise_listed(tampered(inputs, name))
    return Planned(name, stage, full, sorted(set(inputs)), sorted(set(references(full))), code_version(stage.function))


def here(value: Any, base: Path, problems: list[PenjingError]) -> Any:
    """A path as it is; the id of a model on the hub as the folder of its files, fetched now."""
    if not isinstance(value, Path) or reference(value) or (base / value).exists() or not hub_id(value):
        return value
    return gather(problems, local_folder, value)


def tampered(inputs: list[Path], name: str) -> list[PenjingError]:
    """One error for each step folder, among the inputs or around them, that is not as its manifest says."""
    folders = {next((f for f in (path, *path.parents) if read_manifest(f)), None) for path in inputs} - {None}
    found = {folder: named_changes(folder) for folder in sorted(folders)}
    return [RecipeError("P-RECIPE-012", stage=name, path=path, files=text) for path, text in found.items() if text]


def well_given(stage: Stage, given: dict[str, Any], name: str, problems: list[PenjingError]) -> dict[str, Any]:
    """The options that pass, typed; the problems of the others join the list."""
    found: list[PenjingError] = []
    checked = gather(found, check_options, stage.function, given, name)
    problems += map(stage.told, found)
    if checked is None:
        wrong = {problem.values.get("option") or problem.given for problem in found}
        rest = {key: value for key, value in given.items() if key not in wrong}
        checked = check_options(stage.function, rest, name, needed=False)
    return checked


def raise_listed(problems: list[PenjingError]) -> None:
    """Raise the first of several problems with the others attached."""
    if problems:
        problems[0].others = problems[1:]
        raise problems[0]


def defaults(stage: Stage) -> dict[str, Any]:
    """The defaults of a stage, typed: a default "." of a path becomes a path."""
    found = {}
    for option in options_of(stage.function).values():
        if not option.needed:
            try:
                found[option.name] = convert(option, option.default)
            except ValidationError:
                found[option.name] = option.default
    return found


def rooted(value: Any, base: Path) -> Any:
    """Relative paths inside `value` made absolute; references stay."""

    def change(leaf: Any) -> Any:
        return (
            Path(os.path.normpath(base / leaf.expanduser())) if isinstance(leaf, Path) and not reference(leaf) else leaf
        )

    return walk(value, change)


def missing_paths(options: Mapping[str, Any], base: Path) -> list[PenjingError]:
    """One error for each path that is not there, with the nearest name in its folder."""
    problems: list[PenjingError] = []
    for option, value in options.items():
        for path in leaves(value):
            if isinstance(path, Path) and not reference(path) and not path.exists():
                problems.append(absent(path, base, option=option))
    return problems


def hash_steps(planned: list[Planned], base: Path) -> None:
    """Give each step its hash: stage, options, bytes of its inputs, hashes of the steps it reads, code version."""
    hashes: dict[str, str] = {}
    for one in planned:
        one.hash = hashes[one.name] = step_hash(one, hashes, base)


def step_hash(one: Planned, hashes: Mapping[str, str], base: Path) -> str:
    """SHA-256 of what decides a step's result. An input counts by its name and bytes, not by where it lies."""

    def change(leaf: Any) -> Any:
        if found := reference(leaf):
            return ["step", hashes[found[0]], found[1]]
        if isinstance(leaf, Path):
            return ["path", leaf.name] if leaf in one.inputs else ["path"]
        return leaf

    inputs = [[path.name, fingerprint(path)] for path in one.inputs]
    said = {"stage": one.stage.name, "options": walk(one.options, change), "inputs": inputs, "code": one.code["sha256"]}
    said["penjing"] = one.code["penjing"]
    return hashlib.sha256(json.dumps(said, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def shown(one: Planned) -> dict[str, Any]:
    """A step's options as they are written into manifests."""
    return written(one.options)
