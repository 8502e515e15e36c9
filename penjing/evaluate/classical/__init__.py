"""The classical models of tasks that answer with more than a label: one file each, named as in `Task.baselines`.

A file holds a class `Baseline`:

    fit(task, train, valid, seed) -> Baseline     a class method: fitted in seconds on the very records
    answer(records) -> list of dicts              in the form of the task's own answers
    save(folder), load(folder)                    penjing.json {"kind": name, "task": ...} and arrays; never a pickle
    facts                                         what is known of the fit: seconds, features ...
    needs_model = True                            where `fit` takes the folder of the `model` too, whose tokens it guesses
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

from penjing.base.errors import EvaluateError
from penjing.base.files import read_json


class Baseline(Protocol):
    """What such a file's class can do."""

    facts: dict[str, Any]

    def answer(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]: ...

    def save(self, folder: Path) -> None: ...


def classical(name: str) -> Any:
    """The class `Baseline` of the file `name`."""
    return import_module(f"{__name__}.{name}").Baseline


def is_classical(kind: str) -> bool:
    """Whether a file of that name stands here."""
    return kind.isidentifier() and find_spec(f"{__name__}.{kind}") is not None


def load_classical(folder: Path) -> Any:
    """The baseline that a folder holds."""
    kind = classical(read_json(folder / "penjing.json", dict)["kind"])
    try:
        return kind.load(folder)
    except (KeyError, TypeError, ValueError) as error:
        raise EvaluateError("P-EVAL-003", file=folder / "penjing.json", reason=error) from error


def saved_task(about: Mapping[str, Any]) -> Any:
    """The task that a baseline's penjing.json tells."""
    from penjing.tasks import task_named

    options = dict(about["task"])
    return task_named(options.pop("task"), **options)
