"""One Transformer for every family: encoder (BERT), decoder (Llama), encoder-decoder (T5).

A family is a `ModelConfig`, not a class: what families differ in fills slots, and an empty slot does nothing.
Shapes: B texts, T tokens, U decoder tokens, S keys, M places, W width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from penjing.base.errors import ModelError
from penjing.model.batch import Batch, too_long
from penjing.model.cache import Cache, Layers, Memory, Reach
from penjing.model.config import ModelConfig
from penjing.model.embedding import Embedding
from penjing.model.entropy import cross_entropy, token_losses
from penjing.model.initial import initialize
from penjing.model.layers import ACTIVATIONS, BLOCKS, Pair, Past, Sight, drop, norm_if
from penjing.model.mask import Visible, biased, common, describe, justified, pick, positions, preceded
from penjing.model.positions import BOUNDED, POSITIONS, picked
from penjing.model.products import Packed, Product, product
from penjing.model.quantized import alone
from penjing.model.step import Tape, recordable

SHARE_FROM = 8  # tokens that all prompts must begin with before they are computed apart


class Stack(nn.Module):
    """A column of blocks that share their positions: an encoder when not `causal`, else a decoder.

    recompute: in training only what enters each block is kept, and the rest computed again (arXiv:1604.06174).
    """

    recompute = False

    def __init__(self, config: ModelConfig, layers: int, causal: bool, crossed: bool = False):
        super().__init__()
        self.config, self.causal = config, causal
        self.position = POSITIONS[config.position](config, causal)
        if config.window is not None:
            self.local_position = POSITIONS[config.position](config, causal, local=True)
        self.segment = Embedding(config.segments, config.embedded) if config.segments else None
        self.embedding_norm = norm_if(config.embedding_norm, config, config.embedded)
        self.projection = nn.Linear(config.embedded, config.width) if config.embedded != config.width else nn.Identity()
        self.blocks = nn.ModuleList(BLOCKS[config.block](config, layer, crossed) for layer in range(layers))
        self.final_norm = norm_if(config.final_norm, config)

    def forward(
        self,
        x: Tensor,
        padding: Tensor | None = None,
        segments: Tensor | None = None,
        places: Tensor | None = None,
        held: list[tuple[Tensor, Tensor]] | None = None,
        held_padding: Tensor | None = None,
        reach: dict[bool, Reach] | None = None,
        before: Sequence[Pair] | None = None,
    ) -> Tensor:
        """Token embeddings B T W to hidden states B T W, or B M W at `places`.

        `before`: keys and values of each layer, 1 K P D, that stand before all tokens and take the first positions.
        """
        return self.through(x, padding, segments, places, held, held_padding, reach, before)

    def sources(self, x: Tensor, padding: Tensor | None, segments: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What another stack looks at: all states, B T W, and which of them are real."""
        return self.through(x, padding, segments), padding

    def ahead(self) -> int:
        """Positions that are taken before the first token."""
        return 0

    def through(
        self, x: Tensor, padding: Tensor | None, segments: Tensor | None, places: Tensor | None = None,
        held: list[tuple[Tensor, Tensor]] | None = None, held_padding: Tensor | None = None,
        reach: dict[bool, Reach] | None = None, before: Sequence[Pair] | None = None, first: int = 0,
        last: int | None = None,
    ) -> Tensor:  # fmt: skip
        """One run through the blocks: from `first` on, if it is not 0 with the states under that block as x; with
        `last`, to the states under that one."""
        ahead = 0 if before is None else before[0][0].shape[2]
        at = self.numbers(x, padding, ahead) if reach is None else next(iter(reach.values())).query_at + ahead
        x = x if first else self.embed(x, at, segments)
        sights = self.sights(x, padding, at, None, ahead) if reach is None else self.cached(x, reach, ahead)
        chosen = sights if places is None else self.sights(x, padding, at, places, ahead)
        cross = Sight(describe(held_padding, 0, 0))
        again = self.recompute and reach is None and torch.is_grad_enabled()
        for layer, (block, (_, local)) in list(enumerate(zip(self.blocks, self.layers(), strict=True)))[first:last]:
            block = partial(checkpoint, block, use_reentrant=False) if again else block
            top = layer == len(self.blocks) - 1
            x = block(
                x,
                (chosen if top else sights)[local],
                places if top else None,
                None if reach is before is None else Past(layer, reach and reach[local], before and before[layer]),
                None if held is None else held[layer],
                cross,
            )
        return self.final_norm(x) if last is None else x

    def layers(self) -> Layers:
        """Heads of keys of each block, and whether it sees only its window; some of the config's may have gone."""
        return [(one.attention.key_heads, self.config.local(int(n))) for n, one in self.blocks.named_children()]

    def numbers(self, x: Tensor, padding: Tensor | None, ahead: int = 0) -> Tensor:
        """Position numbers 1|B T. Where only differences of the text's own matter, padding at the left changes nothing."""
        if ahead and self.position.most is not None and ahead + x.shape[1] > self.position.most:
            raise too_long(x.shape[1], self.position.most - ahead)
        if padding is not None and (self.position.absolute or ahead):
            return positions(padding) + ahead
        return torch.arange(ahead, ahead + x.shape[1], device=x.device)[None]

    def embed(self, x: Tensor, at: Tensor, segments: Tensor | None) -> Tensor:
        """Scale, positions, segments, norm, dropout and widening of the embeddings."""
        x = self.summed(x, at, segments)
        return self.projection(drop(x, self.config.dropout) if self.training and self.config.dropout else x)

    def summed(self, x: Tensor, at: Tensor, segments: Tensor | None) -> Tensor:
        """Embeddings with scale, positions, segments and norm, not yet widened: what two networks can share."""
        x = x if self.config.embedding_scale == 1.0 else x * self.config.embedding_scale
        added = self.position.add(at)
        x = x if added is None else x + added.to(x.dtype)
        if self.segment is not None:
            x = x + self.segment(at.new_zeros(1) if segments is None else segments)
        return self.embedding_norm(x)

    def sights(
        self, x: Tensor, padding: Tensor | None, at: Tensor, places: Tensor | None, ahead: int = 0
    ) -> dict[bool, Sight]:
        """What attention is told, for global layers (False) and local ones (True)."""
        query_at, queries = at, x.shape[1]
        if places is not None:
            queries, query_at = places.shape[1], at.expand(len(places), -1).gather(1, places)
        found = {}
        for local in {local for _, local in self.layers()}:
            position = self.local_position if local else self.position
            visible = describe(
                padding,
                queries,
                x.shape[1],
                causal=self.causal,
                window=self.config.window if local else None,
                places=places,
                device=x.device,
            )
            visible = self.completed(visible, local, query_at, at, ahead, x.dtype)
            turned = position.rotation(at, x.dtype)
            found[local] = Sight(visible, turned if places is None else picked(turned, places), turned)
        return found

    def cached(self, x: Tensor, reach: dict[bool, Reach], ahead: int = 0) -> dict[bool, Sight]:
        """The same where the keys of earlier tokens lie in a cache, already turned."""
        found = {}
        for local, near in reach.items():
            position = self.local_position if local else self.position
            query_at, key_at = near.query_at + ahead, near.key_at + ahead
            rotation = position.rotation(query_at, x.dtype)
            visible = self.completed(near.visible, local, query_at, key_at, ahead, x.dtype)
            found[local] = Sight(visible, rotation, rotation)
        return found

    def completed(
        self, visible: Visible, local: bool, query_at: Tensor, key_at: Tensor, ahead: int, dtype: torch.dtype
    ) -> Visible:
        """With the keys that stand before all tokens, and with the positions' bias."""
        position = self.local_position if local else self.position
        if ahead:
            visible = preceded(visible, query_at, key_at.shape[1], ahead, self.config.window if local else None)
            first = torch.arange(ahead, device=key_at.device).expand(len(key_at), -1)
            key_at = torch.cat([first, key_at], 1)
        return biased(visible, position.bias(query_at, key_at, dtype))


