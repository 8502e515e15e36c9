"""Losses over vectors of texts: what belongs together comes near, what does not goes apart.

All of them see directions only: vectors are divided by their lengths first, and nearness is the cosine.
Shapes: B examples, C texts in each (2 of a pair, 3 of a triplet), W width. Vectors are C B W, numbers of texts C B.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def text_numbers(tokens: Tensor, count: int) -> Tensor:
    """A number for each row of tokens, equal where the rows are: C B from C·B T."""
    return torch.unique(tokens, dim=0, return_inverse=True)[1].view(count, -1)


def in_batch(vectors: Tensor, texts: Tensor, temperature: float, symmetric: bool) -> Tensor:
    """InfoNCE (arXiv:1807.03748): of all second and third texts of the batch, which is this first text's own second?

    A candidate is no wrong answer where it is labelled as right: its text is the own second text, or it is the second
    text of an equal first one; nor where it is the first text itself. symmetric: each second text is also asked for its
    first, and the two losses are averaged. The sum over the examples.
    """
    first, second = texts[0], texts[1]
    scores = vectors[0] @ vectors[1:].flatten(0, 1).T / temperature  # B (C-1)·B
    others = texts[1:].flatten()[None]
    right = (others == second[:, None]) | (others == first[:, None])
    same = first[None] == first[:, None]  # B B
    right = torch.cat([right[:, : len(first)] | same, right[:, len(first) :]], 1)
    loss = chosen(scores, right)
    if not symmetric:
        return loss
    right = (first[None] == second[:, None]) | (second[None] == second[:, None]) | same
    return (loss + chosen(scores[:, : len(first)].T, right)) / 2


def chosen(scores: Tensor, right: Tensor) -> Tensor:
    """Summed cross-entropy of candidate i for row i; the row's other right candidates are not among its choices."""
    own = torch.arange(len(scores), device=scores.device)
    other = right.clone()
    other[own, own] = False
    return F.cross_entropy(scores.masked_fill(other, -torch.inf), own, reduction="sum")


def ordered(cosines: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """CoSENT (Su 2022): a pair with the higher score shall have the higher cosine, over all two pairs of the batch.

    log(1 + sum over wanted_i > wanted_j of exp((cosine_j - cosine_i) / temperature)), times B.
    """
    differences = (cosines[None] - cosines[:, None]) / temperature  # i j
    counted = differences[wanted[:, None] > wanted[None]]
    return len(cosines) * torch.cat([counted.new_zeros(1), counted]).logsumexp(0)


def near_scores(cosines: Tensor, wanted: Tensor, lowest: float, highest: float) -> Tensor:
    """The summed squared distance of the cosines from the scores, which `lowest` and `highest` map to 0 and 1."""
    return ((cosines - (wanted - lowest) / (highest - lowest)) ** 2).sum()


def apart(vectors: Tensor, margin: float) -> Tensor:
    """Triplets (Schroff et al. 2015): the right text is nearer than the wrong one by the margin, or it costs."""
    return F.relu(margin + cosines_of(vectors[0], vectors[2]) - cosines_of(vectors[0], vectors[1])).sum()


def cosines_of(first: Tensor, second: Tensor) -> Tensor:
    """The cosines of rows of unit length."""
    return (first * second).sum(-1)
