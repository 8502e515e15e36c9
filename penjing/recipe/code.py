"""The code version of a stage: a change of code that it can reach makes its step anew, any other change does not.

Reach = the stage's own file and every folder of Penjing that it imports, directly or through those folders (read with
`ast`, imports inside functions too). All files of a reached folder count, so a module loaded by name counts as well.
Texts of messages do not count: they change no result.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import penjing

ROOT = Path(penjing.__file__).parent
NAMED = re.compile(r"\bpenjing\b[\s\\]*(?:\.[\s\\]*(\w+)|import\b)")


def code_version(function: Callable[..., Any]) -> dict[str, Any]:
    """{"penjing": version, "sha256": hash of the sources reached, "reaches": folders} of a stage."""
    own = Path(inspect.getsourcefile(function) or "")
    digest = hashlib.sha256()
    if own.is_relative_to(ROOT):
        folders = reached(own)
        digest.update(own.read_bytes())
    else:
        folders = []
        digest.update(source(function).encode())
    for folder in folders:
        digest.update(folder_hash(folder).encode())
    return {"penjing": penjing.__version__, "sha256": digest.hexdigest(), "reaches": folders}


def source(function: Callable[..., Any]) -> str:
    """The text of a function from outside Penjing, or its name where there is none (typed in by hand)."""
    try:
        return inspect.getsource(function)
    except OSError:
        return function.__qualname__


@cache
def reached(file: Path) -> list[str]:
    """Names of the top folders of Penjing that `file` imports, directly or not, sorted."""
    found: set[str] = set()
    waiting = set(imports(file))
    while waiting:
        folder = waiting.pop()
        found.add(folder)
        for path in sources(folder):
            if named(path) - found - waiting:  # else to parse it would bring nothing new
                waiting |= imports(path) - found
    return sorted(found)


@cache
def named(file: Path) -> set[str]:
    """Top folders of which one file speaks as `penjing.folder`, and "" where it may say `from penjing import folder`."""
    return {name for name in NAMED.findall(file.read_text(encoding="utf-8")) if (ROOT / name).is_dir()}


@cache
def imports(file: Path) -> set[str]:
    """Top folders of Penjing that one file imports anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{name}" for name in names]
        parts = [name.split(".") for name in names]
        found |= {p[1] for p in parts if p[0] == "penjing" and len(p) > 1 and (ROOT / p[1]).is_dir()}
    return found


def sources(folder: str) -> Iterator[Path]:
    """The source files of a top folder in a fixed order, messages left out."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        if "messages" not in path.parts:
            yield path


@cache
def folder_hash(folder: str) -> str:
    """SHA-256 of the names and bytes of a folder's sources."""
    digest = hashlib.sha256()
    for path in sources(folder):
        digest.update(f"{path.relative_to(ROOT).as_posix()}\0".encode() + path.read_bytes())
    return digest.hexdigest()
