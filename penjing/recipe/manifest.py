"""What is written down about a step: its manifest, and whether a folder still is as its manifest says."""

from __future__ import annotations

import contextlib
import platform
import resource
import sys
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from penjing.base.errors import FileError
from penjing.base.files import fingerprint, read_json

MANIFEST = "manifest.json"
RESUME = "resume.json"  # a stage writes it into its folder to say: what is here can be continued
FAILED = "failed"  # in a manifest: the codes of what a stage could not make, beside what it made


class Change(NamedTuple):
    """One difference between a folder and its manifest."""

    kind: str  # changed | missing | added | broken | failed
    path: Path


def files_in(folder: Path) -> Iterator[Path]:
    """All files of a step folder but its manifest, in a fixed order; links to folders or to nothing too."""
    for path in sorted(folder.rglob("*")):
        if (path.is_file() or path.is_symlink()) and path != folder / MANIFEST:
            yield path


def describe_outputs(folder: Path) -> list[dict[str, Any]]:
    """Path, hash and size of every file that a step made."""
    return [
        {"path": p.relative_to(folder).as_posix(), "sha256": fingerprint(p), "bytes": p.stat().st_size}
        for p in files_in(folder)
    ]


def describe_input(path: Path) -> dict[str, Any]:
    """Hash and size of a file or of all files in a folder; a step folder counts without its manifest."""
    if path.is_dir() and (path / MANIFEST).exists():
        parts = describe_outputs(path)
        return {"sha256": combined(parts), "bytes": sum(part["bytes"] for part in parts)}
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return {"sha256": fingerprint(path), "bytes": sum(p.stat().st_size for p in files)}


def combined(parts: list[dict[str, Any]]) -> str:
    """One hash for a list of files."""
    import hashlib

    return hashlib.sha256("".join(f"{p['path']}\0{p['sha256']}\n" for p in parts).encode()).hexdigest()


def machine() -> dict[str, str]:
    """Versions that a result may depend on."""
    try:
        torch = version("torch")
    except PackageNotFoundError:
        torch = "not installed"
    return {"python": platform.python_version(), "torch": torch, "platform": platform.platform()}


def seeds(options: dict[str, Any]) -> dict[str, Any]:
    """The options that seed a random choice."""
    return {name: value for name, value in options.items() if name == "seed" or name.endswith("_seed")}


class Meter:
    """Wall time and peak memory of one step. On Linux the old peak is forgotten, so it is the step's own."""

    def __init__(self) -> None:
        self.start = time.time()
        with contextlib.suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def read(self) -> dict[str, Any]:
        """Start and end as text, seconds, bytes."""
        end = time.time()
        clock = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment)) for moment in (self.start, end)]
        return {
            "start": clock[0],
            "end": clock[1],
            "seconds": round(end - self.start, 3),
            "peak_memory_bytes": peak_memory(),
        }


def peak_memory() -> int:
    """Peak resident memory of this process in bytes."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """A step folder's manifest, or None when there is none that can be read, or its stage failed in part."""
    try:
        found = read_json(folder / MANIFEST)
    except FileError:
        return None
    if not isinstance(found, dict) or not isinstance(found.get("outputs"), list) or found.get(FAILED):
        return None
    entries = [found["outputs"], found.setdefault("inputs", [])]
    return found if all(map(entries_whole, entries)) else None


def entries_whole(entries: Any) -> bool:
    """Is this a list of files with path and hash?"""
    return isinstance(entries, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("path"), str) and "sha256" in entry for entry in entries
    )


def changes(folder: Path) -> list[Change]:
    """How a step folder differs from its manifest."""
    manifest = read_manifest(folder)
    if manifest is None:
        return [Change(unread(folder), folder / MANIFEST)]
    said = {part["path"]: part for part in manifest["outputs"]}
    found = []
    for path in files_in(folder):
        part = said.pop(path.relative_to(folder).as_posix(), None)
        if part is None:
            found.append(Change("added", path))
        elif not path.is_file() or part["sha256"] != fingerprint(path):
            found.append(Change("changed", path))
    return found + [Change("missing", folder / name) for name in said]


def unread(folder: Path) -> str:
    """Why a manifest does not speak for its folder."""
    if not (folder / MANIFEST).exists():
        return "missing"
    with contextlib.suppress(FileError):
        found = read_json(folder / MANIFEST)
        if isinstance(found, dict) and found.get(FAILED):
            return "failed"
    return "broken"


def named_changes(folder: Path) -> str:
    """The differences in one line of text; empty where there are none."""
    return ", ".join(f"{change.path.relative_to(folder).as_posix()} ({change.kind})" for change in changes(folder)[:5])
