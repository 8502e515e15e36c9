"""GRPO: an answer is as good as it is better than the mean of its group (Shao et al. 2024, arXiv:2402.03300).

Without `deviation` and `lengths` it is Dr. GRPO (Liu et al. 2025, arXiv:2503.20783).
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import TrainError
from penjing.train.methods import method

CLIP = 0.2
LEAST = 1e-4  # beside the deviation, so that one that is nearly nothing makes no giants


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Method(method.Method):
    """Options of GRPO."""

    kl: Annotated[
        float, Field(ge=0, allow_inf_nan=False, description="weight of the drift from the model as it came in, in the loss")
    ] = 0.04  # fmt: skip
    deviation: Annotated[bool, Field(description="divide advantages by the deviation of the group")] = True
    lengths: Annotated[
        bool, Field(description="mean over an answer's tokens; off: their sum over max_new_tokens")
    ] = True  # fmt: skip
    updates: Annotated[int, Field(ge=1, description="steps of the optimizer on the same answers")] = 1  # type: ignore[misc]
    clip: Annotated[
        float, Field(gt=0, lt=1, description="with several updates: how far the probability of a token may move")
    ] = CLIP  # fmt: skip

    name: ClassVar[str] = "grpo"

    def problems(self):
        idle = self.clip != CLIP and self.updates == 1
        return [TrainError("P-TRAIN-007", option="clip", needs="several updates")] if idle else []

    def advantages(self, rewards, drift):
        apart = rewards - rewards.mean(1, keepdims=True)
        apart[np.ptp(rewards, axis=1) == 0] = 0.0  # what rounding left
        return apart / (rewards.std(1, keepdims=True) + LEAST) if self.deviation else apart

    def losses(self, taken, most):
        ratio = (taken.logs - taken.old).exp()
        gain = (ratio * taken.advantages).minimum(ratio.clamp(1 - self.clip, 1 + self.clip) * taken.advantages)
        if taken.reference is not None:
            gain = gain - self.kl * method.estimate(taken.logs, taken.reference)
        return -gain / (taken.lengths if self.lengths else most)
