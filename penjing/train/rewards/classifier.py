"""A classifier: the probability of a label that a model of the task `classify` gives to the answer."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import TaskError, known
from penjing.train.rewards import reward

if TYPE_CHECKING:
    from penjing.tasks.model import Model


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Reward(reward.Reward):
    """Options of the classifier."""

    file: Annotated[Path, Field(description="a finetune step or model folder that gives labels")]
    label: Annotated[str, Field(description="the label whose probability is the reward")]

    name: ClassVar[str] = "classifier"

    @cached_property
    def judge(self) -> Model:
        """The model, loaded once."""
        from penjing.tasks.model import Model

        inside = self.file / "model"
        model = Model.load(inside if inside.exists() else self.file)
        if not hasattr(model.task, "probabilities"):
            raise TaskError("P-TASK-006", task=model.task.name)
        return model

    def prepare(self):
        known(self.label, self.judge.task.labels, "label")  # type: ignore[attr-defined]

    def of(self, answers, records):
        column = list(self.judge.task.labels).index(self.label)  # type: ignore[attr-defined]
        return self.judge.probabilities([{"text": answer} for answer in answers])[:, column].tolist()
