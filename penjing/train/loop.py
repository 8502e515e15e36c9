"""The training loop, a generator: it yields after each step, and the caller logs, scores, saves and stops.

Exactness: a step's dropout follows from (seed, step) and its batch from (seed, epoch, place), so the state of a run is
weights + optimizer memory + `Position` + step number. Stop it anywhere and it goes on to the same bits on a CPU.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call

from penjing.base.errors import TrainError
from penjing.model.batch import Batch
from penjing.model.products import stay
from penjing.tasks.batches import Position
from penjing.train.optimizers import Optimizers, Schedule, rate_at


@dataclass(frozen=True)
class Step:
    """What one step did. loss: mean per label. tokens: real ones, without padding."""

    number: int  # from 1
    loss: float
    rate: float  # learning rate of the first group
    gradient_norm: float
    tokens: int
    padding: float
    seconds: float
    position: Position  # the place of the next batch


@dataclass(frozen=True)
class LoopOptions:
    """What the loop itself needs to know."""

    steps: int
    accumulate: int = 1  # batches of one step
    clip: float = 1.0  # greatest norm of the gradient; 0: no limit
    warmup: float = 0.06  # share of the steps
    schedule: Schedule = "cosine"
    seed: int = 0
    dtype: torch.dtype = torch.float32  # of the arithmetic; weights and optimizer stay float32


def train(
    model: nn.Module,
    batches: Iterable[tuple[Position, Batch]],
    optimizers: Optimizers,
    options: LoopOptions,
    *,
    start: int = 0,
) -> Iterator[Step]:
    """Train `model` in place from step `start` on.

    `model(batch)` gives the sum of the losses; the gradient is of the mean over all labels of the step, so
    accumulation changes nothing but memory. A loss or gradient that is not finite raises before any weight moves.
    """
    source = iter(batches)
    trained = [p for p in model.parameters() if p.requires_grad]
    turns, copies = Turns(model), Copies(options.dtype)
    # torch's own looks for every kind of device: half a millisecond a step
    reseed = torch.manual_seed if torch.accelerator.is_available() else torch.default_generator.manual_seed
    for number in range(start, options.steps):
        began = time.perf_counter()
        reseed(options.seed * 1_000_003 + number)
        model.train()
        group = [next(source) for _ in range(options.accumulate)]
        with turns.at(number, options.steps):
            total, labels = backward(model, [batch for _, batch in group], copies)
        norm = float(nn.utils.clip_grad_norm_(trained, options.clip or math.inf, error_if_nonfinite=False))
        if not (math.isfinite(total) and math.isfinite(norm)):
            refuse(number + 1, total, norm, [batch for _, batch in group])
        optimizers.set_rate(rate_at(number, options.steps, options.warmup, options.schedule))
        optimizers.step()
        for parameter in trained:
            parameter.grad = None
        tokens, cells = sum(b.token_count for _, b in group), sum(b.cell_count for _, b in group)
        yield Step(
            number + 1, total / max(1, labels), optimizers.all[0].param_groups[0]["lr"], norm, tokens,
            1 - tokens / max(1, cells), time.perf_counter() - began, group[-1][0],
        )  # fmt: skip


def backward(model: nn.Module, group: list[Batch], copies: Copies) -> tuple[float, int]:
    """Gradients of the mean loss over all labels of the group. Returns the sum of losses and the number of labels."""
    labels = sum(batch.label_count for batch in group)
    descent, total = Descent(model), 0.0
    weights = copies.of(descent)
    for batch in group:
        total += float(functional_call(descent, weights, (batch, labels)) if weights else descent(batch, labels))
    return total, labels


class Descent(nn.Module):
    """A model that is asked for its gradients too: within one call, so that what is computed again for them meets the
    same weights."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, labels: int) -> Tensor:
        value = self.model(batch)
        (value / max(1, labels)).backward()
        return value.detach()


def evaluate_loss(model: nn.Module, batch: Batch, dtype: torch.dtype) -> Tensor:
    """The summed loss in the arithmetic of `dtype`."""
    weights = Copies(dtype).of(model)
    return functional_call(model, weights, (batch,)) if weights else model(batch)


class Copies:
    """Weights in another type, of which half precision computes: gradients go to the weights themselves, in float32.

    Those of weights that are trained are made for each step, the others kept as long as these do not change.
    """

    def __init__(self, dtype: torch.dtype):
        self.dtype = dtype
        self.kept: dict[int, tuple[Tensor, int, Tensor]] = {}  # a weight, its version, its copy

    def of(self, module: nn.Module) -> dict[str, Tensor]:
        """Each by its name; none in float32, where there is nothing to copy."""
        if self.dtype == torch.float32:
            return {}
        return {name: self.copy(p) for name, p in module.named_parameters() if p.is_floating_point()}

    def copy(self, weight: Tensor) -> Tensor:
        if weight.requires_grad:
            self.kept.pop(id(weight), None)  # its turn has come
            return weight.to(self.dtype)
        held, version, copy = self.kept.get(id(weight), (None, 0, weight))
        if held is not weight or version != weight._version:
            copy = weight.to(self.dtype)
            copy = copy if copy is weight else stay(copy)  # which this alone holds, and nobody changes
            self.kept[id(weight)] = weight, weight._version, copy
        return copy


class Turns:
    """Parameters that are trained from a later step on, where the model says so (`turn_of`); before it they have no
    gradient, and what is below the first that has one is not gone through."""

    def __init__(self, model: nn.Module):
        turn_of = getattr(model, "turn_of", lambda name: 0.0)
        every = [(p, turn_of(name)) for name, p in model.named_parameters() if p.requires_grad]
        self.late = [(p, turn) for p, turn in every if turn]

    @contextlib.contextmanager
    def at(self, number: int, steps: int) -> Iterator[None]:
        """Inside, only those are trained whose turn has come in this step, counted from 0."""
        waiting = [p for p, turn in self.late if number < int(turn * steps)]
        for parameter in waiting:
            parameter.requires_grad_(False)
        try:
            yield
        finally:
            for parameter in waiting:
                parameter.requires_grad_(True)


def refuse(step: int, total: float, norm: float, group: list[Batch]) -> None:
    """Stop a run whose loss or gradient is not finite, and name the records of the batch."""
    records = [r for batch in group for r in (batch.records or [])]
    shown = ", ".join(map(str, records[:20])) + (" …" if len(records) > 20 else "")
    what = f"loss {total}" if not math.isfinite(total) else f"gradient norm {norm}"
    raise TrainError("P-TRAIN-001", step=step, what=what, records=shown)
