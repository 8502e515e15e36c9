"""The protocol of a method: from the rewards of groups to advantages, from advantages and log-probabilities to a loss.

P prompts, G answers of each, N tokens of answers in a batch
"""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import PenjingError


class Taken(NamedTuple):
    """Tokens that were taken, flat over the answers of a batch: N each."""

    logs: Tensor  # log-probabilities of the network as it is, with gradients
    old: Tensor  # of the network that took them
    reference: Tensor | None  # of the network as it came in
    advantages: Tensor  # of the answer that each token is in
    lengths: Tensor  # tokens of that answer


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Method:
    """Base of all methods: a frozen dataclass of options."""

    kl: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="what drifting from the model as it came in costs")
    ]

    name: ClassVar[str]
    updates: ClassVar[int]  # steps of the optimizer on the same answers

    def problems(self) -> list[PenjingError]:
        """What is wrong with the options together."""
        return []

    def advantages(self, rewards: np.ndarray, drift: np.ndarray) -> np.ndarray:
        """P G: how much better each answer is; `drift` P G: log-probability now over that of the model as it came in."""
        raise AssertionError(f"method {self.name} says nothing here")

    def losses(self, taken: Taken, most: int) -> Tensor:
        """N, what each token adds to the loss of its answer; `most`: tokens that an answer may have."""
        raise AssertionError(f"method {self.name} says nothing here")


def estimate(logs: Tensor, reference: Tensor) -> Tensor:
    """KL of each token from the reference, never negative (Schulman 2020, the third estimator): N."""
    ahead = reference - logs
    return ahead.exp() - ahead - 1
