"""Where a token stands. A scheme overrides one of three hooks; the base scheme does nothing.

Shapes: B texts (or 1 when all rows agree), T tokens, S keys, H heads, D head width. `at` holds position numbers, B T.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penjing.model.batch import too_long
from penjing.model.config import ModelConfig
from penjing.model.embedding import Embedding

Rotation = tuple[Tensor, Tensor]  # cosines and sines, each 1|B T 1 D/2


class Positions(nn.Module):
    """No positions at all, and the three hooks."""

    absolute = False  # whether the number itself matters, or only differences of numbers

    def __init__(self, config: ModelConfig, causal: bool, local: bool = False):
        super().__init__()

    def add(self, at: Tensor) -> Tensor | None:
        """What is added to the token embeddings."""
        return None

    def rotation(self, at: Tensor, dtype: torch.dtype) -> Rotation | None:
        """What queries and keys are rotated by."""
        return None

    def bias(self, query_at: Tensor, key_at: Tensor) -> Tensor | None:
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
        self.base = config.window_rotary_base if local else config.rotary_base
        self.width = config.inner

    def rotation(self, at: Tensor, dtype: torch.dtype) -> Rotation:
        """Angles in float32 whatever the weights are: bfloat16 cannot tell 256 from 257."""
        power = torch.arange(0, self.width, 2, device=at.device, dtype=torch.float32) / self.width
        angle = at[:, :, None, None].float() * (1.0 / self.base**power)
        return angle.cos().to(dtype), angle.sin().to(dtype)


class Relative(Positions):
    """A learned bias per head and distance bucket, exact when near, logarithmic when far (T5, arXiv:1910.10683)."""

    def __init__(self, config: ModelConfig, causal: bool, local: bool = False):
        super().__init__(config, causal, local)
        self.buckets, self.farthest = config.relative
        self.table = Embedding(self.buckets, config.heads)
        self.causal = causal

    def bias(self, query_at: Tensor, key_at: Tensor) -> Tensor:
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


POSITIONS = {
    "none": Positions, "learned": Learned, "sinusoidal": Sinusoidal, "rotary": Rotary, "relative": Relative,
}  # fmt: skip


def rotate(x: Tensor, rotation: Rotation | None) -> Tensor:
    """Turn each head's halves, x: B T H D."""
    if rotation is None:
        return x
    cosine, sine = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, second * cosine + first * sine], dim=-1)
