"""A recipe file: read, its shape checked, each step and option with its line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from penjing.base.errors import OptionError, PenjingError, RecipeError
from penjing.base.files import existing, told

KEYS = ("name", "stages")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*\Z")


@dataclass
class Step:
    """One step: which stage it does, with which options as the file gives them."""

    name: str
    stage: str
    options: dict[str, Any] = field(default_factory=dict)
    line: int | None = None
    lines: dict[str, int] = field(default_factory=dict)  # option -> line


@dataclass
class Recipe:
    """The steps of a recipe file in their order."""

    name: str
    file: Path
    text: str
    steps: dict[str, Step]

    @property
    def folder(self) -> Path:
        """Relative paths in the recipe count from here."""
        return self.file.resolve().parent


def read_recipe(path: str | Path) -> tuple[Recipe, list[PenjingError]]:
    """The recipe as far as it can be read, and all that is wrong with its shape."""
    path = existing(path)
    path = path / "recipe.yaml" if path.is_dir() else path
    with told(path):
        data = path.read_bytes()
    try:
        return parse_recipe(data.decode("utf-8-sig"), path)
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise RecipeError("P-RECIPE-001", file=path, line=line, reason="not UTF-8 text") from error


def parse_recipe(text: str, path: Path) -> tuple[Recipe, list[PenjingError]]:
    """The steps in `text`; `path` is where it stands. Broken YAML is raised, other problems are collected."""
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        problems = list(repeated(root, path))
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        reason = " ".join(str(getattr(error, "problem", None) or error).split())
        raise RecipeError("P-RECIPE-001", file=path, line=mark and mark.line + 1, reason=reason) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise RecipeError("P-RECIPE-001", file=path, reason=str(error)) from error
    recipe = Recipe(path.resolve().parent.name if path.stem == "recipe" else path.stem, path, text, {})
    if not isinstance(values, dict) or not isinstance(values.get("stages"), dict) or not values["stages"]:
        return recipe, [*problems, RecipeError("P-RECIPE-002", file=path, line=1, known=KEYS)]
    nodes = children(root)
    problems += unknown_keys(values, nodes, path)
    recipe.name = named(values.get("name", recipe.name), nodes, path, problems)
    for name, body in values["stages"].items():
        key, value = children(nodes["stages"][1]).get(str(name), nodes["stages"])
        if step := read_step(name, body, key, value, path, problems):
            recipe.steps[step.name] = step
    return recipe, problems


def read_step(name: Any, body: Any, key: Any, value: Any, path: Path, problems: list[PenjingError]) -> Step | None:
    """One step of the mapping `stages`; a step without options may stand empty."""
    line = key.start_mark.line + 1
    if not isinstance(name, str) or not NAME.match(name):
        problems.append(RecipeError("P-RECIPE-003", file=path, line=line, given=name))
        return None
    if body is not None and not (isinstance(body, dict) and all(isinstance(k, str) for k in body)):
        problems.append(RecipeError("P-RECIPE-004", file=path, line=line, step=name, given=body))
        return None
    options = dict(body or {})
    stage = options.pop("do", name)
    lines = {option: node.start_mark.line + 1 for option, (node, _) in children(value).items()}
    return Step(name, str(stage), options, line, lines)


def children(node: Any) -> dict[str, tuple[Any, Any]]:
    """Key -> (key node, value node) of a mapping node."""
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {str(key.value): (key, value) for key, value in pairs}


def repeated(node: Any, path: Path) -> Iterable[PenjingError]:
    """YAML keeps only the last of two equal keys; here that is an error."""
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield RecipeError("P-RECIPE-005", file=path, line=key.start_mark.line + 1, given=key.value)
                seen.add(key.value)
            yield from repeated(value, path)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            yield from repeated(value, path)


def unknown_keys(values: dict[Any, Any], nodes: dict[str, tuple[Any, Any]], path: Path) -> list[PenjingError]:
    """Top-level keys that a recipe does not have."""
    return [
        OptionError("P-OPTION-001", owner="recipe", given=key, known=KEYS, file=path, line=line_of(nodes, key))
        for key in values
        if key not in KEYS
    ]


def named(name: Any, nodes: dict[str, tuple[Any, Any]], path: Path, problems: list[PenjingError]) -> str:
    """The recipe's name; it becomes a folder's name."""
    if not isinstance(name, str) or not re.fullmatch(r"[\w.-]*\w[\w.-]*", name):
        problems.append(RecipeError("P-RECIPE-003", file=path, line=line_of(nodes, "name"), given=name))
    return str(name)


def line_of(nodes: dict[str, tuple[Any, Any]], key: Any) -> int | None:
    """The line of a key, counted from 1."""
    return nodes[str(key)][0].start_mark.line + 1 if str(key) in nodes else None


def apply_sets(recipe: Recipe, sets: Iterable[str]) -> list[PenjingError]:
    """Put `step.option=value` (value in YAML) over the recipe's options; what cannot be put is returned."""
    problems: list[PenjingError] = []
    for text in sets:
        place, equals, value = text.partition("=")
        name, dot, option = place.strip().partition(".")
        if not (equals and dot and option):
            problems.append(RecipeError("P-RECIPE-006", given=text))
        elif name not in recipe.steps:
            problems.append(OptionError("P-OPTION-004", given=name, known=recipe.steps, kind="step of this recipe"))
        else:
            set_option(recipe.steps[name], option, value, problems)
    return problems


def set_option(step: Step, option: str, value: str, problems: list[PenjingError]) -> None:
    """Change one option of a step, or which stage it does."""
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        problems.append(RecipeError("P-RECIPE-006", given=f"{step.name}.{option}={value}"))
        return
    option, *inner = option.split(".")
    step.lines.pop(option, None)
    if option == "do":
        step.stage = str(parsed)
    else:
        step.options[option] = within(step.options.get(option), inner, parsed)


def within(old: Any, inner: Sequence[str], value: Any) -> Any:
    """`old` with `value` at a place inside it: `task: tag` and then `tag.crf` makes `task: {tag: {crf: ...}}`."""
    if not inner:
        return value
    name, *deeper = inner
    kept = dict(old) if isinstance(old, dict) else {}
    if not deeper or old == name or name in kept:
        return kept | {name: within(kept.get(name), deeper, value)}
    return {name: within(None, deeper, value)}  # another choice than the recipe's
