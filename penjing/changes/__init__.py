"""Recorded edits of a network: adapters, and which of its parameters are trained. One file per change.

To add a change: write `changes/<name>.py` with a class `Change` (see `change.py`) and put its name in CHANGES.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from penjing.base.errors import known, raise_all
from penjing.base.options import Choice, check_options, chosen

if TYPE_CHECKING:
    from penjing.changes.change import Change

CHANGES = (
    "lora",
    "ia3",
    "adapter",
    "prefix",
    "prompt",
    "ptuning",
    "bitfit",
    "freeze",
    "lowrank",
    "int8",
    "int4",
    "heads",
    "neurons",
    "layers",
    "magnitude",
    "vocabulary",
)  # also the file names


def kind_named(name: str) -> type[Change]:
    """The class of the change `name`."""
    return importlib.import_module(f"penjing.changes.{known(name, CHANGES, 'change')}").Change


def change_named(name: str, **options: Any) -> Change:
    """The change `name` with its options; an unknown option is an error."""
    kind = kind_named(name)
    change = kind(**check_options(kind, options, f"change {name}"))
    raise_all(change.problems())
    return change


def changes_of(said: Choice | Sequence[Choice] | None) -> list[Change]:
    """What a user says, one choice or a list of them in their order: `lora`, or `[{freeze: {top: 2}}, lora]`."""
    said = [] if said is None else said if isinstance(said, list | tuple) else [said]
    return [change_named(name, **options) for name, options in (chosen(one, CHANGES, "change") for one in said)]
