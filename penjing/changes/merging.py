"""Several adapters folded into one network, each by a weight: what they add to each matrix, not their factors, is added.

linear: the weighted sum. ties (arXiv:2306.01708): of each only the largest numbers, and of those at one place only the
ones with the sign that weighs more, averaged. dare (arXiv:2311.03099): each number is dropped by chance, and what is
left made larger, before the sum.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from penjing.changes.change import Changes

Way = Literal["linear", "ties", "dare"]
Difference = dict[str, Tensor]


@torch.no_grad()
def folded_difference(changes: Changes) -> Difference:
    """What the changes of a network add to its own parameters; the network is then its base again, without changes."""
    changes.dissolve()
    network, names = changes.network, set(changes.folded())
    before = {name: tensor.clone() for name, tensor in network.named_parameters() if name in names}
    for one in reversed(changes):
        before |= one.before
    changes.fuse(cuts=False)
    named = dict(network.named_parameters())
    found = {name: named[name].detach() - tensor for name, tensor in before.items()}
    for name, tensor in before.items():
        named[name].copy_(tensor)
    return found


def combined(
    differences: Sequence[Difference], weights: Sequence[float], way: Way, density: float, seed: int
) -> Difference:
    """One difference of several."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name in sorted({name for one in differences for name in one}):
        held = [(one[name], weight) for one, weight in zip(differences, weights, strict=True) if name in one]
        if way == "ties":
            found[name] = elected([largest(tensor, density) * weight for tensor, weight in held])
            continue
        parts = [dropped(tensor, density, generator) if way == "dare" else tensor for tensor, _ in held]
        found[name] = sum(part * weight for part, (_, weight) in zip(parts, held, strict=True))
    return found


def largest(tensor: Tensor, density: float) -> Tensor:
    """The share of a tensor with the largest numbers, and zeros."""
    kept = max(1, round(density * tensor.numel()))
    border = tensor.abs().flatten().kthvalue(tensor.numel() - kept + 1).values
    return torch.where(tensor.abs() >= border, tensor, 0)


def elected(parts: Sequence[Tensor]) -> Tensor:
    """At each place the mean of the numbers whose sign is that of the sum."""
    every = torch.stack(list(parts))
    agree = (every.sign() == every.sum(0).sign()) & (every != 0)
    return (every * agree).sum(0) / agree.sum(0).clamp(min=1)


def dropped(tensor: Tensor, density: float, generator: torch.Generator) -> Tensor:
    """So many of the numbers by chance, made larger so that the expected sum stays."""
    kept = torch.rand(tensor.shape, generator=generator) < density
    return tensor * kept / density


@torch.no_grad()
def add(changes: Changes, difference: Mapping[str, Tensor]) -> None:
    """Add a difference to a network's own parameters."""
    named = dict(changes.network.named_parameters())
    for name, tensor in difference.items():
        named[name].add_(tensor.to(named[name].dtype))
