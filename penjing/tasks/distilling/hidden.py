"""Hidden states: each chosen layer of the student says what a layer of the teacher says.

cosine   the direction of the states (DistilBERT, arXiv:1910.01108)
mse      the states themselves (TinyBERT, arXiv:1909.10351)

Where the widths differ, a matrix that is learnt and then thrown away widens the student's states.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from penjing.tasks.distilling import way
from penjing.tasks.distilling.way import Layers, layer_problems, pairs_of, sides_problems


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Way(way.Way):
    """Options of hidden states."""

    layers: Layers = "last"
    measure: Annotated[
        Literal["cosine", "mse"], Field(description="the direction of states, or the states themselves")
    ] = "cosine"

    name: ClassVar[str] = "hidden"
    wanted: ClassVar[str] = "states"

    def problems(self, student, teacher):
        return sides_problems(student, teacher) or layer_problems(self.layers, student, teacher)

    def module(self, student, teacher):
        """For each stack a matrix from the student's width to the teacher's; none where they are equal."""
        if student.width == teacher.width:
            return None
        sides = [side for side in ("encoder", "decoder") if getattr(student, f"{side}_layers")]
        return nn.ModuleDict({side: nn.Linear(student.width, teacher.width, bias=False) for side in sides})

    def loss(self, own, theirs, networks, module):
        total, count = 0.0, 0
        for side, seen in own.items():
            real, wider = seen.real, nn.Identity() if module is None else module[side]
            pairs = pairs_of(self.layers, len(seen.states) - 1, len(theirs[side].states) - 1, embeddings=True)
            for student, teacher in pairs:
                mine, wanted = wider(seen.states[student][real]).float(), theirs[side].states[teacher][real].float()
                if self.measure == "mse":
                    total = total + F.mse_loss(mine, wanted)
                else:
                    total = total + 1 - F.cosine_similarity(mine, wanted, dim=-1).mean()
                count += 1
        return total / count
