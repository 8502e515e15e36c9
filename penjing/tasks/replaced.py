"""ELECTRA (arXiv:2003.10555): which tokens of a text did a small masked language model put there?

The generator guesses hidden tokens; what it draws stands in their places, and the network, the discriminator, tells for
every token whether it was replaced (a right guess was not). Both share their embeddings. The loss is the mean of the
generator's plus `weight` times the mean of the discriminator's. Only the discriminator is saved; the generator lives as
long as its training. The draws are numbers of the batch, so that a run resumes exactly.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import TaskError
from penjing.model.batch import Batch
from penjing.model.config import ModelConfig
from penjing.model.entropy import CELLS, cross_entropy
from penjing.model.head import ClassHead
from penjing.model.transformer import Stack, Transformer, VocabularyHead
from penjing.tasks import masked
from penjing.tasks.task import IGNORED

if TYPE_CHECKING:
    from penjing.tasks.model import Model


class Generator(nn.Module):
    """A narrower encoder over the discriminator's own embeddings (tokens, positions, segments and their norm)."""

    def __init__(self, config: ModelConfig, share: float):
        super().__init__()
        heads = max(1, round(config.heads * share))
        width = max(heads, round(config.width * share / heads) * heads)
        small = dataclasses.replace(
            config, width=width, heads=heads, key_heads=None, head_width=None, mlp_width=max(1, round(config.mlp_width * share)),
            embedding_width=config.embedded, position="none", segments=0, embedding_norm=False, embedding_scale=1.0,
        )  # fmt: skip
        self.encoder = Stack(small, small.encoder_layers, causal=False)
        self.output = VocabularyHead(small)

    def forward(self, network: Transformer, batch: Batch) -> Tensor:
        """States at the batch's places, B M W."""
        shared, tokens = network.encoder, network.embedding(batch.tokens)
        x = shared.summed(tokens, shared.numbers(tokens, batch.mask), batch.segments)
        return self.encoder(x, batch.mask, None, batch.places)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(masked.Task):
    """Options of telling replaced tokens, and those of the generator's masked language modelling."""

    replace: Annotated[float, Field(ge=0, le=1, description="share of those that become the mask token")] = 0.85
    random: Annotated[float, Field(ge=0, le=1, description="share of those that become a random token")] = 0.0
    generator: Annotated[
        float, Field(gt=0, le=1, description="width of the generator, as a share of the network's")
    ] = 0.25
    weight: Annotated[float, Field(ge=0, description="weight of the network's loss beside the generator's")] = 50.0

    name: ClassVar[str] = "replaced"
    purpose: ClassVar[str] = "replaced"
    vocabulary: ClassVar[bool] = False

    def head(self, config, style):
        return ClassHead(config.width, 1, style)

    def companion(self, config):
        return Generator(config, self.generator)

    def question(self, pieces, row, tokenizer, random):
        """A row with hidden tokens, a number from 0 to 1 for each to draw by, and another token of the row."""
        hidden = super().question(pieces, row, tokenizer, random)
        inner = pieces.inner(row)
        others = inner[random.integers(0, max(1, len(inner)), len(hidden.places))] if len(inner) else hidden.labels
        return hidden, random.random(len(hidden.places)), others.astype(np.int64)

    def joined(self, questions, records, tokenizer):
        batch = super().joined([hidden for hidden, _, _ in questions], records, tokenizer)
        chances, others = torch.zeros(batch.labels.shape), torch.zeros_like(batch.labels)
        for number, (_, drawn, instead) in enumerate(questions):
            chances[number, : len(drawn)] = torch.from_numpy(drawn)
            others[number, : len(drawn)] = torch.from_numpy(instead)
        batch.more = {"chances": chances, "others": others}
        return batch

    def loss(self, model, batch):
        if model.companion is None:
            raise TaskError("P-TASK-104")
        kept, table = batch.labels != IGNORED, model.network.embedding
        hidden = model.companion(model.network, batch)[kept]
        own = cross_entropy(*model.companion.output.product(hidden, table), batch.labels[kept])
        drawn = draws(model, hidden, batch.more["chances"][kept])
        scores, replaced = self.judged(model, batch, drawn)
        real = torch.ones_like(replaced) if batch.mask is None else batch.mask
        mean = F.binary_cross_entropy_with_logits(scores[real].float(), replaced[real].float())
        return own + self.weight * batch.label_count * mean

    def judged(self, model: Model, batch: Batch, drawn: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of being replaced, B T, and whether it is so, when `drawn` stand where labels were hidden."""
        kept = batch.labels != IGNORED
        rows = torch.arange(len(kept), device=kept.device)[:, None].expand_as(kept)[kept]
        tokens, replaced = batch.tokens.clone(), torch.zeros_like(batch.tokens, dtype=torch.bool)
        tokens[rows, batch.places[kept]] = drawn
        replaced[rows, batch.places[kept]] = drawn != batch.labels[kept]
        seen = Batch(tokens, batch.mask, batch.segments)
        return model.head(model.network(seen), seen)[..., 0], replaced

    def guesses(self, model, batch):
        """What the network says of tokens that others of the same text replaced: no generator is needed."""
        scores, replaced = self.judged(model, batch, batch.more["others"][batch.labels != IGNORED])
        losses = F.binary_cross_entropy_with_logits(scores.float(), replaced.float(), reduction="none") / np.log(2)
        real = torch.ones_like(replaced) if batch.mask is None else batch.mask
        return [
            {
                "labels": truth[there].int().tolist(),
                "guesses": (score[there] > 0).int().tolist(),
                "bits": loss[there].tolist(),
            }
            for truth, score, loss, there in zip(replaced, scores, losses, real, strict=True)
        ]

    def statistics(self, answers, records):
        """Those of all guesses, and of replaced tokens: found, said to be, there: N 7."""
        rows = [
            (sum(map(int.__and__, answer["labels"], answer["guesses"])), sum(answer["guesses"]), sum(answer["labels"]))
            for answer in answers
        ]
        return np.concatenate([super().statistics(answers, records), np.asarray(rows, float).reshape(-1, 3)], 1)

    def scores(self, sums):
        found, said, there = (sums[..., column] for column in (4, 5, 6))
        return super().scores(sums[..., :4]) | {"f1": 2 * found / np.maximum(said + there, 1)}


@torch.no_grad()
def draws(model: Any, hidden: Tensor, chances: Tensor) -> Tensor:
    """A token for each state N W by the generator's probabilities: where their running sum passes the chance N."""
    found, size = [], model.tokenizer.size
    for states, chance in zip(*(part.split(max(1, CELLS // size)) for part in (hidden, chances)), strict=True):
        scores = model.companion.output(states, model.network.embedding).float()[:, :size]  # no spare rows
        sums = scores.softmax(-1).cumsum(-1)
        found.append(torch.searchsorted(sums, chance[:, None].to(sums) * sums[:, -1:]).clamp(max=size - 1)[:, 0])
    return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64, device=hidden.device)
