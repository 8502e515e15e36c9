"""Where a token stands. A scheme overrides one of three hooks; the base scheme does nothing.

Shapes: B texts (or 1 when all rows agree), T tokens, S keys, H heads, D head width. `at` holds position numbers, B T.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penjing.model import half_rows
from penjing.model.batch import too_long
from penjing.model.config import ModelConfig
from penjing.model.embedding import Embedding
from penjing.model.mask import pick
from penjing.model.rotary import SCALINGS, Rotation, plain

BOUNDED = ("learned", "rotary", "sinusoidal")  # schemes that end at `max_tokens`; the others go on


class Positions(nn.Module):
    """No positions at all, and the three hooks."""

    absolute = False  # whether the number itself matters, or only differences of numbers
    most: int | None = None  # positions that there are; None: no end

    def __init__(self, config: ModelConfig, causal: bool, local: bool = False):
        super().__init__()

    def add(self, at: Tensor) -> Tensor | None:
        """What is added to the token embeddings."""
        return None

    def rotation(self, at: Tensor, dtype: torch.dtype) -> Rotation | None:
        """What queries and keys are rotated by."""
        return None

    def bias(self, query_at: Tensor, key_at: Tensor, dtype: torch.dtype) -> Tensor | None:
        """What is added to the scores, 1|B H T S."""
        return None


class Learned(Positions):
    """A vector for each position (BERT)."""

    absolute = True

    def __init__(self, config: ModelConfig, causal: bool, local: bool = False):
        super().__init__(config, causal, local)
        self.first, self.most = config.first_position, config.max_tokens
        self.table = Embedding(self.first + self.most, config.embedded)

    def add(self, at: Tensor) -> Tensor:
        if at.shape[1] > self.most:
            raise too_long(at.shape[1], self.most)
        return self.table(at + self.first if self.first else at)


class Sinusoidal(Positions):
    """Sines, then cosines, of wavelengths from 2π to 10000 · 2π (arXiv:1706.03762): nothing learned, nothing stored."""

    absolute = True

    def __init__(self, config: ModelConfig, causal: bool, local: bool = False):
        super().__init__(config, causal, local)
        self.most, self.width = config.max_tokens, config.embedded
        self.rows: Tensor | None = None  # made when first asked for: a network is built without values

    def add(self, at: Tensor) -> Tensor:
        if at.shape[1] > self.most:
            raise too_long(at.shape[1], self.most)
        if self.rows is None or self.rows.device != at.device:
            self.rows = self.waves(at.device)
        return F.embedding(at, self.rows)

    def waves(self, device: torch.device) -> Tensor:
        """The vectors of all positions, T W float32; angles in float64, where position 1000 is as exact as 1."""
        power = torch.arange(0, self.width, 2, dtype=torch.float64) / self.width
        angle = torch.arange(self.most, dtype=torch.float64)[:, None] / 10_000.0**power
        return torch.cat([angle.sin(), angle.cos()], -1)[:, : self.width].float().to(device)


class Rotary(Positions):
    """Queries and keys are rotated by an angle that grows with the position (RoPE, arXiv:2104.09864), half by half."""

    def __init__(self, config: ModelConfig, causal: bool, local: bool = False):
        super().__init__(config, causal, local)
        local_base = config.window_rotary_base if local else None
        self.base = config.rotary_base if local_base is None else local_base
        self.width, self.scaling = config.turned, config.rotary_scaling
        self.absolute = config.by_length

    def rotation(self, at: Tensor, dtype: torch.dtype) -> Rotation:
        """Angles in float32 whatever the weights are: bfloat16 cannot tell 256 from 257."""
        angle = at[:, :, None, None].float() * self.frequencies(at)
        cosine, sine = angle.cos(), angle.sin()
        if self.scaling is not None and self.scaling.strength != 1.0:
            cosine, sine = cosine * self.scaling.strength, sine * self.scaling.strength
        return torch.cat([cosine, cosine], -1).to(dtype), torch.cat([-sine, sine], -1).to(dtype)

    def frequencies(self, at: Tensor) -> Tensor:
        """Radians a token of each pair of features, D/2, or B 1 1 D/2 where they follow from the length of a text."""
        if self.scaling is None:
            return plain(self.width, self.base, at.device)
        return SCALINGS[self.scaling.kind](self.width, self.base, self.scaling, at)


class Relative(Positions):
    """A learned bias per head and distance bucket, exact when near, logarithmic when far (T5, arXiv:1910.10683)."""

    def __init__(self, config: ModelConfig, causal: bool, local: bool = False):
        super().__init__(config, causal, local)
        self.buckets, self.farthest = config.relative
        self.table = Embedding(self.buckets, config.heads)
        self.causal = causal

    def bias(self, query_at: Tensor, key_at: Tensor, dtype: torch.dtype) -> Tensor:
        bucket = self.bucket(key_at[:, None, :] - query_at[:, :, None])
        return self.table(bucket).permute(0, 3, 1, 2)

    def bucket(self, distance: Tensor) -> Tensor:
        """Bucket numbers of the distances key - query, B T S."""
        buckets, start = self.buckets, 0
        if self.causal:
            distance = -distance.clamp(max=0)
        else:
            buckets //= 2
            start = (distance > 0).long() * buckets
            distance = distance.abs()
        exact = buckets // 2
        growth = (distance.clamp(min=1).float() / exact).log() / math.log(self.farthest / exact)
        far = exact + (growth * (buckets - exact)).long()
        return start + torch.where(distance < exact, distance, far.clamp(max=buckets - 1))


class Alibi(Positions):
    """A bias that falls with the distance, for each head at its own slope; nothing is learned (arXiv:2108.12409)."""

    def __init__(self, config: ModelConfig, causal: bool, local: bool = False):
        super().__init__(config, causal, local)
        self.heads = config.heads

    def bias(self, query_at: Tensor, key_at: Tensor, dtype: torch.dtype) -> Tensor:
        slope = torch.tensor(slopes(self.heads), device=query_at.device)[:, None, None]
        distance = (key_at[:, None, None, :] - query_at[:, None, :, None]).abs()
        return (-slope * distance).to(dtype)


def slopes(heads: int) -> list[float]:
    """From 2^(-8/n) down to 2^-8; for an n that is no power of 2, between those of the next powers."""
    whole = 2 ** int(math.log2(heads))
    first = [2.0 ** (-8 * i / whole) for i in range(1, whole + 1)]
    return first + [2.0 ** (-4 * i / whole) for i in range(1, 2 * (heads - whole), 2)]


POSITIONS = {
    "none": Positions, "learned": Learned, "sinusoidal": Sinusoidal, "rotary": Rotary, "relative": Relative,
    "alibi": Alibi,
}  # fmt: skip


def picked(rotation: Rotation | None, places: Tensor) -> Rotation | None:
    """What the rows at places B M are rotated by."""
    if rotation is None:
        return None
    cosine, sine = (pick(side.flatten(2).expand(len(places), -1, -1), places)[:, :, None] for side in rotation)
    return cosine, sine


def rotate(x: Tensor, rotation: Rotation | None) -> Tensor:
    """Turn the halves of each head's first features, as many as the rotation has; the others stay. x: B T H D."""
    if rotation is None:
        return x
    cosine, sine = rotation
    width = cosine.shape[-1]
    made = half_rows.turned(x, rotation) if width == x.shape[-1] else None
    if made is not None:
        return made
    front = x if width == x.shape[-1] else x[..., :width]
    turned = front * cosine + front.roll(width // 2, -1) * sine  # the halves change places
    return turned if front is x else torch.cat([turned, x[..., width:]], -1)
