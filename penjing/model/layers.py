"""The parts of a Transformer block. None of them knows a family, and none knows that it was edited from outside.

Shapes: B texts, T tokens, S keys, H heads, K key heads, D head width, W width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penjing.model import compiled, half_rows, halves
from penjing.model.cache import Reach
from penjing.model.config import ModelConfig
from penjing.model.mask import Visible, pick
from penjing.model.positions import Rotation, rotate
from penjing.model.products import Linear, product, stays
from penjing.model.quantized import alike, alone, multiply


class PlainLayerNorm(nn.LayerNorm):
    """LayerNorm without a bias."""

    def __init__(self, width: int, eps: float):
        super().__init__(width, eps=eps, bias=False)


class RMSNorm(nn.Module):
    """Scaled by the root of the mean square (arXiv:1910.07467)."""

    def __init__(self, width: int, eps: float):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        made = half_rows.norm(x, self.weight, self.eps)
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps) if made is None else made


def gelu_tanh(x: Tensor) -> Tensor:
    """GELU by its tanh formula.

    In bfloat16 on a CPU the exact one, whose forward is four times as fast: they differ by less than 0.0005, the
    rounding by far more.
    """
    exact = x.dtype is torch.bfloat16 and x.device.type == "cpu"
    return F.gelu(x, approximate="none" if exact else "tanh")


Activation = Callable[[Tensor], Tensor]
NORMS = {"layer": nn.LayerNorm, "layer_plain": PlainLayerNorm, "rms": RMSNorm}
ACTIVATIONS = {"gelu": F.gelu, "gelu_tanh": gelu_tanh, "silu": F.silu, "relu": F.relu}
NUMBERS = {function: number for number, function in enumerate(ACTIVATIONS.values())}  # in compiled code
WRITTEN_OUT = 1024  # keys; above it the fused kernel is the faster one
FUSE_FROM = 32  # tokens; below it, joining the weights costs more than two products less


def norm_if(wanted: bool, config: ModelConfig, width: int | None = None) -> nn.Module:
    """A norm, or an empty slot."""
    return NORMS[config.norm](width or config.width, eps=config.norm_eps) if wanted else nn.Identity()


def drop(x: Tensor, share: float) -> Tensor:
    """Dropout. On a CPU, where drawing is the cost, four 16-bit draws are taken from each 64-bit random number."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return F.dropout(x, share)
    words = torch.empty((x.numel() + 3) // 4, dtype=torch.int64).random_(-(2**63), None)
    border = round(share * 2**16)
    kept = words.view(torch.int16)[: x.numel()].view(x.shape) >= border - 2**15
    return (x * kept).mul_(1 / (1 - border / 2**16))


def plain(*modules: nn.Module) -> bool:
    """Whether nobody edited or watches these products, so that they may be computed as one."""
    return all(type(m) is Linear and not m._forward_hooks and not m._forward_pre_hooks for m in modules)


def together(x: Tensor, *linears: nn.Linear) -> Sequence[Tensor]:
    """The outputs of several products of one input: one product where nothing edits them and there are many tokens,
    or where they were joined for a generation.
    """
    if not plain(*linears):
        matrices = alike(linears)
        if matrices is None:
            return [linear(x) for linear in linears]
        made = multiply(x, matrices, [linear.bias for linear in linears])
        return made.split([linear.out_features for linear in linears], dim=-1)
    ready = linears[0].joined
    if ready is not None and not torch.is_grad_enabled() and ready.current:
        made = product(x, ready.weight, ready.bias, ready.packed)
    elif x.shape[0] * x.shape[1] < FUSE_FROM or all(stays(linear.weight) for linear in linears):
        return [linear(x) for linear in linears]
    else:
        made = fused(x, *linears)
    return made.split([linear.out_features for linear in linears], dim=-1)


def fused(x: Tensor, *linears: nn.Linear) -> Tensor:
    """The outputs side by side."""
    bias = None if linears[0].bias is None else torch.cat([linear.bias for linear in linears])
    return F.linear(x, torch.cat([linear.weight for linear in linears]), bias)


Pair = tuple[Tensor, Tensor]  # keys and values, each 1|B K S D


def behind(first: Pair, second: Pair) -> Pair:
    """Keys and values behind others; those of one row stand before every row."""
    rows = max(len(first[0]), len(second[0]))
    key, value = (
        torch.cat([one.expand(rows, -1, -1, -1), other.expand(rows, -1, -1, -1)], 2)
        for one, other in zip(first, second, strict=True)
    )
    return key, value


class Past(NamedTuple):
    """What one layer looks at beside its input: its place in the cache, and what stands before all tokens."""

    layer: int
    reach: Reach | None
    before: Pair | None = None

    def join(self, key: Tensor, value: Tensor) -> Pair:
        """Keep the new B K T D and return all that is looked at, B K S D."""
        if self.reach is not None:
            key, value = self.reach.store(self.layer, key, value)
        return (key, value) if self.before is None else behind(self.before, (key, value))


class Sight(NamedTuple):
    """What one attention is given beside its input."""

    visible: Visible
    query_rotation: Rotation | None = None
    key_rotation: Rotation | None = None


def mix(query: Tensor, key: Tensor, value: Tensor, visible: Visible, scale: float | None, dropout: float) -> Tensor:
    """Softmax of the scores times the values. query: B H T D, key and value: B K S D; returns B H T D.

    A CPU's fused kernel works in float32 whatever it is given. In half precision products written out are twice as fast
    there while the scores stay in its cache, and compiled code of ours, which also drops out, takes half of their time.
    """
    mask, causal = visible
    half = query.dtype is torch.bfloat16 and query.device.type == "cpu"
    if half and (query.shape[2] >= FUSE_FROM or torch.is_grad_enabled()):
        times = query.shape[-1] ** -0.5 if scale is None else scale
        made = halves.attention(query, key, value, visible, times, dropout)
        if made is not None:
            return made
        if query.shape[2] >= FUSE_FROM and key.shape[2] <= WRITTEN_OUT and not dropout:
            return written_out(query, key, value, mask, causal, times)
    return F.scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=causal, dropout_p=dropout, scale=scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )  # fmt: skip


