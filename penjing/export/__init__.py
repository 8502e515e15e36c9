"""Models in the forms that other runtimes read, each with the proof that it answers the same. One file per target.

To add a target: write `export/<name>.py` with a class `Target` (see `target.py`) and put its name in TARGETS.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from penjing.base.errors import OptionError, known
from penjing.base.options import Choice, check_options, chosen

if TYPE_CHECKING:
    from penjing.export.target import Target

TARGETS = ("hf", "half", "peft", "onnx", "onnx_int8", "gguf", "ctranslate2")  # also the file names


def kind_named(name: str) -> type[Target]:
    """The class of the target `name`."""
    return importlib.import_module(f"penjing.export.{known(name, TARGETS, 'target')}").Target


def targets_of(said: Choice | Sequence[Choice]) -> list[Target]:
    """What a user says: `hf`, `onnx,hf`, or a list in which a target may have options: `[hf, {half: {dtype: float16}}]`."""
    said = said if isinstance(said, list | tuple) else [said]
    each = [one for part in said for one in (split(part) if isinstance(part, str) else [part])]
    found = []
    for name, options in (chosen(one, TARGETS, "to") for one in each):
        kind = kind_named(name)
        found.append(kind(**check_options(kind, options, f"target {name}")))
    if not found:
        raise OptionError("P-EXPORT-007", known=TARGETS)
    return found


def split(said: str) -> list[str]:
    """The names between commas."""
    return [name.strip() for name in said.split(",") if name.strip()] or [said]
