"""Neurons of MLPs that go: their rows of the first products, and their columns of the last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from penjing.changes.cuts import Slice, Units, same_everywhere
from penjing.changes.heads import parts
from penjing.model.layers import MLP


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(Units):
    """Options of pruning neurons."""

    where: Annotated[str, Field(description="paths of MLPs")] = "mlp"

    name: ClassVar[str] = "neurons"
    kind: ClassVar[type[nn.Module]] = MLP
    last: ClassVar[str] = "down"

    def count(self, module: Any) -> int:
        return module.down.in_features

    def slices(self, module: Any, kept: Sequence[int]) -> Iterator[Slice]:
        for name, product in module.named_children():
            if name == self.last:
                yield Slice("down.weight", 1, list(kept))
            else:
                yield from (Slice(f"{name}.{part}", 0, list(kept)) for part in parts(product))

    def plain(self, network: Any) -> dict[str, Any] | None:
        width = same_everywhere(one.down.in_features for one in network.modules() if isinstance(one, MLP))
        return None if width is None else {"mlp_width": width}
