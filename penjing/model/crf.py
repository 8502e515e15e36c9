"""A linear-chain CRF (Lafferty et al. 2001): whole sequences of labels are scored, and what may not follow is ruled out.

The score of a sequence is the sum of its labels' scores and of its steps from label to label. Sums over all sequences
run in logarithms and float64; their gradients are the marginals, so no step of the sum is kept for a backward pass.

Shapes: B rows, padded at the right, T places, C labels.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

FORBIDDEN = -1e9  # the score of a step that cannot be


class Chain(NamedTuple):
    """Scores of steps C C (from, to), of a label as the first one C, and as the last one C."""

    steps: Tensor
    first: Tensor
    last: Tensor


class CRF(nn.Module):
    """The learnt scores of a chain; they begin as zeros."""

    def __init__(self, labels: int):
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(labels, labels))
        self.first, self.last = nn.Parameter(torch.zeros(labels)), nn.Parameter(torch.zeros(labels))

    def chain(self, rules: Chain) -> Chain:
        """Rules (zeros and FORBIDDEN) with the learnt scores."""
        return Chain(rules.steps + self.transitions, rules.first + self.first, rules.last + self.last)

    @torch.no_grad()
    def initialize(self) -> None:
        for parameter in self.parameters():
            parameter.zero_()


def with_ends(emissions: Tensor, lengths: Tensor, chain: Chain, whole: Tensor | None = None) -> Tensor:
    """Label scores B T C in float64, the first and the last place with what the chain says of them.

    lengths: B, each at least 1. whole: B 2 bool, whether the row is there from the true first and to the true last
    place; None: all are.
    """
    rows = torch.arange(len(lengths), device=emissions.device)
    begins, ends = (1, 1) if whole is None else whole.to(emissions.dtype).t()[:, :, None]
    scores = emissions.double().clone()
    scores[:, 0] = scores[:, 0] + chain.first.double() * begins
    return scores.index_put((rows, lengths - 1), chain.last.double() * ends + torch.zeros_like(scores[:, 0]), True)


def loss(emissions: Tensor, labels: Tensor, lengths: Tensor, chain: Chain, whole: Tensor | None = None) -> Tensor:
    """Minus the log-probability of labels B T, summed over the rows. What lies behind a row's length is not looked at."""
    scores, steps = with_ends(emissions, lengths, chain, whole), chain.steps.double()
    real = torch.arange(labels.shape[1], device=labels.device) < lengths[:, None]
    labels = labels * real
    path = (scores.gather(2, labels[:, :, None])[:, :, 0] * real).sum()
    path = path + (steps[labels[:, :-1], labels[:, 1:]] * real[:, 1:]).sum()
    return LogPartition.apply(scores, steps, lengths) - path


class LogPartition(torch.autograd.Function):
    """The logarithm of the sum over all sequences, summed over rows. Its gradients are how often each label and each
    step is expected."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor, steps: Tensor, lengths: Tensor) -> Tensor:
        before, after, total = sums(scores, steps, lengths)
        ctx.save_for_backward(scores, steps, lengths, before, after, total)
        return total.sum()

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor, Tensor, None]:
        scores, steps, lengths, before, after, total = ctx.saved_tensors
        real = torch.arange(scores.shape[1], device=scores.device) < lengths[:, None]
        expected = (before + after - total[:, None, None]).exp() * real[:, :, None]
        arriving = (scores + after)[:, 1:, None, :] - total[:, None, None, None]
        pairs = (before[:, :-1, :, None] + steps + arriving).exp() * real[:, 1:, None, None]
        return expected * scale, pairs.sum((0, 1)) * scale, None


def sums(scores: Tensor, steps: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logarithms: of all beginnings that end at a place with a label, of all its continuations (B T C), of all (B)."""
    before, after = [scores[:, 0]], [torch.zeros_like(scores[:, 0])]
    for place in range(1, scores.shape[1]):
        before.append((before[-1][:, :, None] + steps).logsumexp(1) + scores[:, place])
    for place in range(scores.shape[1] - 2, -1, -1):
        longer = (steps + (scores[:, place + 1] + after[-1])[:, None, :]).logsumexp(2)
        after.append(torch.where((place < lengths - 1)[:, None], longer, 0.0))
    forward, backward = torch.stack(before, 1), torch.stack(after[::-1], 1)
    rows = torch.arange(len(lengths), device=scores.device)
    return forward, backward, forward[rows, lengths - 1].logsumexp(1)


@torch.no_grad()
def marginals(emissions: Tensor, lengths: Tensor, chain: Chain) -> Tensor:
    """The probability of each label at each place, B T C float64; of no meaning behind a row's length."""
    scores = with_ends(emissions, lengths, chain)
    before, after, total = sums(scores, chain.steps.double(), lengths)
    return (before + after - total[:, None, None]).exp()


@torch.no_grad()
def best(emissions: Tensor, lengths: Tensor, chain: Chain) -> Tensor:
    """The likeliest sequence of each row (Viterbi), B T; behind a row's length its last label is repeated."""
    scores, steps = with_ends(emissions, lengths, chain), chain.steps.double()
    score, same, came = scores[:, 0], torch.arange(scores.shape[2], device=scores.device)[None], []
    for place in range(1, scores.shape[1]):
        longer, before = (score[:, :, None] + steps).max(1)
        alive = (place < lengths)[:, None]
        score = torch.where(alive, longer + scores[:, place], score)
        came.append(torch.where(alive, before, same))
    labels = [score.argmax(1)]
    for before in reversed(came):
        labels.append(before.gather(1, labels[-1][:, None])[:, 0])
    return torch.stack(labels[::-1], 1)
