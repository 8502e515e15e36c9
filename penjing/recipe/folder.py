"""One step folder: filled aside, with its manifest, renamed when whole; the name without hash points to it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from penjing.base.errors import PenjingError, RecipeError
from penjing.base.files import PART, told, whole_file, write_json
from penjing.recipe.check import Planned, shown
from penjing.recipe.manifest import (
    FAILED,
    MANIFEST,
    RESUME,
    Meter,
    describe_input,
    describe_outputs,
    machine,
    read_manifest,
    seeds,
)
from penjing.recipe.references import resolve

OURS = {
    errno.ENOSPC,
    errno.EDQUOT,
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
}  # the machine's refusals, no fault in a stage


@contextlib.contextmanager
def refusals(path: Path) -> Iterator[None]:
    """Tell a full disk or a forbidden write in our words; let everything else pass as it is."""
    try:
        yield
    except OSError as error:
        if error.errno not in OURS:
            raise
        with told(path):
            raise


def part_of(folder: Path, hash: str) -> Path:
    """Where `folder` is filled: its name, with the hash in it and the ending of what is not whole."""
    name = folder.name if folder.name.endswith(f"-{hash[:10]}") else f"{folder.name}-{hash[:10]}"
    return folder.with_name(name + PART)


@contextlib.contextmanager
def aside(folder: Path, hash: str) -> Iterator[Path]:
    """The part folder of `folder`. After a failure it stays only if the stage said that it can be continued there."""
    part = part_of(folder, hash)
    with told(part):
        if part.exists() and not (part / RESUME).exists():
            shutil.rmtree(part)
        part.mkdir(parents=True, exist_ok=True)
    try:
        with refusals(folder):
            yield part
            put(part, folder)
    finally:
        if part.exists() and not (part / RESUME).exists():
            shutil.rmtree(part, ignore_errors=True)


def put(part: Path, folder: Path) -> None:
    """Rename the whole part into its place; what stood there before goes only then."""
    old = folder.with_name(folder.name + ".old" + PART)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    try:
        os.replace(part, folder)
    except OSError:
        if old.exists():
            os.replace(old, folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def make(one: Planned, folder: Path, folders: dict[str, Path]) -> dict[str, Any]:
    """Run a step's stage into `folder` and return the manifest; `folders` has the earlier steps' folders.

    Where a stage fails and says what it made all the same (`error.kept`), that stays, with a manifest that says so; such a
    step is not made: it runs again the next time.
    """
    reads = read_steps(one, folders)
    failure = None
    with aside(folder, one.hash) as part:
        meter = Meter()
        try:
            result = one.stage.function(part, **resolve(one.options, folders))
        except PenjingError as error:
            if error.kept is None:
                raise
            failure, result = error, error.kept
        manifest = {
            "step": one.name,
            "stage": one.stage.name,
            "hash": one.hash,
            "options": shown(one),
            "inputs": [*reads, *({"path": p.as_posix()} | describe_input(p) for p in one.inputs)],
            "code": one.code,
            **machine(),
            "seeds": seeds(one.options),
            **meter.read(),
            "result": result or {},
        }
        if failure is not None:
            manifest[FAILED] = [one.code for one in (failure, *failure.others)]
        (part / RESUME).unlink(missing_ok=True)
        manifest["outputs"] = describe_outputs(part)
        write_json(part / MANIFEST, manifest)
    if failure is not None:
        raise failure
    return manifest


def read_steps(one: Planned, folders: dict[str, Path]) -> list[dict[str, Any]]:
    """What a step reads of earlier steps, with hashes; a path that is not there is an error with the names that are."""
    found = []
    for step, inside in one.needs:
        path = folders[step] / inside
        if not path.exists():
            there = sorted(p.relative_to(folders[step]).as_posix() for p in folders[step].rglob("*"))
            raise RecipeError("P-RECIPE-010", step=step, stage=one.name, given=inside, known=there)
        found.append({"step": step, "path": f"{folders[step].name}/{inside}".rstrip("/")} | describe_input(path))
    return found


def point(link: Path, folder: Path) -> None:
    """Let `link` lead to `folder` beside it: a symbolic link, or a text file with the name where there are none."""
    spare = link.with_name(f"{link.name}.{os.getpid()}{PART}")
    try:
        if link.is_dir() and not link.is_symlink():
            return
        os.symlink(folder.name, spare)
        os.replace(spare, link)
    except (OSError, NotImplementedError):
        spare.unlink(missing_ok=True)
        with whole_file(link) as file:
            file.write(folder.name)


def followed(path: Path) -> Path:
    """The folder that `path` leads to, also through a text file or with something inside it asked for."""
    for upper in (path, *path.parents):
        if upper.is_file() and upper.suffix == "" and upper.stat().st_size < 300:
            target = upper.parent / upper.read_text(encoding="utf-8", errors="replace").strip()
            if target.is_dir() and read_manifest(target):
                return target / path.relative_to(upper)
    return path
