"""A running mean of the weights of a run, which often generalises better than the last ones (Polyak & Juditsky 1992)."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from penjing.train.resume import moved, put_moved


@dataclass
class Average:
    """The plain mean of all steps until there are `reach` of them, then an exponential one that looks back so far."""

    reach: float = 0.0  # steps; 0: no mean is kept
    values: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def add(self, model: nn.Module, step: int) -> None:
        """Take in the weights after a step, counted from 1."""
        if not self.reach:
            return
        now = moved(model)
        if not self.values:
            self.values = {name: tensor.detach().clone() for name, tensor in now.items()}
        for name, value in self.values.items():
            value.lerp_(now[name], 1 / max(1.0, min(self.reach, step)))

    @contextlib.contextmanager
    def within(self, model: nn.Module) -> Iterator[None]:
        """Inside, the model carries the mean, if one is kept; afterwards its own weights again."""
        own = {name: tensor.clone() for name, tensor in moved(model).items()} if self.values else {}
        self.put(model)
        try:
            yield
        finally:
            if own:
                put_moved(model, own)

    def put(self, model: nn.Module) -> None:
        """Give the model the mean for good, if one is kept."""
        if self.values:
            put_moved(model, self.values)
