"""A stage as a Python function or a command: the same checks, and a whole folder with a manifest."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from penjing.base.errors import RecipeError
from penjing.base.progress import tell
from penjing.recipe.check import Planned, check_step, hash_steps
from penjing.recipe.folder import make
from penjing.recipe.lock import locked
from penjing.recipe.manifest import MANIFEST, changes, read_manifest
from penjing.recipe.references import walk
from penjing.recipe.stage import Stage


def call_stage(stage: Stage, out: str | Path, options: Mapping[str, Any], base: Path | None = None) -> dict[str, Any]:
    """Fill the folder `out` by one stage and return its manifest; relative paths count from `base` (here).

    A folder that the same options, inputs and code have made is kept; one that another call has made is replaced.
    """
    out = Path(out)
    one = check_step(stage.name, stage, escaped(options), base or Path.cwd())
    hash_steps([one], base or Path.cwd())
    with locked(out.with_name(f".{out.name}.lock"), out):
        kept = made_before(one, out)
        if kept:
            tell("note", stage.name, "unchanged, kept", state="kept")
            return kept
        tell("begin", stage.name, stage.name)
        manifest = make(one, out, {})
        tell("end", stage.name, out.name, seconds=manifest["seconds"])
    return manifest


def escaped(options: Mapping[str, Any]) -> dict[str, Any]:
    """Outside a recipe a dollar sign is only a dollar sign."""
    return walk(dict(options), lambda leaf: "$" + leaf if isinstance(leaf, str) and leaf.startswith("$") else leaf)


def made_before(one: Planned, out: Path) -> dict[str, Any] | None:
    """The manifest of `out` if it is whole and made by the same call. Files that no stage made are an error."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).exists()):
        raise RecipeError("P-RECIPE-013", path=out)
    manifest = read_manifest(out)
    return manifest if manifest and manifest.get("hash") == one.hash and not changes(out) else None


def as_function(stage: Stage) -> Callable[..., dict[str, Any]]:
    """The stage as `penjing.<name>`: called with `out` and options, it returns the stage's summary."""

    @functools.wraps(stage.function)
    def call(out: str | Path, **options: Any) -> dict[str, Any]:
        return call_stage(stage, out, options)["result"]

    return call
