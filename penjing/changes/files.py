"""The changes of a network in its folder: their records stand in penjing.json, their tensors in a file of their own.

The folder's model.safetensors is the base under its own names, with what a change trained in place (freeze, bitfit);
`changes.safetensors` holds the edits, and what stood where something was trained in place, so that it can be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from penjing.base.errors import FileError
from penjing.base.files import existing
from penjing.changes import changes_of
from penjing.changes.change import Changes
from penjing.model.tensors import read_file, write_file

FILE = "changes.safetensors"


def write_changes(folder: Path, changes: Changes) -> None:
    """Write the tensors of the changes, if there are any."""
    if changes:
        write_file(folder / FILE, changes.tensors())


def read_changes(folder: Path, changes: Changes, records: Any) -> None:
    """Repeat the recorded changes with the tensors that the folder holds."""
    if not isinstance(records, list):
        raise FileError("P-FILE-004", path=folder / "penjing.json", reason="`changes` is no list")
    if records:
        repeat(changes, records, read_file(existing(folder / FILE)), folder / FILE)


def repeat(
    changes: Changes, records: Sequence[Any], tensors: Mapping[str, Tensor], file: str | Path | None = None
) -> None:
    """Make recorded changes again and fill them."""
    for change in changes_of(records):
        changes.add(change)
    if records:
        changes.fill(tensors, file)
