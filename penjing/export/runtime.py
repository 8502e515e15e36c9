"""A network that is computed elsewhere, and still answers as one: what a task asks of a network, any runtime can give.

So a task's own answers, batches, beams and scores come through the exported file, not through Penjing's network.
Its hidden states are the scores themselves, and its heads hand them on.
Shapes: R rows, T tokens, V vocabulary, C scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penjing.model.batch import Batch
from penjing.model.mask import justified, pick
from penjing.model.transformer import Network


class Runtime(nn.Module):
    """The protocol of a network; `read` and `continued` are for the runtime to say."""

    def __init__(self, like: Network):
        super().__init__()
        self.config, self.max_tokens = like.config, like.max_tokens
        self.encoder, self.decoder = like.encoder is not None or None, like.decoder is not None or None
        self.output = like.output is not None or None
        self.place = nn.Parameter(torch.zeros(()), requires_grad=False)  # says where tensors are made

    def read(self, batch: Batch) -> Tensor:
        """Scores of all tokens of a batch, R T C, or of its texts, R C."""
        raise AssertionError("a runtime says this")

    def continued(self, tokens: Tensor, memory: Kept) -> Tensor:
        """Scores R T V of new tokens, which the memory then holds."""
        raise AssertionError("a runtime says this")

    def opened(self, batch: Batch) -> Kept:
        """A memory that holds nothing yet, with the encoder's side where there is one."""
        return Kept(len(batch.tokens))

    # ---- what a task asks ----

    def forward(self, batch: Batch) -> Tensor:
        scores = self.read(batch)
        return scores if batch.places is None or scores.dim() < 3 else pick(scores, batch.places)

    def logits(self, hidden: Tensor) -> Tensor:
        """The scores that came instead of hidden states."""
        return hidden

    def vocabulary_loss(self, hidden: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """As `Network.vocabulary_loss`."""
        return F.cross_entropy(hidden, labels, label_smoothing=smoothing, reduction="sum")

    def token_losses(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """As `Network.token_losses`."""
        return F.cross_entropy(hidden, labels, reduction="none")

    def start(self, batch: Batch, capacity: int | None = None) -> Kept:
        """As `Transformer.start`."""
        memory, tokens, mask = self.opened(batch), batch.tokens, batch.mask
        if self.encoder is not None:
            tokens, mask = batch.target, batch.target_mask
        tokens, counts = justified(tokens, mask)
        memory.mask = torch.arange(tokens.shape[1]) < torch.tensor(counts)[:, None]
        scores = self.continued(tokens, memory)
        memory.hidden = pick(scores, torch.tensor(counts)[:, None] - 1)
        return memory

    def step(self, tokens: Tensor, memory: Kept) -> Tensor:
        """As `Transformer.step`."""
        more = torch.ones(tokens.shape, dtype=torch.bool)
        memory.mask = more if memory.mask is None else torch.cat([memory.mask, more], 1)
        return self.continued(tokens, memory)


class Kept:
    """What a runtime remembers between steps; rows may be chosen, as of `Memory`."""

    def __init__(self, rows: int):
        self.rows = rows
        self.mask: Tensor | None = None  # R S bool: the real ones of all tokens that were read
        self.hidden: Tensor | None = None  # R 1 V: scores after the prompts
        self.past: dict[str, Any] = {}  # name -> array R ...
        self.source: dict[str, Any] = {}  # the same of the encoder

    def select(self, rows: Tensor | Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be taken many times."""
        chosen = torch.as_tensor(rows)
        self.rows = len(chosen)
        for name in ("mask", "hidden"):
            held = getattr(self, name)
            setattr(self, name, None if held is None else held[chosen])
        numbers = chosen.numpy()
        self.past = {name: held[numbers] for name, held in self.past.items()}
        self.source = {name: held[numbers] for name, held in self.source.items()}


class PassedOn(nn.Module):
    """In the place of a head: the scores are there already."""

    def __init__(self, like: nn.Module):
        super().__init__()
        self.style, self.labels, self.crf = like.style, like.labels, None

    def places(self, batch: Batch) -> None:
        """All of them."""

    def forward(self, scores: Tensor, batch: Batch) -> Tensor:
        return scores
