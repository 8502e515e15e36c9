"""Regular expression: 1 where it is found in the answer, or is the whole of it."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import OptionError
from penjing.train.rewards import reward


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Reward(reward.Reward):
    """Options of the regular expression."""

    pattern: Annotated[str, Field(min_length=1, description="what is looked for, as Python's `re` reads it")]
    whole: Annotated[bool, Field(description="whether the whole answer must be it")] = False

    name: ClassVar[str] = "regex"

    def prepare(self):
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise OptionError("P-TRAIN-036", reward=self.name, given=self.pattern, reason=str(error)) from error

    def of(self, answers, records):
        found = re.compile(self.pattern)
        look = found.fullmatch if self.whole else found.search
        return [float(look(answer.strip()) is not None) for answer in answers]
