"""Whole parts of a block by compiled code, where its products are of few bits: the MLP, and attention of whole texts.

What would be written out and read again between a product, an activation and the next product stays in the processor's
cache, and attention leaves out what is padded. Each function says nothing (None) where it cannot, and the block then
says the same in several operations.

Shapes: B texts, T queries, S keys, H heads, K key heads, D head width, I inputs, O outputs, N rows.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from penjing.model import native
from penjing.model.mask import Visible
from penjing.model.quantized import LANES, Quantized, alike, alone, native_type, packed

ENOUGH = 24  # as in quantized.h: rows of a thread, from which on it needs no room of ours
FEW = 8  # queries; fewer do not pay for the keys being turned round


def feed(x: Tensor, first: Sequence[nn.Linear], activation: int | None, second: nn.Linear) -> Tensor | None:
    """An MLP of x ... I: `first` is one product, or the gate and what it is multiplied with."""
    if activation is None or not able(x):
        return None
    matrices, last = alike(first), alone(second)
    if matrices is None or last is None or last.inputs % LANES or (library := native.library()) is None:
        return None
    if not all(native_type(one.scales) for one in (*matrices, last)):
        return None
    x, threads = x.contiguous(), torch.get_num_threads()
    rows, inner = x.numel() // x.shape[-1], last.inputs
    few = rows < ENOUGH * threads
    room = x.new_empty(rows if few else 0, len(first), inner)
    between = room if len(first) == 1 else x.new_empty(rows if few else 0, inner)
    made = x.new_empty(*x.shape[:-1], last.outputs)
    parts = (
        products(matrices, [one.bias for one in first], rows, x, room, len(first) * inner),
        products([last], [second.bias], rows, between, made, last.outputs),
    )
    told = native.Feed(*parts, activation)
    library.alone(native.Op(kind=native.KINDS.index("feed"), feed=ctypes.addressof(told)), threads)
    return made


def products(
    matrices: Sequence[Quantized], biases: Sequence[Tensor | None], rows: int, x: Tensor, to: Tensor, apart: int
) -> native.Products:
    places = packed(matrices, biases)
    made = native.Products(ctypes.addressof(places), len(places), rows, x.data_ptr(), to.data_ptr(), apart, False)
    made.kept = places  # must live as long as its address is known here
    return made


def attention(query: Tensor, key: Tensor, value: Tensor, visible: Visible, scale: float | None) -> Tensor | None:
    """What `mix` says of query B H T D, key and value B K S D, as B T HD. Sees all real keys, whichever those are."""
    mask = visible.mask
    texts, heads, queries, width = query.shape
    key_heads, keys = key.shape[1:3]
    whole = mask is None or (mask.dtype is torch.bool and mask.shape == (texts, 1, 1, keys))
    if visible.causal or not whole or width % LANES or len(key) != texts or queries < min(FEW, keys):
        return None
    if not all(able(one) and one.stride(3) == 1 for one in (query, key, value)):
        return None
    if (library := native.library()) is None:
        return None
    seen = None if mask is None else mask.reshape(texts, keys).contiguous()
    made = query.new_empty(texts, queries, heads * width)
    told = native.Mix(
        *map(side, (query, key, value)), 0 if seen is None else seen.data_ptr(), made.data_ptr(), texts, queries, keys,
        heads, heads // key_heads, width, width**-0.5 if scale is None else scale,
    )  # fmt: skip
    library.alone(native.Op(kind=native.KINDS.index("mix"), mix=ctypes.addressof(told)), torch.get_num_threads())
    return made


def side(heads: Tensor) -> native.Side:
    """Where numbers B H T D lie."""
    text, head, token, _ = heads.stride()
    return native.Side(heads.data_ptr(), text, head, token)


def able(x: Tensor) -> bool:
    """Whether compiled code may read it now."""
    return not torch.is_grad_enabled() and not torch.compiler.is_compiling() and native_type(x) and x.numel() > 0
