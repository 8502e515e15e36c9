"""Attention: each chosen layer of the student looks where a layer of the teacher looks.

mse   the scores before the softmax, head by head (TinyBERT, arXiv:1909.10351)
kl    the divergence of what is looked at (MiniLM, arXiv:2002.10957)
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import TaskError
from penjing.model.divergence import NEVER, relative
from penjing.tasks.distilling import way
from penjing.tasks.distilling.watching import UNSEEN
from penjing.tasks.distilling.way import Layers, attention_problems, layer_problems, pairs_of, sides_problems


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Way(way.Way):
    """Options of attention."""

    layers: Layers = "spread"
    measure: Annotated[
        Literal["mse", "kl"], Field(description="of scores before the softmax, or of what is looked at")
    ] = "mse"

    name: ClassVar[str] = "attention"
    wanted: ClassVar[str] = "scores"

    def problems(self, student, teacher):
        found = attention_problems(self.name, student, teacher) or sides_problems(student, teacher)
        if not found and student.config.heads != teacher.config.heads:
            found = [TaskError("P-TASK-145", given=student.config.heads, wanted=teacher.config.heads)]
        return found or layer_problems(self.layers, student, teacher)

    def loss(self, own, theirs, networks, module):
        total, count = 0.0, 0
        for side, seen in own.items():
            pairs = pairs_of(self.layers, len(seen.scores), len(theirs[side].scores), embeddings=False)
            for student, teacher in pairs:
                mine, wanted = seen.scores[student - 1], theirs[side].scores[teacher - 1]
                total = total + self.apart(mine, wanted, seen.real)
                count += 1
        return total / count

    def apart(self, mine: Tensor, wanted: Tensor, real: Tensor) -> Tensor:
        """Of scores B H T T, of the rows of real tokens B T."""
        mine, wanted = (scores.transpose(1, 2)[real] for scores in (mine, wanted))  # N H T
        if self.measure == "kl":
            one, other = (scores.clamp(min=NEVER).log_softmax(-1) for scores in (wanted, mine))
            return relative(one, other).mean()
        there = (mine > UNSEEN) & (wanted > UNSEEN)
        return (mine[there] - wanted[there]).square().mean()
