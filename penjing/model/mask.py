"""Which key a query may see, described rather than drawn, so that attention takes its fast path.

Shapes: B texts, T queries, S keys, H heads. A slot is a column of the batch or of the cache; a position counts real
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Visible(NamedTuple):
    """What attention is told: nothing, "causal", a bool mask, or a mask with a bias added to the scores."""

    mask: Tensor | None = None  # bool or float, broadcast to B H T S; True = may be seen
    causal: bool = False  # only when the queries are exactly the keys


def describe(
    padding: Tensor | None,
    queries: int,
    keys: int,
    *,
    causal: bool = False,
    window: int | None = None,
    first: int = 0,
    places: Tensor | None = None,
    device: torch.device | None = None,
) -> Visible:
    """The cheapest description of what may be seen.

    `padding` B S is True for real keys. Queries are the slots `places` B T, or `queries` slots from `first` on. No
    padding and nothing causal needs no mask; causal alone is a word; padding alone is B 1 1 S; else 1 or B 1 T S.
    """
    causal = causal and not (places is None and queries == 1 and first == keys - 1)  # the last slot sees all before it
    if window is not None and window >= keys - 1:
        window = None
    if not causal and window is None:
        return Visible(None if padding is None else padding[:, None, None, :])
    if causal and padding is None and window is None and places is None and queries == keys:
        return Visible(causal=True)
    slots = torch.arange(first, first + queries, device=device)[None] if places is None else places
    distance = torch.arange(keys, device=device) - slots[:, :, None]  # 1|B T S
    allowed = distance <= 0 if causal else distance >= -keys
    if window is not None:
        allowed = allowed & (distance.abs() <= window)
    if padding is not None:
        allowed = allowed & padding[:, None, :] | (distance == 0)  # a query that sees nothing would be no number
    return Visible(allowed[:, None])


def biased(visible: Visible, bias: Tensor | None) -> Visible:
    """Add a bias 1|B H T S to the scores; what may not be seen gets the lowest number."""
    if bias is None:
        return visible
    mask = visible.mask
    if visible.causal:
        mask = torch.ones(bias.shape[-2:], dtype=torch.bool, device=bias.device).tril()
    return Visible(bias if mask is None else bias.masked_fill(~mask, torch.finfo(bias.dtype).min))


def preceded(visible: Visible, query_at: Tensor, keys: int, ahead: int, window: int | None) -> Visible:
    """The same where `ahead` keys, at positions from 0 on, stand before all `keys`; a window may end among them.

    `query_at` 1|B T counts them too.
    """
    mask, device = visible.mask, query_at.device
    if visible.causal:
        mask = torch.ones(1, 1, keys, keys, dtype=torch.bool, device=device).tril()
    if mask is None and window is None:
        return visible
    seen = torch.ones(1, 1, 1, ahead, dtype=torch.bool, device=device)
    if window is not None:
        seen = (query_at[:, :, None] - torch.arange(ahead, device=device) <= window)[:, None]
    mask = seen.new_ones(1, 1, 1, keys) if mask is None else mask
    shape = torch.broadcast_shapes(seen.shape[:3], mask.shape[:3])
    return Visible(torch.cat([seen.expand(*shape, -1), mask.expand(*shape, -1)], -1))


def positions(padding: Tensor) -> Tensor:
    """Numbers of the real tokens, from 0, whether padded at the left or the right. B S."""
    return (padding.long().cumsum(-1) - 1).clamp(min=0)


def last_place(padding: Tensor | None, tokens: Tensor) -> Tensor:
    """The slot of each row's last real token. B 1."""
    if padding is None:
        return torch.full_like(tokens[:, :1], tokens.shape[1] - 1)
    return tokens.shape[1] - 1 - padding.flip(1).long().argmax(1, keepdim=True)


def first_place(padding: Tensor | None, tokens: Tensor) -> Tensor:
    """The slot of each row's first real token. B 1."""
    return torch.zeros_like(tokens[:, :1]) if padding is None else padding.long().argmax(1, keepdim=True)


def pick(x: Tensor, places: Tensor) -> Tensor:
    """The rows of B T W at places B M: B M W."""
    return x.gather(1, places[:, :, None].expand(-1, -1, x.shape[-1]))


def justified(tokens: Tensor, padding: Tensor | None) -> tuple[Tensor, list[int]]:
    """The rows B T with all padding at the right, and how many tokens of each are real."""
    if padding is None:
        return tokens, [tokens.shape[1]] * len(tokens)
    counts = padding.sum(1).tolist()
    first = first_place(padding, tokens)
    at = (torch.arange(max(counts), device=tokens.device) + first).clamp(max=tokens.shape[1] - 1)
    return tokens.gather(1, at), counts


def common(tokens: Tensor, counts: Sequence[int]) -> int:
    """How many tokens all rows B T begin with, the last real token of each left out. One row shares nothing."""
    if len(tokens) < 2:
        return 0
    most = max(0, min(counts) - 1)
    same = (tokens[1:, :most] == tokens[:1, :most]).all(0)
    return int(same.long().cumprod(0).sum())
