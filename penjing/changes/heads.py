"""Heads of attention that go: the attention then has fewer, and a decoder's cache is smaller.

Queries that share one head of keys stay together: such a group goes as a whole. Positions that have a bias for each head
(T5, ALiBi) go on with those of the heads that are left.

Shapes: D head width, G heads that share one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import nn

from penjing.changes.cuts import Slice, Units, same_everywhere
from penjing.model.layers import Attention


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(Units):
    """Options of pruning heads."""

    where: Annotated[str, Field(description="paths of attentions")] = "attention|cross"

    name: ClassVar[str] = "heads"
    kind: ClassVar[type[nn.Module]] = Attention
    last: ClassVar[str] = "output"

    def count(self, module: Any) -> int:
        return module.key_heads

    def slices(self, module: Any, kept: Sequence[int]) -> Iterator[Slice]:
        group = module.heads // module.key_heads
        single = places(kept, module.inner)
        several = places(kept, module.inner * group)
        for name, rows in (("query", several), ("key", single), ("value", single)):
            yield from (Slice(f"{name}.{part}", 0, rows) for part in parts(getattr(module, name)))
        yield Slice("output.weight", 1, several)

    def resize(self, module: Any, kept: Sequence[int]) -> dict[str, Any]:
        before = {name: getattr(module, name) for name in ("heads", "key_heads", "kept")}
        group, own = module.heads // module.key_heads, module.kept or range(module.heads)
        module.heads, module.key_heads = len(kept) * group, len(kept)
        module.kept = tuple(own[head] for head in places(kept, group))
        return before

    def plain(self, network: Any) -> dict[str, Any] | None:
        attentions = [one for one in network.modules() if isinstance(one, Attention)]
        heads = same_everywhere(one.heads for one in attentions)
        biased = network.config.position in ("relative", "alibi")
        if heads is None or biased:
            return None
        return {"heads": heads, "key_heads": attentions[0].key_heads, "head_width": attentions[0].inner}


def places(units: Sequence[int], size: int) -> list[int]:
    """The rows of units of a size."""
    return [unit * size + row for unit in units for row in range(size)]


def parts(product: nn.Module) -> list[str]:
    """Its parameters that have a row for each output."""
    return [name for name, _ in product.named_parameters(recurse=False)]
