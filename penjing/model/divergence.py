"""How far the choices of one network are from those of another, and the same over a vocabulary without its tables of scores.

forward   KL(teacher | student): the student spreads over all that the teacher says (Hinton et al. 2015, arXiv:1503.02531)
reverse   KL(student | teacher): it keeps to what the teacher says most (arXiv:2306.08543)
jsd       between the two: `balance` KL(teacher | mean) + (1 - balance) KL(student | mean) (GKD, arXiv:2306.13649)

Shapes: N places, W width, V vocabulary, C choices.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from penjing.model.entropy import CELLS, collect

Way = Literal["forward", "reverse", "jsd"]
Product = tuple[Tensor, Tensor, Tensor | None]  # what scores are the product of: states N W, rows V W, bias V
NEVER = -1e4  # the score of a choice that cannot be made: its probability is 0, and its logarithm a number


class Divergence(NamedTuple):
    """A divergence of softened choices, times the squared temperature: gradients are of one size at all temperatures."""

    way: Way = "forward"
    temperature: float = 1.0
    balance: float = 0.5

    def __call__(self, own: Tensor, theirs: Tensor) -> Tensor:
        """Of scores ... C and a teacher's: ... float32."""
        student, teacher = (
            (scores.float().clamp(min=NEVER) / self.temperature).log_softmax(-1) for scores in (own, theirs)
        )
        if self.way == "forward":
            found = relative(teacher, student)
        elif self.way == "reverse":
            found = relative(student, teacher)
        else:
            shares = math.log(self.balance), math.log1p(-self.balance)
            mean = torch.logaddexp(teacher + shares[0], student + shares[1])
            found = self.balance * relative(teacher, mean) + (1 - self.balance) * relative(student, mean)
        return found * self.temperature**2


def relative(one: Tensor, other: Tensor) -> Tensor:
    """The Kullback-Leibler divergence of log-probabilities ... C from others."""
    return (one.exp() * (one - other)).sum(-1)


class ChunkedDivergence(torch.autograd.Function):
    """The sum over places, float32. A few rows of both tables of scores exist at a time; gradients are made on the way."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, theirs: Product, divergence: Divergence
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        needs = ctx.needs_input_grad
        grads = [torch.zeros_like(t, dtype=torch.float32) if needed else None
                 for t, needed in ((weight, needs[1]), (bias, needs[2]))]  # fmt: skip
        of_hidden = torch.empty_like(hidden) if needs[0] else None
        states, rows_of, offset = theirs
        rows = max(1, CELLS // weight.shape[0])
        for start in range(0, len(hidden), rows):
            part = hidden[start : start + rows]
            wanted = F.linear(states[start : start + rows], rows_of, offset)
            scores = F.linear(part, weight, bias).float()
            with torch.enable_grad():
                value = divergence(scores.requires_grad_(), wanted).sum()
            total += value.detach()
            if any(needs[:3]):
                (surprise,) = torch.autograd.grad(value, scores)
                room = None if of_hidden is None else of_hidden[start : start + rows]
                collect(surprise.to(hidden.dtype), part, weight, room, grads)
        ctx.grads = (of_hidden, *grads)
        ctx.kinds = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [None if g is None else (g * scale).to(kind) for g, kind in zip(ctx.grads, ctx.kinds, strict=True)]
        return (*scaled, None, None)


def vocabulary_divergence(own: Product, theirs: Product, size: int, divergence: Divergence) -> Tensor:
    """Summed over places; `size`: tokens that both know, the first rows of each."""
    own, theirs = ((states, rows[:size], None if bias is None else bias[:size]) for states, rows, bias in (own, theirs))
    return ChunkedDivergence.apply(*own, theirs, divergence)
