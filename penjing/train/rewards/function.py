"""A function of one's own: `file.py:name` is called with an answer and its record, and gives a number.

The file is a program: it runs with the rights of who trains.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from runpy import run_path
from typing import Annotated, Any

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import OptionError, known
from penjing.train.rewards import reward


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Reward(reward.Reward):
    """Options of a function of one's own."""

    file: Annotated[Path, Field(description="a Python file")]
    name: Annotated[str, Field(description="the function in it: `def name(answer, record) -> float`")] = "reward"  # type: ignore[misc]

    @cached_property
    def call(self) -> Callable[..., Any]:
        """The function, read once."""
        try:
            found = run_path(str(self.file))
        except Exception as error:  # the file is a program: anything may happen in it
            reason = f"{type(error).__name__}: {error}"
            raise OptionError("P-TRAIN-035", file=self.file, reason=reason[:300]) from error
        functions = [name for name, value in found.items() if callable(value) and not name.startswith("_")]
        return found[known(self.name, functions, "function")]

    def prepare(self):
        assert self.call

    def of(self, answers, records):
        """One by one, so that it is known at which answer it fails."""
        return (self.call(answer, dict(record)) for answer, record in zip(answers, records, strict=True))
