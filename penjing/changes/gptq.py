"""Rounding one input after the other, each error made up for at the inputs that are still to come (arXiv:2210.17323).

Shapes: I inputs, O outputs, G groups.
"""

from __future__ import annotations

import torch
from torch import Tensor

from penjing.model.quantized import Int4, grid

DAMPING = 0.01  # of the mean second moment, added to each
TOGETHER = 128  # inputs after which the errors reach the ones further on


def gptq(matrix: Int4, weight: Tensor, moments: Tensor) -> None:
    """Fill a matrix with codes for a weight O I whose inputs have these second moments, I I.

    The scales are those of the least error at the start; the inputs that matter most are rounded first.
    """
    scales, shares, zeros = grid(matrix, weight, moments.diagonal())
    order = moments.diagonal().argsort(descending=True)
    group = order // matrix.group
    steps = (scales[:, None] * shares)[:, group]
    found = rounded(matrix, weight[:, order], steps, zeros[:, group], inverse_root(moments[order][:, order]))
    codes = torch.empty_like(found)
    codes[:, order] = found
    matrix.fill(codes.to(torch.uint8), scales, shares, zeros)


def rounded(matrix: Int4, weight: Tensor, steps: Tensor, zeros: Tensor, root: Tensor) -> Tensor:
    """The codes O I; steps and zeros of each place, O I; root: of the inverse moments, upper triangular."""
    weight, codes = weight.clone(), torch.empty_like(weight)
    for first in range(0, weight.shape[1], TOGETHER):
        last = min(first + TOGETHER, weight.shape[1])
        errors = torch.empty_like(weight[:, first:last])
        for at in range(first, last):
            codes[:, at] = matrix.nearest(weight[:, at], steps[:, at], zeros[:, at])
            said = (codes[:, at] - zeros[:, at]) * steps[:, at]
            errors[:, at - first] = error = (weight[:, at] - said) / root[at, at]
            weight[:, at:last].addr_(error, root[at, at:last], alpha=-1)
        weight[:, last:].addmm_(errors, root[first:last, last:], alpha=-1)
    return codes


def inverse_root(moments: Tensor) -> Tensor:
    """U, upper triangular, with UT U the inverse of the moments, a little away from none in any direction."""
    least = DAMPING * moments.diagonal().mean().clamp(min=torch.finfo(torch.float32).tiny)
    whole = moments.double() + least.double() * torch.eye(len(moments), dtype=torch.float64, device=moments.device)
    return torch.linalg.cholesky(torch.cholesky_inverse(torch.linalg.cholesky(whole)), upper=True).float()