def written_out(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool, scale: float) -> Tensor:
    """Attention as its formula (arXiv:1706.03762, section 3.2.1)."""
    if query.shape[1] != key.shape[1]:
        times = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(times, 1), value.repeat_interleave(times, 1)
    scores = (query * scale) @ key.transpose(-1, -2)  # B H T S
    if causal:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if mask is not None and mask.dtype is torch.bool:  # a sum is six times as fast as filling
        mask = torch.zeros(mask.shape, dtype=scores.dtype, device=mask.device).masked_fill_(~mask, -torch.inf)
    return (scores if mask is None else scores.add_(mask)).softmax(-1) @ value


class Attention(nn.Module):
    """Multi-head attention; grouped queries when there are fewer key heads."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.heads, self.key_heads, self.inner = config.heads, config.keys, config.inner
        self.kept: tuple[int, ...] | None = None  # where some are left of the config's heads: their numbers
        inner, outer = config.attention_bias
        self.query = Linear(config.width, self.heads * self.inner, bias=inner)
        self.key = Linear(config.width, self.key_heads * self.inner, bias=inner)
        self.value = Linear(config.width, self.key_heads * self.inner, bias=inner)
        self.output = Linear(self.heads * self.inner, config.width, bias=outer)
        self.query_norm = norm_if(config.normalize_query_key, config, self.inner)
        self.key_norm = norm_if(config.normalize_query_key, config, self.inner)
        self.scale, self.dropout = config.attention_scale, config.attention_dropout

    def forward(self, x: Tensor, source: Tensor, sight: Sight, past: Past | None = None) -> Tensor:
        """x: B T W asks, source: B S W is looked at (the same tensor unless only some places are asked for)."""
        if x is source:
            query, key, value = together(x, self.query, self.key, self.value)
        else:
            query, (key, value) = self.query(x), together(source, self.key, self.value)
        key, value = self.turned(key, sight), self.split(value)
        if past is not None:
            key, value = past.join(key, value)
        return self.attend(query, key, value, sight)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, sight: Sight) -> Tensor:
        """query: B T HD not yet split; key and value: B K S D."""
        query = rotate(self.query_norm(query.unflatten(-1, (self.heads, self.inner))), sight.query_rotation)
        dropout = self.dropout if self.training else 0.0
        query, visible = query.transpose(1, 2), self.own(sight.visible)
        few = not dropout and alone(self.output) is not None
        made = compiled.attention(query, key, value, visible, self.scale) if few else None
        if made is None:
            made = mix(query, key, value, visible, self.scale, dropout).transpose(1, 2).flatten(2)
        return self.output(made)

    def own(self, visible: Visible) -> Visible:
        """What its own heads see, where positions make a bias for each head that there was."""
        if self.kept is None or visible.mask is None or visible.mask.shape[1] == 1:
            return visible
        return Visible(visible.mask[:, list(self.kept)])

    def turned(self, key: Tensor, sight: Sight) -> Tensor:
        """Keys by head, normalised and rotated: B S KD to B K S D."""
        return rotate(self.key_norm(key.unflatten(-1, (self.key_heads, self.inner))), sight.key_rotation).transpose(
            1, 2
        )

    def split(self, value: Tensor) -> Tensor:
        """B S KD to B K S D."""
        return value.unflatten(-1, (self.key_heads, self.inner)).transpose(1, 2)

    def products(self) -> tuple[tuple[Linear, ...], ...]:
        """What each step multiplies by; what reads the same input stands together."""
        return (self.query, self.key, self.value), (self.output,)

    def remember(self, source: Tensor) -> tuple[Tensor, Tensor]:
        """Keys and values of what a decoder looks at, computed once."""
        key, value = together(source, self.key, self.value)
        return self.turned(key, Sight(Visible())), self.split(value)

    def recall(self, x: Tensor, held: tuple[Tensor, Tensor], sight: Sight) -> Tensor:
        """Attention to keys and values that were computed before."""
        return self.attend(self.query(x), *held, sight)


def active(function: Activation, x: Tensor, times: Tensor | None = None) -> Tensor:
    """The activation of x, times the other side of a gate."""
    made = half_rows.activated(x, times, NUMBERS.get(function))
    if made is not None:
        return made
    return function(x) if times is None else function(x) * times


class MLP(nn.Module):
    """Up, activation, down."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.up = Linear(config.width, config.mlp_width, bias=config.mlp_bias)
        self.down = Linear(config.mlp_width, config.width, bias=config.mlp_bias)
        self.activation = ACTIVATIONS[config.activation]

    def forward(self, x: Tensor) -> Tensor:
        made = compiled.feed(x, (self.up,), NUMBERS.get(self.activation), self.down)
        return self.down(active(self.activation, self.up(x))) if made is None else made

    def products(self) -> tuple[tuple[Linear, ...], ...]:
        """What each step multiplies by; what reads the same input stands together."""
        return (self.up,), (self.down,)


