"""The protocol of a way to learn of a teacher's inside: a frozen dataclass of options, and a loss over two readings.

Shapes: B texts, T tokens, W width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import PenjingError, TaskError
from penjing.model.transformer import Network
from penjing.tasks.distilling.watching import Seen, stacks_of

Weight = Annotated[float, Field(gt=0, description="what it counts beside the task's own loss")]
Layers = Annotated[
    Literal["last", "spread"] | list[Annotated[int, Field(ge=1)]],
    Field(description="last; spread: each block learns from one as deep; or for each block the teacher's, from 1"),
]
Pairs = Sequence[tuple[int, int]]  # a student's layer and its teacher's; 0 is the embeddings
Networks = tuple[Network, Network]  # the student's and the teacher's


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Way:
    """Base of all ways."""

    weight: Weight = 1.0

    name: ClassVar[str]
    wanted: ClassVar[str]  # what is watched: states, parts or scores

    def problems(self, student: Network, teacher: Network) -> list[PenjingError]:
        """Why this student cannot learn so from this teacher."""
        return []

    def module(self, student: Any, teacher: Any) -> nn.Module | None:
        """What is learnt beside the student for their configs, and thrown away with the teacher."""
        return None

    def loss(self, own: Mapping[str, Seen], theirs: Mapping[str, Seen], networks: Networks, module: Any) -> Tensor:
        """How far the student is away, on the mean."""
        raise AssertionError(f"way {self.name} says nothing here")


def without_attention(network: Network) -> bool:
    """Whether a network has none, as the LSTM."""
    return any(not hasattr(block, "attention") for stack in stacks_of(network).values() for block in stack.blocks)


def attention_problems(name: str, student: Network, teacher: Network) -> list[PenjingError]:
    """Both must have attention."""
    return [TaskError("P-TASK-142", given=name, network=whose)
            for whose, network in (("student", student), ("teacher", teacher)) if without_attention(network)]  # fmt: skip


def sides_problems(student: Network, teacher: Network) -> list[PenjingError]:
    """Both must be of one build: encoder, decoder, or both."""
    own, theirs = ("-".join(stacks_of(network)) for network in (student, teacher))
    return [] if own == theirs else [TaskError("P-TASK-143", given=own, wanted=theirs)]


def layer_problems(layers: Any, student: Network, teacher: Network) -> list[PenjingError]:
    """A list of layers has one for each of the student's blocks, and names blocks that the teacher has."""
    if not isinstance(layers, list):
        return []
    found: list[PenjingError] = []
    for side, stack in stacks_of(student).items():
        most = len(stacks_of(teacher)[side].blocks) if side in stacks_of(teacher) else 0
        if len(layers) != len(stack.blocks) or max(layers) > most:
            found.append(TaskError("P-TASK-144", given=layers, count=len(stack.blocks), most=most))
    return found


def pairs_of(layers: Any, own: int, theirs: int, embeddings: bool) -> Pairs:
    """Which layer of `own` blocks learns from which of `theirs`; `embeddings`: spread begins with these."""
    if layers == "last":
        return [(own, theirs)]
    if layers == "spread":
        numbers = np.rint(np.linspace(0, theirs, own + 1)).astype(int).tolist()
        return list(enumerate(numbers))[0 if embeddings else 1 :]
    return list(enumerate(layers, 1))
