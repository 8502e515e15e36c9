"""Optimizers by name. AdamW (Loshchilov & Hutter 2019) for all, or Muon (Jordan 2024) for the blocks' matrices.

Muon orthogonalises the momentum of each matrix by five Newton-Schulz steps; embeddings, heads, biases and norms stay
with AdamW. https://kellerjordan.github.io/posts/muon/
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

Schedule = Literal["cosine", "linear", "constant"]


def rate_at(step: int, steps: int, warmup: float, schedule: Schedule, floor: float = 0.0) -> float:
    """The factor on the learning rate at `step` (from 0) of `steps`: linear warm-up, then down to `floor`."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, steps - rise))
    if schedule == "cosine":
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))
    return floor + (1 - floor) * (1 - done) if schedule == "linear" else 1.0


def newton_schulz(matrix: Tensor, steps: int = 5, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """The nearest semi-orthogonal matrix, roughly: singular values end in about 0.7 to 1.2.

    `dtype` is the arithmetic inside; bfloat16 is enough, and several times slower on processors without it.
    """
    a, b, c = 3.4445, -4.7750, 2.0315  # quintic whose slope at zero is greatest
    x = matrix.to(dtype) if matrix.shape[0] <= matrix.shape[1] else matrix.to(dtype).T
    x = x / (x.norm() + 1e-7)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return (x if matrix.shape[0] <= matrix.shape[1] else x.T).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised. Every parameter is a matrix. `lr` has AdamW's scale (arXiv:2502.16982)."""

    def __init__(
        self, params: list[nn.Parameter] | list[dict[str, Any]], lr: float, momentum: float = 0.95, weight_decay: float = 0.0,
        dtype: torch.dtype = torch.bfloat16,
    ):  # fmt: skip
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.dtype = dtype

    @torch.no_grad()
    def step(self) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.move(parameter, group)

    def move(self, parameter: nn.Parameter, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
        nesterov = parameter.grad.lerp(state["momentum"], group["momentum"])
        update = newton_schulz(nesterov, dtype=self.dtype)
        parameter.mul_(1 - group["lr"] * group["weight_decay"])
        parameter.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(parameter.shape)))


def grouped(
    named: list[tuple[str, nn.Parameter]], rate: float, factor_of: Callable[[str], float], weight_decay: float
) -> list[dict[str, Any]]:
    """Parameters by the factor on their learning rate."""
    found: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named:
        found.setdefault(factor_of(name), []).append(parameter)
    return [{"params": held, "lr": rate * factor, "weight_decay": weight_decay} for factor, held in found.items()]


class Optimizers:
    """One or two optimizers behind one face: rates by schedule, state in and out as plain tensors."""

    def __init__(
        self, model: nn.Module, *, name: Literal["adamw", "muon"], learning_rate: float, weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.98), muon_rate: float | None = None,
        dtype: torch.dtype = torch.bfloat16,
    ):  # fmt: skip
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        matrices = [(n, p) for n, p in named if name == "muon" and p.dim() == 2 and ".blocks." in n]
        rest = [(n, p) for n, p in named if not any(p is q for _, q in matrices)]
        factor_of = getattr(model, "rate_of", lambda name: 1.0)
        groups = grouped([(n, p) for n, p in rest if p.dim() > 1], learning_rate, factor_of, weight_decay)
        groups += grouped([(n, p) for n, p in rest if p.dim() <= 1], learning_rate, factor_of, 0.0)  # biases and norms
        self.all: list[torch.optim.Optimizer] = []
        if groups:
            self.all.append(torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=1e-8, fused=True))
        if matrices:
            rate = muon_rate or learning_rate
            groups = grouped(matrices, rate, factor_of, weight_decay)
            self.all.append(Muon(groups, lr=rate, weight_decay=weight_decay, dtype=dtype))
        self.names = {id(p): n for n, p in named}
        self.rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.all]

    def set_rate(self, factor: float) -> None:
        for optimizer, rates in zip(self.all, self.rates, strict=True):
            for group, rate in zip(optimizer.param_groups, rates, strict=True):
                group["lr"] = rate * factor

    def step(self) -> None:
        for optimizer in self.all:
            optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """Every tensor of the optimizers' memory, as `parameter name|key`."""
        return {
            f"{self.names[id(p)]}|{key}": value.detach().clone()
            for optimizer in self.all
            for p, memory in optimizer.state.items()
            for key, value in memory.items()
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Take back what `state` gave."""
        by_name: dict[str, dict[str, Tensor]] = {}
        for name, value in state.items():
            parameter, key = name.rsplit("|", 1)
            by_name.setdefault(parameter, {})[key] = value
        for optimizer in self.all:
            for group in optimizer.param_groups:
                for p in group["params"]:
                    if self.names[id(p)] in by_name:
                        optimizer.state[p] = {k: v.clone() for k, v in by_name[self.names[id(p)]].items()}
