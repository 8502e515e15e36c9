"""Train the top of a network and leave the rest as it is: its last blocks and what comes after them, or what one names.

Rates that fall from block to block, and blocks that join one after another: arXiv:1801.06146, sections 3.2 and 3.3.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from penjing.base.errors import OptionError
from penjing.changes import change
from penjing.changes.edits import is_edits
from penjing.changes.paths import parameters_matching

LAYER = re.compile(r"(encoder|decoder)\.blocks\.(\d+)\.")
ABOVE = re.compile(r"(encoder|decoder)\.final_norm\.|output\.")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of freezing."""

    top: Annotated[
        int, Field(ge=0, description="the blocks that are trained, of encoder and decoder each, from the top")
    ] = 1
    where: Annotated[str | None, Field(description="paths of what is trained besides")] = None
    falling: Annotated[
        float, Field(gt=0, le=1, description="factor on the learning rate from each block to the one below it")
    ] = 1.0

    gradual: Annotated[
        float,
        Field(
            ge=0, lt=1, description="share of the steps after which all is trained: the top block first, then the next"
        ),
    ] = 0.0

    name: ClassVar[str] = "freeze"

    def trains(self, network: nn.Module) -> set[str]:
        count = blocks(network)
        if self.top > (most := max(map(len, count.values()))):
            raise OptionError("P-CHANGE-010", field="top", given=self.top, most=most)
        found = set() if self.where is None else parameters_matching(network, self.where)
        found |= {name for name in names(network) if depth(name, count) < self.top}
        if self.gradual and len({self.turn(name, network) for name in found}) < 2:
            raise OptionError("P-CHANGE-095", field="gradual", given=self.gradual)
        return found

    def rate(self, name: str, network: nn.Module) -> float:
        return self.falling ** max(0, depth(name, blocks(network)))

    def turn(self, name: str, network: nn.Module) -> float:
        """All turns lie evenly within the share; what is named besides has the last one."""
        last = self.top if self.where is not None else self.top - 1
        return self.gradual * min(1.0, max(0, depth(name, blocks(network))) / max(1, last))


def names(network: nn.Module) -> Iterator[str]:
    """The network's own parameters."""
    return (name for name, _ in network.named_parameters() if not is_edits(name))


def blocks(network: Any) -> dict[str, list[int]]:
    """The numbers of the blocks that each side has."""
    sides = {"encoder": network.encoder, "decoder": network.decoder}
    return {
        side: [int(number) for number in stack.blocks._modules] for side, stack in sides.items() if stack is not None
    }


def depth(name: str, there: dict[str, list[int]]) -> int:
    """Blocks above a parameter: 0 in the last one, -1 after it, their number below all (embeddings)."""
    if found := LAYER.match(name):
        return len(there[found[1]]) - 1 - there[found[1]].index(int(found[2]))
    return -1 if ABOVE.match(name) else max(map(len, there.values()))
