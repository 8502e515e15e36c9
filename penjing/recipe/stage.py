"""One stage: a plain function, and what its module says about it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from penjing.base.errors import MachineError, OptionError, PenjingError


@dataclass(frozen=True)
class Stage:
    """A function `(out, *, options) -> summary` with its extras, its own check, list of inputs and choices."""

    name: str
    function: Callable[..., Any]
    extras: Mapping[str, str] = field(default_factory=dict)  # module -> extra of Penjing
    check: Callable[[dict[str, Any], Path], list[PenjingError]] | None = None
    inputs: Callable[[dict[str, Any]], list[Path]] | None = None
    choices: Callable[[], Mapping[str, Mapping[str, Callable[..., Any]]]] | None = None

    @classmethod
    def of(cls, name: str, stage: Stage | Callable[..., Any]) -> Stage:
        """`stage` as it is, or a function with what its module declares."""
        if isinstance(stage, Stage):
            return stage
        module = sys.modules.get(stage.__module__)
        own = module if module and module.__name__.rpartition(".")[2] == stage.__name__ else None
        said = {key: getattr(own, key, None) for key in ("check", "inputs", "choices")}
        return cls(name, stage, getattr(own, "EXTRAS", {}), **said)

    def missing_extras(self) -> list[PenjingError]:
        """One error for each module that is not installed."""
        absent = [module for module in self.extras if find_spec(module) is None]
        return [MachineError("P-SYSTEM-001", module=m, extra=self.extras[m], what=self.name) for m in absent]

    def told(self, problem: PenjingError) -> PenjingError:
        """The problem, or where the option belongs if it is unknown here and known inside a choice of the stage."""
        name = str(problem.given).lstrip("-").replace("-", "_")  # a flag is an option too
        places = self.places(name) if problem.code == "P-OPTION-001" else []
        if not places:
            return problem
        written = ", ".join(f"{choice}: {{{kind}: {{{name}: ...}}}}" for choice, kind in places)
        choice, kind = places[0]
        flags = f"--{choice} {kind} --{choice} {name}=VALUE"
        return OptionError("P-OPTION-008", owner=self.name, given=problem.given, places=written, flags=flags)

    def places(self, option: str) -> list[tuple[str, str]]:
        """The choices of the stage, each with a name it can have, that have the option."""
        from penjing.base.options import options_of  # here, for pydantic is slow to import

        found = self.choices() if self.choices else {}
        return [
            (choice, kind)
            for choice, kinds in found.items()
            for kind, made in kinds.items()
            if option in options_of(made)
        ]
