"""The frequencies of rotary positions, and the ways to stretch them beyond the length that a network was trained at.

Shapes: B texts, T tokens, D features of a head that are turned. `at` holds position numbers, 1|B T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Rotation = tuple[Tensor, Tensor]  # cosines twice, and sines with the first half negative: each 1|B T 1 D


@dataclass(frozen=True)
class Scaling:
    """How frequencies are stretched.

    `fast` and `slow` are turns within the trained length: features above `fast` stay, those below `slow` are
    stretched by the whole factor, those between by a part of it (llama3, yarn).
    """

    kind: str
    factor: float
    trained: int  # tokens of the longest text in training
    fast: float = 32.0
    slow: float = 1.0
    whole: bool = True  # yarn: the borders are whole numbers of features
    strength: float = 1.0  # what cosines and sines are multiplied by

    def problems(self, turned: int) -> list[str]:
        """Why it cannot be computed."""
        found = []
        if self.kind not in SCALINGS:
            found.append("kind must be one of " + ", ".join(SCALINGS))
        if self.factor < 1 or self.trained < 1 or self.strength <= 0:
            found.append("factor and trained must be at least 1, and strength above 0")
        if not self.fast > self.slow > 0:
            found.append("fast must be above slow, and slow above 0")
        if self.kind == "dynamic" and turned < 4:
            found.append("dynamic needs at least 4 turned features")
        return found


def plain(width: int, base: float | Tensor, device: torch.device) -> Tensor:
    """Frequencies as they are, D/2."""
    return 1.0 / base ** (torch.arange(0, width, 2, device=device, dtype=torch.float32) / width)


def linear(width: int, base: float, scaling: Scaling, at: Tensor) -> Tensor:
    """All alike: positions lie closer together (arXiv:2306.15595)."""
    return plain(width, base, at.device) / scaling.factor


def dynamic(width: int, base: float, scaling: Scaling, at: Tensor) -> Tensor:
    """A base that grows with the text, once it is longer than any in training: B 1 1 D/2."""
    length = (at.amax(-1) + 1).clamp(min=scaling.trained).float()[:, None, None, None]
    grown = scaling.factor * length / scaling.trained - (scaling.factor - 1)
    return plain(width, base * grown ** (width / (width - 2)), at.device)


def llama3(width: int, base: float, scaling: Scaling, at: Tensor) -> Tensor:
    """By the turns that each feature makes within the trained length (Llama 3.1, arXiv:2407.21783)."""
    frequencies = plain(width, base, at.device)
    turns = scaling.trained * frequencies / (2 * math.pi)
    return between(frequencies, (turns - scaling.slow) / (scaling.fast - scaling.slow), scaling.factor)


def yarn(width: int, base: float, scaling: Scaling, at: Tensor) -> Tensor:
    """By the number of the feature, between those that make `fast` and `slow` turns (arXiv:2309.00071)."""
    first, last = (
        width * math.log(scaling.trained / (turns * 2 * math.pi)) / (2 * math.log(base))
        for turns in (scaling.fast, scaling.slow)
    )
    first, last = (math.floor(first), math.ceil(last)) if scaling.whole else (first, last)
    first, last = max(first, 0), min(last, width - 1)
    number = torch.arange(width // 2, device=at.device, dtype=torch.float32)
    return between(plain(width, base, at.device), 1 - (number - first) / (last - first or 0.001), scaling.factor)


def between(frequencies: Tensor, kept: Tensor, factor: float) -> Tensor:
    """Frequencies of which the share `kept` stays and the rest is divided by the factor."""
    kept = kept.clamp(0, 1)
    return frequencies / factor * (1 - kept) + frequencies * kept


SCALINGS = {"linear": linear, "dynamic": dynamic, "llama3": llama3, "yarn": yarn}
