"""Attention in bfloat16 with its gradients, by compiled code: what training in half precision asks of a CPU.

torch's fused kernel works in float32 whatever it is given, and written out in several operations attention reads and
writes numbers for every pair of tokens six times; here they stay in the processor's cache, and none is kept.

Shapes: B texts, T queries, S keys, H heads, K key heads, D head width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from penjing.model import native
from penjing.model.mask import Visible

LANES = 16


def attention(
    query: Tensor, key: Tensor, value: Tensor, visible: Visible, scale: float, dropout: float = 0.0
) -> Tensor | None:
    """What `mix` says, B H T D as a view of B T H D; None where this code cannot."""
    mask, (texts, _, queries, width), keys = visible.mask, query.shape, key.shape[2]
    if torch.compiler.is_compiling() or width % LANES or scale <= 0 or len(key) != texts or not query.numel():
        return None
    if key.shape != value.shape or key.shape[3] != width or not key.numel() or query.shape[1] % key.shape[1]:
        return None
    if mask is not None and (mask.dtype is not torch.bool or mask.dim() != 4 or mask.shape[1] != 1):
        return None
    if mask is not None and (mask.shape[2] not in (1, queries) or mask.shape[3] not in (1, keys)):
        return None
    if visible.causal and queries != keys or any(one.dtype is not torch.bfloat16 for one in (query, key, value)):
        return None
    if (library := native.library()) is None or not library.halves:
        return None
    seen = None if mask is None else mask.expand(texts, 1, -1, keys)
    return Attention.apply(query, key, value, seen, visible.causal, scale, dropout)


class Attention(torch.autograd.Function):
    """Softmax of scores times values; the scores are made anew going back (arXiv:2205.14135)."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, value: Tensor, seen: Tensor | None, causal: bool, scale: float,
        dropout: float,
    ) -> Tensor:  # fmt: skip
        query, key, value = map(together, (query, key, value))
        seen = seen if seen is None or seen.stride(3) == 1 else seen.contiguous()
        made = like(query)
        logs = query.new_empty(query.shape[:3], dtype=torch.float32)
        seed = int(torch.empty((), dtype=torch.int64).random_()) if dropout else 0
        ctx.how = dict(causal=causal, scale=scale, dropout=dropout, seed=seed)
        run(dict(query=query, key=key, value=value, made=made), seen, logs, **ctx.how)
        ctx.save_for_backward(query, key, value, made, seen, logs)
        return made

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        query, key, value, made, seen, logs = ctx.saved_tensors
        grown = [like(one) for one in (query, key, value)]
        named = dict(zip(("query_gradient", "key_gradient", "value_gradient"), grown, strict=True))
        named |= dict(query=query, key=key, value=value, made=made, made_gradient=together(gradient))
        run(named, seen, logs, **ctx.how)
        found = [one if wanted else None for one, wanted in zip(grown, ctx.needs_input_grad[:3], strict=True)]
        return *found, None, None, None, None


def run(named: dict[str, Tensor], seen: Tensor | None, logs: Tensor, **how: Any) -> None:
    """Forward, or back where gradients are among what is named."""
    (texts, heads, queries, width), (_, key_heads, keys, _) = named["query"].shape, named["key"].shape
    told = native.Halves(
        **{name: native.Side(one.data_ptr(), *one.stride()[:3]) for name, one in named.items()},
        seen=0 if seen is None else seen.data_ptr(), seen_text=0 if seen is None else seen.stride(0),
        seen_query=0 if seen is None or seen.shape[2] == 1 else seen.stride(2), logs=logs.data_ptr(), texts=texts,
        queries=queries, keys=keys, heads=heads, group=heads // key_heads, width=width,
        back="made_gradient" in named, **how,
    )  # fmt: skip
    native.library().attend_halves(told, torch.get_num_threads())  # type: ignore[union-attr]


def together(heads: Tensor) -> Tensor:
    """The same, with the numbers of a token side by side."""
    return heads if heads.stride(3) == 1 else heads.contiguous()


def like(heads: Tensor) -> Tensor:
    """Room for B H T D, where tokens come before heads."""
    texts, count, tokens, width = heads.shape
    return heads.new_empty(texts, tokens, count, width).transpose(1, 2)
