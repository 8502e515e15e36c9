"""REINFORCE leave-one-out: an answer is measured by the mean of the others (Ahmadian et al. 2024, arXiv:2402.14740)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.train.methods import method


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Method(method.Method):
    """Options of REINFORCE leave-one-out."""

    kl: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="drift from the model as it came in, taken from the rewards")
    ] = 0.05  # fmt: skip

    name: ClassVar[str] = "rloo"
    updates: ClassVar[int] = 1

    def advantages(self, rewards, drift):
        worth = rewards - self.kl * drift
        others = (worth.sum(1, keepdims=True) - worth) / (worth.shape[1] - 1)
        apart = worth - others
        apart[np.ptp(worth, axis=1) == 0] = 0.0  # what rounding left
        return apart

    def losses(self, taken, most):
        return -taken.advantages * taken.logs
