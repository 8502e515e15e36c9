"""Whole blocks that go: neighbouring ones between which the states hardly turn (arXiv:2403.17887), or those one names.

The blocks that are left keep their numbers. An LSTM's layers go as blocks do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import pi
from typing import Annotated, Any, ClassVar, Self

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import ModelError, OptionError, PenjingError
from penjing.changes import change
from penjing.changes.calibration import real
from penjing.changes.cuts import Cut, stacks, told
from penjing.changes.paths import near, pattern_of


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(Cut):
    """Options of pruning blocks."""

    number: Annotated[int, Field(ge=1, description="how many neighbouring blocks go, of encoder and decoder each")] = 1
    where: Annotated[str, Field(description="the sides that they go from")] = "encoder|decoder"
    gone: Annotated[
        tuple[str, ...] | None,
        Field(min_length=1, description="their paths, as decoder.blocks.3; left out: found by the data"),
    ] = None

    name: ClassVar[str] = "layers"

    def chosen(self, network: Any, batches: change.Batches, loss: change.Loss | None = None) -> Self:
        known = {
            f"{side}.blocks.{number}": side for side, stack in stacks(network).items() for number in numbers(stack)
        }
        if self.gone is not None:
            strange = [path for path in self.gone if path not in known]
            left = set(known.values()) - {known[path] for path in known if path not in self.gone}
            if strange or left or len(set(self.gone)) < len(self.gone):
                raise OptionError("P-CHANGE-073", field="gone", given=list(self.gone), known=near(self.gone[0], known))
            return self
        pattern = pattern_of(self.where)
        sides = {side: stack for side, stack in stacks(network).items() if pattern.fullmatch(side)}
        if not sides:
            raise OptionError("P-CHANGE-002", field="where", given=self.where, known=list(stacks(network)))
        if short := [side for side, stack in sides.items() if len(stack.blocks) <= self.number]:
            raise OptionError("P-CHANGE-010", field="number", given=self.number, most=len(sides[short[0]].blocks) - 1)
        found: list[str] = []
        for side, stack in sides.items():
            own = numbers(stack)
            turns = turned(network, side, stack, self.number, batches)
            first = int(turns.argmin())
            found += [f"{side}.blocks.{number}" for number in own[first : first + self.number]]
        return replace(self, gone=tuple(found))

    def touched(self, network: Any) -> list[str]:
        return list(self.gone or ())

    def sliced(self, network: Any) -> dict[str, Any]:
        return {path: network.get_submodule(path.rpartition(".")[0])._modules.pop(path.rpartition(".")[2])
                for path in self.gone or ()}  # fmt: skip

    def restore(self, network: Any, taken: Mapping[str, Any]) -> None:
        like = network.embedding.weight
        for path, block in taken.items():
            blocks = network.get_submodule(path.rpartition(".")[0])
            block.train(network.training)
            whole = block if any(one.is_meta for one in block.parameters()) else block.to(like.device, like.dtype)
            found = {**blocks._modules, path.rpartition(".")[2]: whole}
            blocks._modules = {number: found[number] for number in sorted(found, key=int)}

    def hindrances(self, network: Any, number: int) -> list[PenjingError]:
        bare = not getattr(network.config, "first_norm", True)  # the first block is unlike the others
        lost = bare and any(0 not in numbers(stack) for stack in stacks(network).values())
        return [ModelError("P-CHANGE-072", change=self.name)] if lost else []

    def fuse(self, network: Any, number: int) -> None:
        fields: dict[str, Any] = {f"{side}_layers": len(stack.blocks) for side, stack in stacks(network).items()}
        if getattr(network.config, "window_layers", ()):
            (stack,) = stacks(network).values()
            fields["window_layers"] = tuple(at for at, (_, near) in enumerate(stack.layers()) if near)
            fields["window"] = network.config.window if fields["window_layers"] else None
        for stack in stacks(network).values():
            stack.blocks = nn.ModuleList(stack.blocks.children())
        told(network, **fields)


def numbers(stack: Any) -> list[int]:
    """The numbers of the blocks that are there."""
    return [int(number) for number in stack.blocks._modules]


@torch.no_grad()
def turned(network: nn.Module, side: str, stack: Any, count: int, batches: change.Batches) -> Tensor:
    """The mean angle, in half turns, between the states before a block and those `count` blocks later; for each block
    that has so many."""
    blocks = list(stack.blocks)
    total, tokens, training = torch.zeros(len(blocks) - count + 1, dtype=torch.float64), 0, network.training
    states: dict[int, Tensor] = {}

    def before(at: int, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        states[at] = inputs[0]

    def after(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        states[len(blocks)] = output[0] if isinstance(output, tuple) else output

    handles = [block.register_forward_pre_hook(partial(before, at)) for at, block in enumerate(blocks)]
    handles.append(blocks[-1].register_forward_hook(after))
    try:
        network.eval()
        for batch in batches or ():
            given = replace(batch, places=None)
            network(given)
            rows = [real(states[at], f"{side}.blocks", given).double() for at in range(len(blocks) + 1)]
            tokens += len(rows[0])
            for at in range(len(total)):
                likeness = torch.cosine_similarity(rows[at], rows[at + count], dim=-1).clamp(-1, 1)
                total[at] += float(likeness.acos().sum()) / pi
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    if not tokens:
        raise OptionError("P-CHANGE-065", field="data", path=f"{side}.blocks", count=len(blocks))
    return total / tokens
