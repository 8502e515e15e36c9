"""For a stage whose data are patterns inside its option `folder`: which files it will read, and are they there?

A stage module takes both by `from penjing.recipe.patterns import check as check, inputs as inputs`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penjing.base.errors import PenjingError

NAMES = ("train", "valid", "test", "raw")  # options that hold patterns


def patterns(options: dict[str, Any]) -> dict[str, list[Path]]:
    """The patterns of each option as paths. Nothing when the folder is an earlier step's, which is not made yet."""
    found = {}
    for name in NAMES:
        given = options.get(name)
        if given and "folder" in options:
            found[name] = [options["folder"] / one for one in ([given] if isinstance(given, str) else given)]
    return found


def inputs(options: dict[str, Any]) -> list[Path]:
    """The files that all patterns match."""
    from penjing.base.records import files_of

    return [file for paths in patterns(options).values() for path in paths for file in files_of(path)]


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What keeps the files from being read: not there, no known format, no known encoding."""
    from penjing.base.records import sources

    problems: list[PenjingError] = []
    for name, paths in patterns(options).items():
        try:
            sources(paths, options.get("encoding", "auto"))
        except PenjingError as error:
            problems += [error, *error.others]
            error.others = []
            error.values.setdefault("option", name)
    return problems
