"""Keys and values of tokens already seen: allocated once, one entry per layer, cut and shared by index.

Shapes: B texts, K key heads, C capacity in tokens, D head width.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from penjing.base.errors import ModelError
from penjing.model.config import ModelConfig


class Cache:
    """Keys and values of one decoder."""

    def __init__(self, config: ModelConfig, rows: int, capacity: int, like: Tensor):
        shape = (config.decoder_layers, rows, config.keys, capacity, config.inner)
        self.keys = torch.empty(shape, dtype=like.dtype, device=like.device)
        self.values = torch.empty_like(self.keys)
        self.capacity = capacity

    def extend(self, layer: int, key: Tensor, value: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """Store B K T D from slot `first` on and return all that is stored, B K first+T D, without a copy."""
        last = first + key.shape[2]
        self.keys[layer, :, :, first:last] = key
        self.values[layer, :, :, first:last] = value
        return self.keys[layer, :, :, :last], self.values[layer, :, :, :last]

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order; a row may be taken many times (one prompt, many answers)."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]


@dataclass
class Memory:
    """What decoding remembers between steps."""

    cache: Cache
    length: int = 0  # slots in use
    padding: Tensor | None = None  # B C bool, True = real; None: no padding
    hidden: Tensor | None = (
        None  # B 1 W: after `start`, the last real prompt token's state, to choose the next token from
    )
    cross: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # the encoder's keys and values per layer, B K S D
    cross_padding: Tensor | None = None  # B S

    def room(self, tokens: int) -> None:
        """An error when so many more tokens do not fit."""
        if self.length + tokens > self.cache.capacity:
            raise ModelError("P-MODEL-006", given=self.length + tokens, capacity=self.cache.capacity)

    def positions(self, tokens: int) -> tuple[Tensor, Tensor]:
        """Position numbers of the next tokens (1|B T) and of all keys then in use (1|B S)."""
        keys = self.length + tokens
        if self.padding is None:
            at = torch.arange(keys, device=self.cache.keys.device)[None]
        else:
            at = (self.padding[:, :keys].long().cumsum(-1) - 1).clamp(min=0)
        return at[:, self.length :], at

    def cut(self, length: int) -> None:
        """Forget all but the first `length` slots."""
        self.length = min(length, self.length)

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order."""
        self.cache.select(rows)
        self.cross = [(key[rows], value[rows]) for key, value in self.cross]
        for name in ("padding", "hidden", "cross_padding"):
            held = getattr(self, name)
            setattr(self, name, None if held is None else held[rows])
