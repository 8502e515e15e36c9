"""Cross-entropy over a vocabulary without its table of scores: a few rows at a time, gradients made on the way.

The scores of one chunk stay in the processor's cache; forward and backward together read them three times, where the
plain way writes and reads the whole table, N x V in float32, some ten times (compare arXiv:2411.09009).

Shapes: N labels, W width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from penjing.model import half_rows

CELLS = 4_000_000  # scores of one chunk: 16 MB in float32


class ChunkedCrossEntropy(torch.autograd.Function):
    """Sum of the losses, float32. Gradients are computed in the forward pass and scaled in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, smoothing: float
    ) -> Tensor:
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        needs = ctx.needs_input_grad  # what is frozen costs nothing
        wanted = any(needs[:3])
        grads = [torch.zeros_like(t, dtype=torch.float32) if needed else None
                 for t, needed in ((weight, needs[1]), (bias, needs[2]))]  # fmt: skip
        of_hidden = torch.empty_like(hidden) if needs[0] else None
        rows = max(1, CELLS // weight.shape[0])
        for start in range(0, len(labels), rows):
            part, right = hidden[start : start + rows], labels[start : start + rows]
            losses, gradient = losses_and_gradient(F.linear(part, weight, bias), right, smoothing, wanted)
            total += losses.sum()
            if gradient is not None:
                room = None if of_hidden is None else of_hidden[start : start + rows]
                collect(gradient.to(hidden.dtype), part, weight, room, grads)
            del gradient  # the next scores take its room, while it is in the cache
        ctx.grads = (of_hidden, *grads)
        ctx.kinds = (hidden.dtype, weight.dtype, None if bias is None else bias.dtype)
        return total

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        scaled = [None if g is None else (g * scale).to(kind) for g, kind in zip(ctx.grads, ctx.kinds, strict=True)]
        return (*scaled, None, None)


class TokenLosses(torch.autograd.Function):
    """The loss of each label, N float32, where what comes later weighs them: the scores are made again for gradients."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
        norms = torch.empty(len(labels), dtype=torch.float32, device=hidden.device)
        true = torch.empty_like(norms)
        rows = max(1, CELLS // weight.shape[0])
        for start in range(0, len(labels), rows):
            scores = F.linear(hidden[start : start + rows], weight, bias).float()
            norms[start : start + rows] = scores.logsumexp(-1)
            true[start : start + rows] = scores.gather(-1, labels[start : start + rows, None])[:, 0]
        ctx.save_for_backward(hidden, weight, bias, labels, norms)
        return norms - true

    @staticmethod
    def backward(ctx: Any, scale: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, labels, norms = ctx.saved_tensors
        needs = ctx.needs_input_grad
        grads = [torch.zeros_like(t, dtype=torch.float32) if needed else None
                 for t, needed in ((weight, needs[1]), (bias, needs[2]))]  # fmt: skip
        of_hidden = torch.empty_like(hidden) if needs[0] else None
        rows = max(1, CELLS // weight.shape[0])
        for start in range(0, len(labels), rows):
            part, right = hidden[start : start + rows], labels[start : start + rows]
            surprise = F.linear(part, weight, bias).float().sub_(norms[start : start + rows, None]).exp_()
            surprise[torch.arange(len(right), device=right.device), right] -= 1
            surprise *= scale[start : start + rows, None]
            room = None if of_hidden is None else of_hidden[start : start + rows]
            collect(surprise.to(hidden.dtype), part, weight, room, grads)
        kinds = (weight.dtype, None if bias is None else bias.dtype)
        return (of_hidden, *(g if g is None else g.to(kind) for g, kind in zip(grads, kinds, strict=True)), None)


def losses_and_gradient(scores: Tensor, right: Tensor, smoothing: float, wanted: bool) -> tuple[Tensor, Tensor | None]:
    """Losses of labels, float32, and the gradient of scores N V if it is wanted; it takes their room."""
    losses = half_rows.cross_entropy(scores, right, smoothing, wanted)
    if losses is not None:
        return losses, scores if wanted else None
    scores = scores.float()
    top, true = scores.amax(-1, keepdim=True), scores.gather(-1, right[:, None])
    if smoothing:
        true = (1 - smoothing) * true + smoothing * scores.mean(-1, keepdim=True)
    powers = scores.sub_(top).exp_()
    norm = powers.sum(-1, keepdim=True)
    losses = norm.log() + top - true
    if not wanted:
        return losses, None
    gradient = powers.div_(norm)  # softmax, then minus one at the label
    gradient[torch.arange(len(right), device=right.device), right] -= 1 - smoothing
    if smoothing:
        gradient -= smoothing / scores.shape[1]
    return losses, gradient


def collect(
    surprise: Tensor, part: Tensor, weight: Tensor, of_hidden: Tensor | None, grads: list[Tensor | None]
) -> None:
    """Add one chunk's share to the gradients, as far as they are wanted."""
    if of_hidden is not None:
        torch.mm(surprise, weight, out=of_hidden)
    if grads[0] is not None:
        grads[0] += surprise.T @ part
    if grads[1] is not None:
        grads[1] += surprise.sum(0, dtype=torch.float32)


def cross_entropy(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, smoothing: float = 0.0
) -> Tensor:
    """Summed cross-entropy of `hidden @ weight.T + bias` (N V) against labels N.

    smoothing: the share of each label that all V tokens get alike (arXiv:1512.00567).
    """
    return ChunkedCrossEntropy.apply(hidden, weight, bias, labels, smoothing)


def token_losses(hidden: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
    """Cross-entropy of `hidden @ weight.T + bias` (N V) against each of the labels: N float32."""
    return TokenLosses.apply(hidden, weight, bias, labels)