class VocabularyHead(nn.Module):
    """Hidden states to scores over the vocabulary."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        wanted, bias = config.output_transform != "none", config.output_transform == "dense"
        self.dense = nn.Linear(config.width, config.embedded, bias) if wanted else nn.Identity()
        self.activation = ACTIVATIONS[config.activation] if wanted else nn.Identity()
        self.norm = norm_if(wanted, config, config.embedded)
        self.weight = None if config.tied_output else nn.Parameter(torch.empty(config.vocab_size, config.embedded))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.vocabulary_bias else None
        self.scale = config.output_scale
        self.packed: Packed | None = None

    def states(self, hidden: Tensor) -> Tensor:
        """What is multiplied with the rows."""
        hidden = self.norm(self.activation(self.dense(hidden)))
        return hidden * self.scale if self.scale != 1.0 else hidden

    def product(self, hidden: Tensor, tied: nn.Module) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the scores are the product of: states ... W, rows V W (the table's, where they are tied), bias V."""
        return self.states(hidden), tied.weight if self.weight is None else self.weight, self.bias

    def forward(self, hidden: Tensor, tied: nn.Module) -> Tensor:
        return product(*self.product(hidden, tied), self.packed)


class Network(nn.Module):
    """What every network can do: be made, be filled, and score the vocabulary."""

    config: Any
    embedding: Embedding
    encoder: Any
    decoder: Any
    output: VocabularyHead | None

    @classmethod
    def new(cls, config: Any, generator: torch.Generator | int = 0, vocabulary: bool = True) -> Self:
        """A fresh network whose values follow from the generator (or seed) alone; no value is drawn twice."""
        with torch.device("meta"):
            network = cls(config, vocabulary)
        network.to_empty(device="cpu")
        network.initialize(generator)
        return network

    def initialize(self, generator: torch.Generator | int = 0) -> None:
        """Draw all values anew."""
        self.fill(torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator)

    @property
    def max_tokens(self) -> int:
        """The longest text in tokens: the config's, less the positions that are taken before it."""
        if self.config.position not in BOUNDED:
            return self.config.max_tokens
        stacks = (self.encoder, self.decoder)
        return self.config.max_tokens - max(stack.ahead() for stack in stacks if stack is not None)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary, ... V; ask only for the states that need them."""
        if self.output is None:
            raise ModelError("P-MODEL-008")
        return self.output(hidden, self.embedding)

    def vocabulary_loss(self, hidden: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """Summed cross-entropy of states N W and token labels N; the scores N V never exist all at once."""
        if self.output is None:
            raise ModelError("P-MODEL-008")
        return cross_entropy(*self.output.product(hidden, self.embedding), labels, smoothing)

    def token_losses(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy of each of the labels N by itself: N float32."""
        if self.output is None:
            raise ModelError("P-MODEL-008")
        return token_losses(*self.output.product(hidden, self.embedding), labels)


