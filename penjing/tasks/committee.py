"""Several models of one task that answer as one: each reads the records by itself, and the task takes their mean.

It is saved as one folder with its members inside, which `Model.load` opens as it opens a model. M members, N records
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from penjing.base.errors import EvaluateError, PenjingError, raise_all
from penjing.base.files import read_json, whole_folder, write_json
from penjing.base.texts import Item
from penjing.tasks.model import KIND, DType, Model
from penjing.tasks.task import Task

COMMITTEE = "committee"  # the kind in penjing.json
MEMBERS = "members"  # the folder of its members, which are numbered from 1
NAMED = ("labels", "tags", "several", "scheme")  # what answers are made of: members must agree in it


class Committee:
    """Answers as a Model does. The members may have other tokenizers, families and sizes than one another."""

    def __init__(self, models: Sequence[Model], lineage: Mapping[str, Any] | None = None):
        names = [f"{MEMBERS}/{number}" for number in range(1, len(models) + 1)]
        check_alike(dict(zip(names, models, strict=True)))
        self.models, self.task, self.lineage = list(models), models[0].task, dict(lineage or {})
        if not can_average(type(self.task)):
            raise EvaluateError("P-EVAL-044", task=self.task.name)

    # ---- answers ----

    def answer(self, records: Sequence[Item], batch_tokens: int = 4096) -> list[dict[str, Any]]:
        """What the task answers for records, each with `disagreement`: how far the members are apart."""
        asked = self.models[0].checked(records)
        return self.task.together(self.models, asked, batch_tokens) if asked else []

    def probabilities(self, records: Sequence[Item], batch_tokens: int = 4096) -> np.ndarray:
        """The mean of the members' probabilities, N C float64."""
        return np.stack([model.probabilities(records, batch_tokens) for model in self.models]).mean(0)

    # ---- folders ----

    def save(self, folder: str | Path) -> None:
        """Write the folder whole: penjing.json, and each member as a model's folder."""
        with whole_folder(folder) as part:
            for number, model in enumerate(self.models, 1):
                model.save(part / MEMBERS / str(number))
            about = {"kind": COMMITTEE, "task": self.task.record(), "members": len(self.models)}
            write_json(part / KIND, about | {"lineage": self.lineage})

    @classmethod
    def load(cls, folder: str | Path, dtype: DType = "float32") -> Committee:
        """Read what `save` wrote; a member that is not there is an error."""
        folder, about = Path(folder), read_json(Path(folder) / KIND, dict)
        count = about.get("members")
        if not isinstance(count, int) or count < 1:
            raise EvaluateError("P-EVAL-003", file=folder / KIND, reason=f"members: {count!r}")
        places = [folder / MEMBERS / str(number) for number in range(1, count + 1)]
        raise_all([EvaluateError("P-EVAL-048", file=folder, absent=f"{MEMBERS}/{place.name}")
                   for place in places if not (place / "config.json").exists()])  # fmt: skip
        return cls([Model.load(place, dtype) for place in places], about.get("lineage"))

    # ---- what only one network has ----

    def eval(self) -> Committee:
        return self

    def parameters(self) -> list[Any]:
        """Those of all members."""
        return [parameter for model in self.models for parameter in model.parameters()]

    @property
    def network(self) -> NoReturn:
        """There is none: an error that says what to take instead."""
        raise EvaluateError("P-EVAL-047", count=len(self.models))


def can_average(kind: type[Task]) -> bool:
    """Whether a task says how the answers of several models become one."""
    return kind.together is not Task.together


def check_alike(models: Mapping[str, Model]) -> None:
    """Members by name: at least two, of the same task, labels and kind of texts; all others are told at once."""
    if len(models) < 2:
        raise EvaluateError("P-EVAL-045", count=len(models))
    (first, one), *others = models.items()
    raise_all([problem for name, other in others for problem in unlike(first, one, name, other)])


def unlike(first: str, one: Model, name: str, other: Model) -> list[PenjingError]:
    """Why the second model cannot answer with the first one."""
    if one.task.name != other.task.name:
        return [EvaluateError("P-EVAL-040", name=name, task=other.task.name, first=first, wanted=one.task.name)]
    for field in NAMED:
        own, wanted = getattr(other.task, field, None), getattr(one.task, field, None)
        if own != wanted:
            return [EvaluateError("P-EVAL-041", name=name, what=field, own=told(own), first=first, wanted=told(wanted))]
    if None not in (one.pairs, other.pairs) and one.pairs != other.pairs:
        kinds = {True: "two texts", False: "one text"}
        return [EvaluateError("P-EVAL-041", name=name, what="text_b", own=kinds[bool(other.pairs)], first=first,
                              wanted=kinds[bool(one.pairs)])]  # fmt: skip
    return []


def told(value: Any) -> str:
    """A list by its first names."""
    if not isinstance(value, list | tuple):
        return str(value)
    return ", ".join(map(str, value[:10])) + (f" … ({len(value)})" if len(value) > 10 else "")