class GatedMLP(MLP):
    """The activated gate times up, then down (arXiv:2002.05202)."""

    def __init__(self, config: ModelConfig):
        super().__init__(config)
        self.gate = Linear(config.width, config.mlp_width, bias=config.mlp_bias)

    def forward(self, x: Tensor) -> Tensor:
        made = compiled.feed(x, (self.gate, self.up), NUMBERS.get(self.activation), self.down)
        if made is not None:
            return made
        gate, up = together(x, self.gate, self.up)
        return self.down(active(self.activation, gate, up))

    def products(self) -> tuple[tuple[Linear, ...], ...]:
        """As `MLP.products`."""
        return (self.gate, self.up), (self.down,)


class Block(nn.Module):
    """Attention, cross-attention (in encoder-decoders), MLP; each with a norm before it or after its residual."""

    def __init__(self, config: ModelConfig, layer: int, crossed: bool):
        super().__init__()
        before, after = config.norm_place == "before", config.norm_place == "after"
        self.before_attention = norm_if(before and (config.first_norm or layer > 0), config)
        self.attention = Attention(config)
        self.after_attention = norm_if(after, config)
        if crossed:
            self.before_cross, self.cross, self.after_cross = (
                norm_if(before, config),
                Attention(config),
                norm_if(after, config),
            )
        self.before_mlp = norm_if(before, config)
        self.mlp = GatedMLP(config) if config.gated_mlp else MLP(config)
        self.after_mlp = norm_if(after, config)
        self.crossed, self.dropout = crossed, config.dropout

    def forward(
        self,
        x: Tensor,
        sight: Sight,
        places: Tensor | None = None,
        past: Past | None = None,
        held: tuple[Tensor, Tensor] | None = None,
        cross_sight: Sight | None = None,
    ) -> Tensor:
        """x: B T W. With `places` B M only those rows are asked and returned, B M W, and all rows are looked at."""
        source = asking = self.before_attention(x)
        if places is not None:
            asking = pick(source, places)
            x = asking if source is x else pick(x, places)
        x = self.after_attention(x + self.dropped(self.attention(asking, source, sight, past)))
        if self.crossed:
            x = self.after_cross(x + self.dropped(self.cross.recall(self.before_cross(x), held, cross_sight)))
        return self.after_mlp(x + self.dropped(self.mlp(self.before_mlp(x))))

    def products(self) -> list[tuple[Linear, ...]]:
        """What each decoding step multiplies by, as far as nobody edited it; the cross keys and values are held."""
        cross = ((self.cross.query,), (self.cross.output,)) if self.crossed else ()
        return [group for group in (*self.attention.products(), *cross, *self.mlp.products()) if plain(*group)]

    def dropped(self, x: Tensor) -> Tensor:
        """Dropout, not called at all where there is none."""
        return drop(x, self.dropout) if self.training and self.dropout else x


class ParallelBlock(Block):
    """Attention and MLP read the same input, each through its own norm, and both are added to it (GPT-NeoX)."""

    def forward(
        self,
        x: Tensor,
        sight: Sight,
        places: Tensor | None = None,
        past: Past | None = None,
        held: tuple[Tensor, Tensor] | None = None,
        cross_sight: Sight | None = None,
    ) -> Tensor:
        """As `Block.forward`."""
        source = asking = self.before_attention(x)
        if places is not None:
            asking, x = pick(source, places), pick(x, places)
        attended = self.dropped(self.attention(asking, source, sight, past))
        return x + attended + self.dropped(self.mlp(self.before_mlp(x)))


BLOCKS = {"serial": Block, "parallel": ParallelBlock}
