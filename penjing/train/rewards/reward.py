"""The protocol of a reward: answers and their records in, a number for each out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import DataError, PenjingError
from penjing.tasks.task import place_of

Record = Mapping[str, Any]
Weight = Annotated[float, Field(allow_inf_nan=False, description="what it counts in the sum of all rewards")]


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Reward:
    """Base of all rewards: a frozen dataclass of options."""

    weight: Weight = 1.0

    name: ClassVar[str]

    def prepare(self) -> None:
        """Raise what is wrong with the options; what is costly to make is made when first asked for."""

    def fields(self) -> Sequence[str]:
        """Fields that each record needs."""
        return ()

    def check(self, records: Sequence[Record]) -> list[PenjingError]:
        """What the records lack; one error for each field."""
        found: list[PenjingError] = []
        for name in self.fields():
            absent = [number for number, record in enumerate(records) if record.get(name) is None]
            if absent:
                place = place_of(records[absent[0]], absent[0])
                found.append(DataError("P-TRAIN-031", reward=self.name, field=name, count=len(absent), **place))
        return found

    def of(self, answers: Sequence[str], records: Sequence[Record]) -> Iterable[float]:
        """What each answer is worth."""
        raise AssertionError(f"reward {self.name} says nothing here")
