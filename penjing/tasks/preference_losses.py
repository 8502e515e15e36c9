"""What preference learning minimises: one function for each way, with the paper that it is from.

Each is given the log-probabilities of answers, summed over their tokens, and returns the loss of each example and the
rewards that it implies. A pair has the better answer on side 0 and the other one on side 1. A judged answer (KTO) has
itself on side 0, and on side 1 another record's answer to the same question, by which the policy's drift is measured.

Shapes: B examples.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Given(NamedTuple):
    """What a loss may look at."""

    logs: Tensor  # B 2, of the model
    reference: Tensor  # B 2, of the model as it came in; of losses without a reference zeros
    counts: Tensor  # B 2: tokens of the answers
    good: Tensor  # B bool: of judged answers, whether each is good


class Strengths(NamedTuple):
    """The options of the losses, all of them known."""

    beta: float
    smoothing: float
    gamma: float
    desirable: float
    undesirable: float


Found = tuple[Tensor, Tensor]  # the loss of each example, B; the rewards of both sides, B 2


class Way(NamedTuple):
    """A loss and what it needs. beta: its usual strength; options: what else it heeds."""

    loss: Callable[[Given, Strengths], Found]
    beta: float
    reference: bool = True
    judged: bool = False
    options: tuple[str, ...] = ()


def dpo(given: Given, by: Strengths) -> Found:
    """-log sigmoid(beta (ratio - ratio')), Rafailov et al. 2023, arXiv:2305.18290.

    smoothing: the share of pairs that are taken to be the wrong way round (cDPO, Mitchell 2023).
    """
    rewards = by.beta * (given.logs - given.reference)
    margin = rewards[:, 0] - rewards[:, 1]
    return -(1 - by.smoothing) * F.logsigmoid(margin) - by.smoothing * F.logsigmoid(-margin), rewards


def ipo(given: Given, by: Strengths) -> Found:
    """(ratio - ratio' - 1 / (2 beta))², Azar et al. 2023, arXiv:2310.12036: a margin to be met, not to be pushed on."""
    ratios = given.logs - given.reference
    return (ratios[:, 0] - ratios[:, 1] - 1 / (2 * by.beta)).square(), by.beta * ratios


def orpo(given: Given, by: Strengths) -> Found:
    """Cross-entropy of the better answer, and beta times -log sigmoid of the log odds ratio, Hong et al. 2024,
    arXiv:2403.07691; all by the mean over tokens."""
    means = given.logs / given.counts
    odds = means - torch.log(-torch.expm1(means.clamp(max=-1e-6)))  # log p / (1 - p)
    return -means[:, 0] - by.beta * F.logsigmoid(odds[:, 0] - odds[:, 1]), by.beta * means


def simpo(given: Given, by: Strengths) -> Found:
    """-log sigmoid(beta (mean - mean') - gamma), Meng et al. 2024, arXiv:2405.14734."""
    rewards = by.beta * given.logs / given.counts
    return -F.logsigmoid(rewards[:, 0] - rewards[:, 1] - by.gamma), rewards


def kto(given: Given, by: Strengths) -> Found:
    """weight (1 - sigmoid(±(reward - drift))), Ethayarajh et al. 2024, arXiv:2402.01306.

    drift: beta times the mean log ratio of the batch's mismatched answers, not below 0, without a gradient.
    """
    rewards = by.beta * (given.logs - given.reference)
    drift = rewards[:, 1].detach().mean().clamp(min=0)
    sign = torch.where(given.good, 1.0, -1.0)
    weight = torch.where(given.good, by.desirable, by.undesirable)
    return weight * (1 - torch.sigmoid(sign * (rewards[:, 0] - drift))), rewards


WAYS = {
    "dpo": Way(dpo, 0.1, options=("smoothing",)),
    "ipo": Way(ipo, 0.1),
    "orpo": Way(orpo, 0.1, reference=False),
    "simpo": Way(simpo, 2.0, reference=False, options=("gamma",)),
    "kto": Way(kto, 0.1, judged=True, options=("desirable", "undesirable")),
}
