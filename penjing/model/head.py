"""The head that turns hidden states into one score per label, as each family's own does: of a text, or of each token.

Shapes: B texts, T tokens, M places, W width, L labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from penjing.model.batch import Batch
from penjing.model.crf import CRF
from penjing.model.initial import draw
from penjing.model.layers import ACTIVATIONS, NORMS, drop
from penjing.model.mask import first_place, last_place

HEAD_ACTIVATIONS = {**ACTIVATIONS, "tanh": torch.tanh}


@dataclass(frozen=True)
class HeadStyle:
    """How a family pools and scores."""

    # end: the last place in the text of the token `end`; each: no pooling, every token is scored
    pool: Literal["first", "last", "mean", "end", "each"] = "first"
    dense: Literal["none", "dense", "dense_plain"] = "none"
    activation: str = "tanh"
    norm: str | None = None
    norm_eps: float = 1e-5
    bias: bool = True
    dropout: float = 0.0
    end: int | None = None


class ClassHead(nn.Module):
    """Pool, dense, activation, norm, dropout, output; the slots that a style leaves empty do nothing.

    crf: also learnt scores of the steps from one token's label to the next one's, for who asks for them.
    """

    def __init__(self, width: int, labels: int, style: HeadStyle, crf: bool = False):
        super().__init__()
        self.style, self.labels = style, labels
        self.dense = nn.Identity() if style.dense == "none" else nn.Linear(width, width, style.dense == "dense")
        self.activation = nn.Identity() if style.dense == "none" else HEAD_ACTIVATIONS[style.activation]
        self.norm = NORMS[style.norm](width, style.norm_eps) if style.norm else nn.Identity()
        self.output = nn.Linear(width, labels, bias=style.bias)
        self.crf = CRF(labels) if crf else None

    def places(self, batch: Batch) -> Tensor | None:
        """The only positions this head looks at, B 1, for `batch.places`; None: all of them (mean, each)."""
        tokens, mask = (batch.tokens, batch.mask) if batch.target is None else (batch.target, batch.target_mask)
        choose = {"first": first_place, "last": last_place}.get(self.style.pool)
        if self.style.pool == "end":  # tokens of the text, not of the decoder, which are one place later
            return last_place(batch.tokens == self.style.end, tokens)
        return choose(mask, tokens) if choose else None

    def forward(self, hidden: Tensor, batch: Batch) -> Tensor:
        """Scores B L from hidden states of the whole batch, B T W, or of `self.places(batch)`, B 1 W; `each`: B M L."""
        hidden = hidden if self.style.pool == "each" else self.pool(hidden, batch)
        pooled = self.activation(self.dense(hidden))
        pooled = self.norm(pooled)
        if self.training and self.style.dropout:
            pooled = drop(pooled, self.style.dropout)
        return self.output(pooled)

    def pool(self, hidden: Tensor, batch: Batch) -> Tensor:
        """One state per text, B W."""
        places = self.places(batch)
        if places is not None:
            return hidden[:, 0] if hidden.shape[1] == 1 else hidden[torch.arange(len(hidden)), places[:, 0]]
        mask = batch.mask if batch.target is None else batch.target_mask
        if mask is None:
            return hidden.mean(1)
        weight = mask[:, :, None].to(hidden.dtype)
        return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)

    @torch.no_grad()
    def initialize(self, generator: torch.Generator | int = 0, std: float | None = 0.02) -> None:
        """Biases 0, norms 1, matrices normal; `std` None: one over the root of the inputs."""
        generator = torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                parameter.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                draw(parameter, std or parameter.shape[1] ** -0.5, generator)
        if self.crf is not None:
            self.crf.initialize()
