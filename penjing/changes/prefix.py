"""Prefix tuning (arXiv:2101.00190): learnt keys and values before the text, in every layer.

They take the first positions, and are not turned. An encoder-decoder has them where it writes, as PEFT does. With
`inner` they are what a small network makes of learnt vectors: easier to train, and dropped when training is over.

Shapes: P places, L layers, K key heads, D head width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import ModelError
from penjing.changes import change, peft_ahead
from penjing.changes.ahead import Ahead, Inner, Reached, stack_of
from penjing.changes.edits import Edit
from penjing.model.layers import Pair

if TYPE_CHECKING:
    from penjing.base.errors import PenjingError
    from penjing.changes.peft import Layout

SPREAD = 0.02  # of the values at the start


class Prefix(Ahead):
    """Keys and values themselves: `table`, P rows of layers of keys, then values, of heads."""

    def __init__(self, length: int, layers: int, heads: int, inner: int):
        super().__init__(length)
        self.sizes = layers, 2, heads, inner
        self.table = nn.Parameter(torch.zeros(length, 2 * layers * heads * inner))

    def rows(self) -> Tensor:
        """All of them, P (L 2 K D)."""
        return self.table

    def pairs(self, host: Any, inner: Inner, reach: Reached) -> Sequence[Pair]:
        layers = self.rows().view(self.length, *self.sizes).permute(1, 2, 3, 0, 4)  # L 2 K P D
        return [(layer[0][None], layer[1][None]) for layer in layers]

    def begin(self, generator: torch.Generator) -> None:
        """Near nothing: each token then looks a little at places that say nothing."""
        for parameter in self.parameters():
            parameter.copy_(torch.empty(parameter.shape).normal_(0, SPREAD, generator=generator))


class MadePrefix(Prefix):
    """What two products make of learnt vectors."""

    def __init__(self, length: int, layers: int, heads: int, inner: int, width: int):
        super().__init__(length, layers, heads, inner)
        every = self.table.shape[1]
        self.table = nn.Parameter(torch.zeros(length, heads * inner))
        self.down, self.up = nn.Linear(heads * inner, width), nn.Linear(width, every)

    def rows(self) -> Tensor:
        return self.up(self.down(self.table).tanh())

    def begin(self, generator: torch.Generator) -> None:
        """Vectors apart from each other, and products that keep sizes."""
        self.table.copy_(torch.empty(self.table.shape).normal_(generator=generator))
        for product, bias in ((self.down, self.down.bias), (self.up, self.up.bias)):
            most = product.in_features**-0.5
            product.weight.copy_(torch.empty(product.weight.shape).uniform_(-most, most, generator=generator))
            bias.zero_()


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(peft_ahead.Before):
    """Options of prefix tuning."""

    length: Annotated[int, Field(ge=1, description="learnt places before the text")] = 16
    inner: Annotated[
        int | None, Field(ge=1, description="width of a network that makes them while they are trained")
    ] = None

    name: ClassVar[str] = "prefix"
    silent: ClassVar[bool] = False
    peft: ClassVar[str | None] = "PREFIX_TUNING"
    peft_keys: ClassVar[tuple[str, ...]] = (*peft_ahead.ABOUT, "prefix_projection", "init_weights")

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        path, stack = stack_of(network, self.name, self.length, reading=False)
        keys = {block.attention.key_heads for block in stack.blocks}
        if len(keys) > 1:
            raise ModelError("P-CHANGE-076", change=self.name)
        sizes = self.length, len(stack.blocks), keys.pop(), stack.config.inner
        return {path: Prefix(*sizes) if self.inner is None else MadePrefix(*sizes, self.inner)}

    def fit(
        self, network: nn.Module, edits: Mapping[str, Edit], generator: torch.Generator, batches: change.Batches = None
    ) -> None:
        for edit in edits.values():
            edit.begin(generator)  # type: ignore[operator]

    def finished(self, edits: Mapping[str, Edit]) -> tuple[change.Change, Mapping[str, Edit]]:
        if self.inner is None:
            return self, edits
        found: dict[str, Edit] = {}
        for path, made in edits.items():
            layers, _, heads, inner = made.sizes  # type: ignore[misc]
            found[path] = plain = Prefix(self.length, layers, heads, inner)
            plain.table.copy_(made.rows())
        return replace(self, inner=None), found

    def unsaid(self, layout: Layout) -> list[PenjingError]:
        return peft_ahead.prefix_unsaid(layout)

    def to_peft(self, edits: Mapping[str, Edit], layout: Layout) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return peft_ahead.prefix_to_peft(self, edits, layout)

    @classmethod
    def from_peft(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], layout: Layout, wrong: list[str]
    ) -> peft_ahead.Found:
        return peft_ahead.prefix_from_peft(cls, config, tensors, layout, wrong)
