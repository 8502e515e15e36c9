"""One network whose weights are the mean of several networks' weights: a soup (Wortsman et al. 2022).

The mean of networks that began with the same weights is often better than the best of them, and answers at the cost of
one. Networks that began elsewhere have nothing in common place by place, and their mean is worth nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from penjing.base.errors import EvaluateError, PenjingError, raise_all
from penjing.tasks.model import Model

State = Mapping[str, Tensor]
READING = ("window", "long_text")  # how a model reads; one network reads in one way
IDLE = ("dropout", "attention_dropout", "initial_std")  # what changes no answer of trained weights


def check_same(models: Mapping[str, Model]) -> None:
    """All have the first one's tokenizer and network; what differs is told of each, by name."""
    (first, one), *others = models.items()
    raise_all([problem for name, other in others for problem in unlike(first, one, name, other)])


def unlike(first: str, one: Model, name: str, other: Model) -> list[PenjingError]:
    """Why the weights of the second model have no mean with the first one's."""
    if one.tokenizer.fingerprint != other.tokenizer.fingerprint:
        return [EvaluateError("P-EVAL-042", name=name, first=first)]
    differences = list(different(parts_of(one), parts_of(other))) or list(different(shapes(one), shapes(other)))
    if differences:
        return [EvaluateError("P-EVAL-043", name=name, first=first, differences="; ".join(differences[:5]))]
    return []


def parts_of(model: Model) -> dict[str, Any]:
    """What the weights do not say of a network and how it reads, but for what acts in training alone."""
    found = {"family": model.family} | {f"model.{name}": getattr(model, name) for name in READING}
    style = getattr(model.head, "style", None)
    for part in (model.network.config, *(() if style is None else (style,))):
        found |= {name: value for name, value in dataclasses.asdict(part).items() if name not in IDLE}
    return found


def shapes(model: Model) -> dict[str, Any]:
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def different(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """`name: this, not that` for each entry that is not the same."""
    for name in dict.fromkeys((*one, *other)):
        if one.get(name) != other.get(name):
            yield f"{name}: {other.get(name)}, not {one.get(name)}"


def state_of(model: Model) -> dict[str, Tensor]:
    """A copy of a model's weights."""
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


@torch.no_grad()
def mean_of(states: Sequence[State]) -> dict[str, Tensor]:
    """The mean of weights, added in float64."""
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(tensor.dtype)
        for name, tensor in states[0].items()
    }


def greedy(
    states: Sequence[State], scores: Sequence[float], score: Callable[[State], float]
) -> tuple[list[int], float]:
    """The states whose mean scores best, by number, and its score: from the best on, one joins if the mean is no worse.

    scores: of each state by itself. The result is never worse than the best of them, on the records that `score` asks.
    """
    order = sorted(range(len(states)), key=lambda number: -scores[number])
    chosen, best = order[:1], scores[order[0]]
    for number in order[1:]:
        value = score(mean_of([states[one] for one in (*chosen, number)]))
        if value >= best:
            chosen, best = [*chosen, number], value
    return chosen, best
