"""What stands before a text without being text: learnt keys and values, or learnt embeddings; the rest never sees them.

A decoder's tokens see only what is behind them, so embeddings before its text say the same for every text: they run
through the blocks once, alone, and leave keys and values; a generation keeps these as long as its cache. An encoder's
tokens see each other, so there the embeddings stand in each row, between padding at the left and its first token.

Shapes: B texts, T tokens, W width of the embeddings, P places before the text, L layers, K key heads, D head width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from penjing.base.errors import ModelError
from penjing.changes.edits import Edit
from penjing.model.batch import too_long
from penjing.model.cache import Cache, Memory, Reach
from penjing.model.layers import Pair, behind
from penjing.model.mask import pick
from penjing.model.transformer import Stack

Inner = Callable[..., Tensor]
Reached = dict[bool, Reach] | None


def stack_of(network: Any, name: str, length: int, *, reading: bool) -> tuple[str, Stack]:
    """Path and stack that learnt places stand before: of two, the one that reads the source, or that which writes."""
    path = "encoder" if network.decoder is None or (reading and network.encoder is not None) else "decoder"
    stack = network.get_submodule(path)
    if not isinstance(stack, Stack):
        raise ModelError("P-CHANGE-041", change=name)
    if length >= network.max_tokens:
        raise ModelError("P-CHANGE-042", field="length", given=length, most=network.max_tokens - 1)
    return path, stack


class Ahead(Edit):
    """Keys and values before the text of a stack."""

    verbs = ("forward", "ahead")

    def __init__(self, length: int):
        super().__init__()
        self.length = length

    def pairs(self, host: Any, inner: Inner, reach: Reached) -> Sequence[Pair]:
        """Keys and values of each layer, 1 K P D."""
        raise AssertionError(f"{type(self).__name__} says nothing here")

    def ahead(self, host: Any, inner: Callable[[], int]) -> int:
        return inner() + self.length

    def forward(  # type: ignore[override]
        self, host: Any, inner: Inner, x: Tensor, *rest: Any, reach: Reached = None,
        before: Sequence[Pair] | None = None, **named: Any,
    ) -> Tensor:  # fmt: skip
        own = self.pairs(host, inner, reach)
        both = own if before is None else [behind(*pairs) for pairs in zip(own, before, strict=True)]
        return inner(x, *rest, reach=reach, before=both, **named)


class Vectors(nn.Module):
    """Learnt embeddings, P W."""

    def __init__(self, length: int, width: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(length, width))

    def forward(self) -> Tensor:
        return self.table


class BeforeDecoder(Ahead):
    """Embeddings before a decoder's text."""

    def __init__(self, length: int, vectors: nn.Module):
        super().__init__(length)
        self.vectors = vectors
        self.known: WeakKeyDictionary[Cache, Sequence[Pair]] = WeakKeyDictionary()

    def pairs(self, host: Any, inner: Inner, reach: Reached) -> Sequence[Pair]:
        cache = None if reach is None or torch.is_grad_enabled() else next(iter(reach.values())).cache
        if cache is not None and cache in self.known:
            return self.known[cache]
        x = self.vectors()[None]
        memory = Memory(Cache(host.config, 1, self.length, x, step=self.length, layers=host.layers()))
        inner(x, reach=memory.reach(self.length))
        found = list(zip(memory.cache.keys, memory.cache.values, strict=True))
        if cache is not None:
            self.known[cache] = found
        return found


class BeforeEncoder(Edit):
    """Embeddings before an encoder's text. With `first`, the state of its first token is that of the first of them."""

    verbs = ("forward", "sources", "ahead")

    def __init__(self, length: int, vectors: nn.Module, first: bool):
        super().__init__()
        self.length, self.vectors, self.first = length, vectors, first

    def ahead(self, host: Any, inner: Callable[[], int]) -> int:
        return inner() + self.length

    def forward(  # type: ignore[override]
        self, host: Any, inner: Inner, x: Tensor, padding: Tensor | None = None, segments: Tensor | None = None,
        places: Tensor | None = None, **named: Any,
    ) -> Tensor:  # fmt: skip
        back = self.back(x, padding)
        whole = self.whole(host, x, padding, segments)
        if places is not None:
            return inner(*whole, back.expand(len(x), -1).gather(1, places), **named)
        return pick(inner(*whole, **named), back.expand(len(x), -1))

    def sources(
        self, host: Any, inner: Callable[..., tuple[Tensor, Tensor | None]], x: Tensor, padding: Tensor | None,
        segments: Tensor | None,
    ) -> tuple[Tensor, Tensor | None]:  # fmt: skip
        return inner(*self.whole(host, x, padding, segments))

    def back(self, x: Tensor, padding: Tensor | None) -> Tensor:
        """Where the slots of the text stand then, 1|B T."""
        slots, first = self.slots(x, padding)
        moved = torch.where(slots < first, slots, slots + self.length)
        return torch.where(slots == first, first, moved) if self.first else moved

    def slots(self, x: Tensor, padding: Tensor | None, more: int = 0) -> tuple[Tensor, Tensor]:
        """Numbers of the slots, 1 T, and of each row's first token, 1|B 1."""
        slots = torch.arange(x.shape[1] + more, device=x.device)[None]
        return slots, torch.zeros_like(slots[:, :1]) if padding is None else padding.long().argmax(1, keepdim=True)

    def whole(
        self, host: Any, x: Tensor, padding: Tensor | None, segments: Tensor | None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Embeddings, padding and segments with its own among them."""
        most, rows = host.position.most, len(x)
        if most is not None and x.shape[1] + self.length > most:
            raise too_long(x.shape[1], most - self.length)
        slots, first = self.slots(x, padding, self.length)
        own = torch.where(slots < first + self.length, slots - first, slots)
        order = torch.where(slots < first, slots + self.length, own).expand(rows, -1)  # in what is put together below
        x = pick(torch.cat([self.vectors().expand(rows, -1, -1), x], 1), order)
        if padding is not None:
            padding = torch.cat([padding.new_ones(rows, self.length), padding], 1).gather(1, order)
        if segments is not None:
            segments = torch.cat([segments.new_zeros(rows, self.length), segments.expand(rows, -1)], 1)
            segments = segments.gather(1, order)
        return x, padding, segments
