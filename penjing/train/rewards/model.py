"""A reward model: the score that a model of the task `reward` gives to the answer after its prompt."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import TaskError
from penjing.train.rewards import reward

if TYPE_CHECKING:
    from penjing.tasks.model import Model


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Reward(reward.Reward):
    """Options of a reward model."""

    file: Annotated[
        Path, Field(description="a finetune step or model folder of the task reward, or another's with one score")
    ]
    centre: Annotated[float, Field(allow_inf_nan=False, description="what is taken from each score")] = 0.0
    scale: Annotated[float, Field(gt=0, allow_inf_nan=False, description="by what the rest is divided")] = 1.0

    name: ClassVar[str] = "model"

    @cached_property
    def judge(self) -> Model:
        """The model, loaded once; what others trained is taken for a regression, and asked as a reward model."""
        from penjing.tasks import task_named
        from penjing.tasks.model import Model

        inside = self.file / "model"
        model = Model.load(inside if inside.exists() else self.file)
        if model.task.name == "regress":
            model = model.with_task(task_named("reward"), 0, pairs=None, window=model.window).eval()
        if model.task.name != "reward":
            raise TaskError("P-TRAIN-057", file=self.file, task=model.task.name)
        return model

    def prepare(self):
        assert self.judge

    def of(self, answers, records):
        asked = [self.asked(answer, record) for answer, record in zip(answers, records, strict=True)]
        return [(found["scores"]["completion"] - self.centre) / self.scale for found in self.judge.answer(asked)]

    def asked(self, answer: str, record: Mapping[str, Any]) -> dict[str, Any]:
        """The prompt of a record with an answer."""
        prompt = record.get("messages", record.get("prompt"))
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else list(prompt or ())
        messages = messages[:-1] if messages and messages[-1].get("role") == "assistant" else messages
        tools = {"tools": record["tools"]} if record.get("tools") else {}
        return {"messages": [*messages, {"role": "assistant", "content": answer}], **tools}