class Transformer(Network):
    """Token ids in, hidden states out. `logits` turns hidden states into scores over the vocabulary.

    `vocabulary=False` leaves out the vocabulary head: a classifier has none.
    """

    def __init__(self, config: ModelConfig, vocabulary: bool = True):
        super().__init__()
        self.config = config
        both = config.encoder_layers > 0 and config.decoder_layers > 0
        self.embedding = Embedding(config.vocab_size, config.embedded)
        self.encoder = Stack(config, config.encoder_layers, causal=False) if config.encoder_layers else None
        self.decoder = Stack(config, config.decoder_layers, True, crossed=both) if config.decoder_layers else None
        self.output = VocabularyHead(config) if vocabulary else None
        self.tape: Tape | None = None  # while a generation lasts: the step of one row

    def fill(self, generator: torch.Generator) -> None:
        initialize(self, self.config, generator)

    def forward(self, batch: Batch) -> Tensor:
        """Hidden states B T W (of the decoder: B U W); with `batch.places`, only those: B M W."""
        if batch.below is not None:
            first, x = batch.below
            return self.single.through(x, batch.mask, batch.segments, batch.places, first=first)
        if self.single is not None:
            return self.single(self.embedding(batch.tokens), batch.mask, batch.segments, batch.places)
        if batch.target is None:
            raise ModelError("P-MODEL-007")
        held, padding = self.hold(batch)
        return self.decoder(
            self.embedding(batch.target), batch.target_mask, None, batch.places, held=held, held_padding=padding
        )

    @property
    def single(self) -> Stack | None:
        """The only stack, where there is one."""
        return self.encoder if self.decoder is None else self.decoder if self.encoder is None else None

    def below(self, batch: Batch, block: int) -> Tensor:
        """The states B T W under a block of the only stack."""
        return self.single.through(self.embedding(batch.tokens), batch.mask, batch.segments, last=block)

    def hold(self, batch: Batch) -> tuple[list[Pair], Tensor | None]:
        """The encoder's keys and values for each decoder layer, and which of them are real."""
        source, padding = self.encoder.sources(self.embedding(batch.tokens), batch.mask, batch.segments)
        return [block.cross.remember(source) for block in self.decoder.blocks], padding

    def products(self) -> list[Product]:
        """What each decoding step multiplies by: the module that may hold it prepared, matrices and biases."""
        groups = [group for block in self.decoder.blocks for group in block.products()]
        holder = self.embedding if self.config.tied_output else self.output
        return [
            *([(self.output, (holder.weight,), (self.output.bias,))] if self.plain_output else []),
            *((group[0], tuple(one.weight for one in group), tuple(one.bias for one in group)) for group in groups),
        ]

    @property
    def plain_output(self) -> bool:
        """Whether nobody edited the vocabulary head, or stands in for what it multiplies by."""
        holder = self.embedding if self.config.tied_output else self.output
        return type(self.output) is VocabularyHead and holder._parameters["weight"] is not None

    def logits(self, hidden: Tensor) -> Tensor:
        """As `Network.logits`."""
        tape = self.tape  # another thread's generation may end, and take it away, between two looks
        if tape is not None and (scores := tape.scores(hidden)) is not None:
            return scores
        return super().logits(hidden)

    def record(self) -> None:
        """Write out the step of one row, where nobody edited what it would be made of."""
        known = self.plain_output or alone(self.output) is not None
        whole = known and type(self.decoder) is Stack and recordable(self)
        self.tape = Tape(self) if whole else None

    def reserve(self, rows: int, capacity: int | None = None, bound: int | None = None) -> Memory:
        """An empty memory for so many rows of at most `capacity` tokens (by default `max_tokens`).

        With a `bound` above the capacity it grows when it must, up to the bound.
        """
        if self.decoder is None:
            raise ModelError("P-MODEL-009")
        like, layers = next(self.decoder.parameters()), self.decoder.layers()
        return Memory(Cache(self.config, rows, capacity or self.max_tokens, like, bound, layers=layers))

    def start(self, batch: Batch, capacity: int | None = None) -> Memory:
        """Read the prompt (`tokens` of a decoder; `tokens` and, if any, `target` of an encoder-decoder).

        `capacity` is the most tokens the decoder will ever hold, prompt included; by default `max_tokens`.
        What all prompts begin with is computed once.
        """
        memory = self.reserve(len(batch.tokens), capacity)
        tokens, mask = batch.tokens, batch.mask
        if self.encoder is not None:
            memory.cross, memory.cross_padding = self.hold(batch)
            tokens, mask = batch.target, batch.target_mask
        if tokens is None:
            return memory
        tokens, counts = justified(tokens, mask)
        alone = self.encoder is not None or self.config.by_length
        shared = 0 if alone else common(tokens, counts)
        if shared >= SHARE_FROM:
            self.step(tokens[:1, :shared], memory.part(0, 1))
            memory.select([0] * len(tokens))
            tokens, counts = tokens[:, shared:], [count - shared for count in counts]
        hidden = self.step(tokens, memory, counts)
        memory.hidden = pick(hidden, torch.tensor(counts, device=hidden.device)[:, None] - 1)
        return memory

    def step(self, tokens: Tensor, memory: Memory, counts: Sequence[int] | None = None) -> Tensor:
        """Hidden states B T W of new tokens B T, which the memory then holds.

        With `counts`, only so many of each row's tokens are real, the first ones; the others leave no trace, and their
        states mean nothing.
        """
        tape = self.tape
        if tape is not None and (hidden := tape(tokens, memory)) is not None:
            return hidden
        if counts is not None and min(counts) == tokens.shape[1]:
            counts = None
        memory.room(tokens.shape[1], counts)
        if not memory.cache.rings or tokens.shape[1] <= memory.cache.step:
            return self.piece(tokens, memory, counts)
        found = []
        for first in range(0, tokens.shape[1], memory.cache.step):  # a ring takes no more at once
            some = tokens[:, first : first + memory.cache.step]
            left = None if counts is None else [min(max(0, n - first), some.shape[1]) for n in counts]
            found.append(self.piece(some, memory, left))
        return torch.cat(found, 1)

    def piece(self, tokens: Tensor, memory: Memory, counts: Sequence[int] | None) -> Tensor:
        """One run through the blocks."""
        hidden = self.decoder(
            self.embedding(tokens),
            held=memory.cross or None,
            held_padding=memory.cross_padding,
            reach=memory.reach(tokens.shape[1], counts),
        )
        memory.advance(tokens.shape[1], counts)
        return hidden
