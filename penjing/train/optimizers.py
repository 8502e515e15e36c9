"""Optimizers by name. AdamW (Loshchilov & Hutter 2019) for all, or Muon (Jordan 2024) for the blocks' matrices.

Muon orthogonalises the momentum of each matrix by four Newton-Schulz steps; embeddings, heads, biases and norms stay
with AdamW. https://kellerjordan.github.io/posts/muon/
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Literal

import torch
from torch import Tensor, nn

from penjing.base.errors import TrainError
from penjing.model.initial import carried
from penjing.train.eight_bit import SMALLEST, EightBitAdamW

Schedule = Literal["cosine", "linear", "constant"]
Moments = Literal["float32", "8bit"]
TOGETHER = 4_000_000  # numbers of the matrices that are orthogonalised in one product
QUINTICS = (  # each is nearest to 1 where the one before left the singular values, from 0.003 to 1.015 (arXiv:2505.16932)
    (8.2617, -23.6914, 17.0458), (3.9902, -2.8854, 0.5296), (3.4816, -2.5354, 0.4918), (2.5009, -1.8017, 0.4143),
)  # fmt: skip


def rate_at(step: int, steps: int, warmup: float, schedule: Schedule, floor: float = 0.0) -> float:
    """The factor on the learning rate at `step` (from 0) of `steps`: linear warm-up, then down to `floor`."""
    rise = max(1, round(warmup * steps))
    if step < rise:
        return (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, steps - rise))
    if schedule == "cosine":
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))
    return floor + (1 - floor) * (1 - done) if schedule == "linear" else 1.0


def newton_schulz(matrices: Tensor, dtype: torch.dtype = torch.bfloat16) -> Tensor:
    """The nearest semi-orthogonal matrices, roughly, ... R C: singular values end within 0.78 to 1.22, those above 0.003
    of the matrix's norm.

    `dtype` is the arithmetic inside; bfloat16 is enough, and several times slower on processors without it.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if tall else matrices).reshape(-1, *sorted(matrices.shape[-2:]))
    x = (x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)).to(dtype)
    for a, b, c in QUINTICS:
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).reshape(matrices.shape).to(matrices.dtype)


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
            for alike in batches(group["params"]):
                self.move(alike, group)

    def move(self, alike: list[nn.Parameter], group: dict) -> None:
        """One step of matrices of one shape, all in one product."""
        grads = [parameter.grad for parameter in alike]
        for parameter in alike:
            if not self.state[parameter]:
                self.state[parameter]["momentum"] = torch.zeros_like(parameter)
        momenta = [self.state[parameter]["momentum"] for parameter in alike]
        torch._foreach_lerp_(momenta, grads, 1 - group["momentum"])
        nesterov = torch._foreach_lerp(grads, momenta, group["momentum"])
        updates = newton_schulz(torch.stack(nesterov), dtype=self.dtype)
        torch._foreach_mul_(alike, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(alike, updates.unbind(), alpha=-group["lr"] * 0.2 * math.sqrt(max(alike[0].shape)))


def batches(parameters: list[nn.Parameter]) -> Iterator[list[nn.Parameter]]:
    """Matrices with a gradient, of one shape and place, as many together as one product gains from."""
    found: dict[Any, list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.grad is not None:
            found.setdefault((parameter.shape, parameter.dtype, parameter.device), []).append(parameter)
    for alike in found.values():
        most = max(1, TOGETHER // alike[0].numel())
        yield from (alike[first : first + most] for first in range(0, len(alike), most))


def grouped(
    named: list[tuple[str, nn.Parameter]], rate: float, factor_of: Callable[[str], float], weight_decay: float
) -> list[dict[str, Any]]:
    """Parameters by the factor on their learning rate."""
    found: dict[float, list[nn.Parameter]] = {}
    for name, parameter in named:
        found.setdefault(factor_of(name), []).append(parameter)
    return [{"params": held, "lr": rate * factor, "weight_decay": weight_decay} for factor, held in found.items()]


def carrying(
    model: nn.Module, named: list[tuple[str, nn.Parameter]], rate: float, factor_of: Callable[[str], float],
    weight_decay: float,
) -> list[dict[str, Any]]:  # fmt: skip
    """The same; what carries a scale of the network's arithmetic takes steps smaller by it, and decays as the others."""
    network = getattr(model, "network", None)
    scales = {name: 1.0 if network is None else carried(name, network.config) for name, _ in named}
    return [
        group
        for scale in dict.fromkeys(scales.values())
        for group in grouped(
            [(n, p) for n, p in named if scales[n] == scale], rate * scale, factor_of, weight_decay / scale
        )
    ]


def decayed(
    named: list[tuple[str, nn.Parameter]], rate: float, factor_of: Callable[[str], float], weight_decay: float
) -> list[dict[str, Any]]:
    """The same; biases and norms do not decay."""
    groups = grouped([(n, p) for n, p in named if p.dim() > 1], rate, factor_of, weight_decay)
    return groups + grouped([(n, p) for n, p in named if p.dim() <= 1], rate, factor_of, 0.0)


class Optimizers:
    """One to three optimizers behind one face: rates by schedule, state in and out as plain tensors."""

    def __init__(
        self, model: nn.Module, *, name: Literal["adamw", "muon"], learning_rate: float, weight_decay: float,
        betas: tuple[float, float] = (0.9, 0.98), muon_rate: float | None = None,
        dtype: torch.dtype = torch.bfloat16, moments: Moments = "float32",
    ):  # fmt: skip
        named = [(n, p) for n, p in model.named_parameters() if p.requires_grad]
        matrices = [(n, p) for n, p in named if name == "muon" and p.dim() == 2 and ".blocks." in n]
        rest = [(n, p) for n, p in named if not any(p is q for _, q in matrices)]
        factor_of = getattr(model, "rate_of", lambda name: 1.0)
        small = [(n, p) for n, p in rest if moments == "float32" or p.numel() < SMALLEST or not p.is_contiguous()]
        large = [(n, p) for n, p in rest if not any(p is q for _, q in small)]
        if moments == "8bit" and not large:
            raise TrainError("P-TRAIN-066", most=max((p.numel() for _, p in rest), default=0), least=SMALLEST)
        self.all: list[torch.optim.Optimizer] = []
        if small:
            groups = decayed(small, learning_rate, factor_of, weight_decay)
            self.all.append(torch.optim.AdamW(groups, lr=learning_rate, betas=betas, eps=1e-8, fused=True))
        if large:
            groups = decayed(large, learning_rate, factor_of, weight_decay)
            self.all.append(EightBitAdamW(groups, learning_rate, betas))
        if matrices:
            rate = muon_rate or learning_rate
            groups = carrying(model, matrices, rate, factor_of, weight_decay)
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
        """Every tensor of the optimizers' memory, no copies, as `parameter name|key`."""
        return {
            f"{self.names[id(p)]}|{key}": value.detach()
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
