"""Relations: how alike tokens are to one another, by queries, keys and values, in one layer of each (MiniLMv2,
arXiv:2012.15828).

All heads are joined and cut anew into as many relation heads on both sides, so that neither widths nor heads need be equal:
the softmax of the products of each part with itself is T by T whatever the width.
Shapes: B texts, T tokens, R relation heads, D width of one, N real tokens.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import TaskError
from penjing.model.divergence import NEVER, relative
from penjing.tasks.distilling import way
from penjing.tasks.distilling.watching import PARTS, Seen, stacks_of
from penjing.tasks.distilling.way import attention_problems, sides_problems


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Way(way.Way):
    """Options of relations."""

    layer: Annotated[
        int | None,
        Field(ge=1, description="the teacher's block, from 1; left out: its last. The student's is its last"),
    ] = None
    heads: Annotated[
        int | None, Field(ge=1, description="relation heads; left out: the most that fit, up to the teacher's heads")
    ] = None
    of: Annotated[
        list[Literal["query", "key", "value"]],
        Field(min_length=1, description="whose products; [value] beside attention is MiniLM, all three MiniLMv2"),
    ] = Field(default_factory=lambda: list(PARTS))

    name: ClassVar[str] = "relations"
    wanted: ClassVar[str] = "parts"

    def problems(self, student, teacher):
        found = attention_problems(self.name, student, teacher) or sides_problems(student, teacher)
        if found:
            return found
        blocks = min(len(stack.blocks) for stack in stacks_of(teacher).values())
        if self.layer is not None and self.layer > blocks:
            return [TaskError("P-TASK-144", given=[self.layer], count=1, most=blocks)]
        widths = [width for network in (student, teacher) for width in self.widths(network.config)]
        if self.heads is not None and any(width % self.heads for width in widths):
            return [TaskError("P-TASK-146", given=self.heads, widths=sorted(set(widths)), most=math.gcd(*widths))]
        return []

    def widths(self, config: Any) -> list[int]:
        """Of the parts that are looked at."""
        return [(config.heads if name == "query" else config.keys) * config.inner for name in self.of]

    def count(self, student: Any, teacher: Any) -> int:
        """Relation heads."""
        if self.heads is not None:
            return self.heads
        common = math.gcd(*self.widths(student), *self.widths(teacher))
        return max(number for number in range(1, min(common, teacher.heads) + 1) if common % number == 0)

    def loss(self, own, theirs, networks, module):
        heads = self.count(*(network.config for network in networks))
        found = []
        for side, seen in own.items():
            other = theirs[side]
            layer = len(other.parts) if self.layer is None else self.layer
            for name in self.of:
                wanted = relations(other.parts[layer - 1][name], seen, heads)
                found.append(relative(wanted, relations(seen.parts[-1][name], seen, heads)).mean())
        return torch.stack(found).mean()


def relations(part: Tensor, seen: Seen, heads: int) -> Tensor:
    """Log-probabilities N R T: how alike each real token is to those that it may see."""
    split = part.float().unflatten(-1, (heads, -1)).transpose(1, 2)  # B R T D
    scores = split @ split.transpose(-1, -2) * split.shape[-1] ** -0.5
    visible = seen.real[:, None, None, :]
    if seen.causal:
        visible = visible & torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    return scores.masked_fill(~visible, NEVER).log_softmax(-1).transpose(1, 2)[seen.real]
