"""`$step` and `$step/inside` in option values: the folder of an earlier step, or something inside it.

While a recipe is checked, a reference is held as text that starts with MARK, so that it passes through types (Path,
lists, mappings) like any other path; it becomes a real path when the step runs. `$$` at the start stands for one `$`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MARK = "\0"  # no path and no YAML text holds it


def walk(value: Any, change: Callable[[Any], Any]) -> Any:
    """`value` with `change` applied to everything inside its lists, tuples and mappings."""
    if isinstance(value, dict):
        return {key: walk(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(walk(item, change) for item in value)
    return change(value)


def leaves(value: Any) -> Iterator[Any]:
    """Everything inside the lists and mappings of `value`."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from leaves(item)
    else:
        yield value


def mark(value: Any) -> Any:
    """References marked, `$$` made plain."""

    def change(leaf: Any) -> Any:
        if isinstance(leaf, str) and leaf.startswith("$"):
            return leaf[1:] if leaf.startswith("$$") else MARK + leaf[1:]
        return leaf

    return walk(value, change)


def reference(leaf: Any) -> tuple[str, str] | None:
    """(step, path inside its folder) if `leaf` is a marked reference."""
    if isinstance(leaf, str | Path) and str(leaf).startswith(MARK):
        step, _, inside = str(leaf)[1:].partition("/")
        return step, inside
    return None


def references(value: Any) -> list[tuple[str, str]]:
    """All references inside `value`."""
    return [found for leaf in leaves(value) if (found := reference(leaf))]


def resolve(value: Any, folders: dict[str, Path]) -> Any:
    """Marked references as real paths; `folders` has the folder of each earlier step."""

    def change(leaf: Any) -> Any:
        if found := reference(leaf):
            path = folders[found[0]] / found[1]
            return path if isinstance(leaf, Path) else str(path)
        return leaf

    return walk(value, change)


def written(value: Any) -> Any:
    """Marked references as the user wrote them, paths as text: for manifests and messages."""

    def change(leaf: Any) -> Any:
        if found := reference(leaf):
            return "$" + "/".join(part for part in found if part)
        return leaf.as_posix() if isinstance(leaf, Path) else leaf

    return walk(value, change)
