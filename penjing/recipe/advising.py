"""`penjing.advise`: look at data, machine and wish, answer the field's questions, and write the recipe that follows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from penjing.base.options import check_options
from penjing.recipe.advice import Advice
from penjing.recipe.advice_facts import Facts, changes_here, checkpoint_at, learning_curve, measured_machine
from penjing.recipe.advice_text import Text
from penjing.recipe.draft import answers, describe, write_recipe
from penjing.recipe.looking import look_at


@dataclass(frozen=True)
class Advised:
    """The answers to the questions that arise, by topic, and the facts behind them."""

    facts: Facts
    answers: Mapping[str, Advice]

    def seen(self) -> list[Text]:
        """The data and the machine in words."""
        machine = self.facts.machine
        rate = f", {machine.rate:.0f} GFLOP/s" if machine.rate else ""
        gpu = Text(f", {machine.gpu} (training uses the processor)", f"，{machine.gpu}（训练使用处理器）")
        none = Text(", no GPU", "，无 GPU")
        card = gpu if machine.gpu else none
        return [*describe(self.facts.data),
                Text(f"machine: {machine.cores} cores, {machine.memory:.0f} GB{rate}{card.en}",
                     f"机器：{machine.cores} 核，{machine.memory:.0f} GB{rate}{card.zh}")]  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """All of it as JSON can hold it, in the user's language."""
        from penjing.recipe.advice_training import TOPICS

        facts = dataclasses.asdict(self.facts)
        facts["data"] = {k: v for k, v in facts["data"].items() if k not in ("lengths", "sample")} | {
            "tokens": {"middle": self.facts.data.tokens(0.5), "95 %": self.facts.data.tokens(0.95)},
            "longer": {str(n): round(self.facts.data.longer(n), 4) for n in (128, 256, 512)},
            "lost": {str(n): round(self.facts.data.lost(n), 4) for n in (128, 256, 512)},
            "path": str(self.facts.data.path),
        }  # fmt: skip
        facts["given"] = facts["given"] and facts["given"] | {"folder": str(self.facts.given.folder)}  # type: ignore
        questions = {topic.name: topic.question.said() for topic in TOPICS}
        return {"facts": facts, "advice": [
            {"topic": topic, "question": questions[topic], "rule": one.rule, "text": one.text.said(),
             "because": [fact.said() for fact in one.because], "evidence": one.evidence.text.said(),
             "sets": dict(one.sets)}
            for topic, one in self.answers.items()
        ]}  # fmt: skip

    def write(self, folder: str | Path | None = None) -> Path:
        """Write the recipe that follows; `penjing run` takes it as it is. Never over one that is there."""
        return write_recipe(self.facts, self.answers, folder)


def wishes(
    *,
    minutes: Annotated[float | None, Field(gt=0, description="minutes that training may take")] = None,
    model: Annotated[Path | None, Field(description="a pre-trained checkpoint at hand: folder or hub id")] = None,
    task: Annotated[str | None, Field(description="what the data is for; left out: as its fields say")] = None,
    measure: Annotated[bool, Field(description="measure the machine and a learning curve, some seconds")] = True,
) -> None:
    """The options of `advise`."""


def advise(data: str | Path, **wished: Any) -> Advised:
    """Advice for data: a file, a folder or a pattern. Options: minutes, model, task, measure."""
    said = check_options(wishes, wished, "advise")
    seen = look_at(data, said.get("task"))
    measure = said.get("measure", True)
    given = checkpoint_at(said["model"], seen) if said.get("model") else None
    machine = measured_machine() if measure else measured_machine(0.0)
    facts = Facts(seen, machine, said.get("minutes"), given, learning_curve(seen) if measure else None, changes_here())
    return Advised(facts, answers(facts))
