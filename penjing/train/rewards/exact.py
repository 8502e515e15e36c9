"""Exact match: 1 where the answer is the record's own, or one of them; spaces at both ends do not count."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.train.rewards import reward


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Reward(reward.Reward):
    """Options of exact match."""

    field: Annotated[str, Field(description="where a record has its answer, or a list of good ones")] = "answer"
    lower: Annotated[bool, Field(description="whether upper and lower case are the same")] = False

    name: ClassVar[str] = "exact"

    def fields(self):
        return (self.field,)

    def of(self, answers, records):
        return [
            float(self.plain(answer) in self.wanted(record)) for answer, record in zip(answers, records, strict=True)
        ]

    def wanted(self, record: Any) -> list[str]:
        """The good answers of a record."""
        value = record[self.field]
        return [self.plain(one) for one in (value if isinstance(value, list | tuple) else [value])]

    def plain(self, value: Any) -> str:
        """An answer as it is compared."""
        text = str(value).strip()
        return text.casefold() if self.lower else text
