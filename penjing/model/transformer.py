"""One Transformer for every family: encoder (BERT), decoder (Llama), encoder-decoder (T5).

A family is a `ModelConfig`, not a class: what families differ in fills slots, and an empty slot does nothing.
Shapes: B texts, T tokens, U decoder tokens, S keys, M places, W width, V vocabulary.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penjing.base.errors import ModelError
from penjing.model.batch import Batch
from penjing.model.cache import Cache, Memory
from penjing.model.config import ModelConfig
from penjing.model.embedding import Embedding
from penjing.model.entropy import cross_entropy
from penjing.model.initial import initialize
from penjing.model.layers import ACTIVATIONS, Block, Past, Sight, drop, norm_if
from penjing.model.mask import biased, describe, last_place, pick, positions
from penjing.model.positions import POSITIONS


class Stack(nn.Module):
    """A column of blocks that share their positions: an encoder when not `causal`, else a decoder."""

    def __init__(self, config: ModelConfig, layers: int, causal: bool, crossed: bool = False):
        super().__init__()
        self.config, self.causal = config, causal
        self.position = POSITIONS[config.position](config, causal)
        if config.window is not None:
            self.local_position = POSITIONS[config.position](config, causal, local=True)
        self.segment = Embedding(config.segments, config.width) if config.segments else None
        self.embedding_norm = norm_if(config.embedding_norm, config)
        self.blocks = nn.ModuleList(Block(config, layer, crossed) for layer in range(layers))
        self.final_norm = norm_if(config.final_norm, config)

    def forward(
        self,
        x: Tensor,
        padding: Tensor | None = None,
        segments: Tensor | None = None,
        places: Tensor | None = None,
        held: list[tuple[Tensor, Tensor]] | None = None,
        held_padding: Tensor | None = None,
        memory: Memory | None = None,
    ) -> Tensor:
        """Token embeddings B T W to hidden states B T W, or B M W at `places`."""
        query_at, key_at = self.numbers(x, padding, memory)
        x = self.embed(x, query_at, segments)
        first, keys = (0, x.shape[1]) if memory is None else (memory.length, memory.length + x.shape[1])
        padding = padding if memory is None else memory.padding
        padding = None if padding is None else padding[:, :keys]
        sights = self.sights(x, padding, query_at, key_at, first, None)
        chosen = sights if places is None else self.sights(x, padding, query_at, key_at, first, places)
        cross = Sight(describe(held_padding, 0, 0))
        for layer, block in enumerate(self.blocks):
            last = layer == len(self.blocks) - 1
            x = block(
                x,
                (chosen if last else sights)[self.config.local(layer)],
                places if last else None,
                None if memory is None else Past(memory.cache, layer, first),
                None if held is None else held[layer],
                cross,
            )
        return self.final_norm(x)

    def numbers(self, x: Tensor, padding: Tensor | None, memory: Memory | None) -> tuple[Tensor, Tensor]:
        """Position numbers of queries and keys. Where only differences matter, padding at the left changes nothing."""
        if memory is not None:
            return memory.positions(x.shape[1])
        if padding is not None and self.position.absolute:
            at = positions(padding)
        else:
            at = torch.arange(x.shape[1], device=x.device)[None]
        return at, at

    def embed(self, x: Tensor, at: Tensor, segments: Tensor | None) -> Tensor:
        """Positions, segments, norm and dropout of the embeddings."""
        added = self.position.add(at)
        x = x if added is None else x + added
        if self.segment is not None:
            x = x + (self.segment.weight[0] if segments is None else self.segment(segments))
        x = self.embedding_norm(x)
        return drop(x, self.config.dropout) if self.training and self.config.dropout else x

    def sights(
        self, x: Tensor, padding: Tensor | None, query_at: Tensor, key_at: Tensor, first: int, places: Tensor | None
    ) -> dict[bool, Sight]:
        """What attention is told, for global layers (False) and local ones (True)."""
        keys = key_at.shape[1]
        queries = x.shape[1]
        if places is not None:
            queries, query_at = places.shape[1], query_at.expand(len(places), -1).gather(1, places)
        found = {}
        for local in {self.config.local(layer) for layer in range(len(self.blocks))}:
            position = self.local_position if local else self.position
            visible = describe(
                padding,
                queries,
                keys,
                causal=self.causal,
                window=self.config.window if local else None,
                first=first,
                places=places,
                device=x.device,
            )
            visible = biased(visible, position.bias(query_at, key_at))
            looked = key_at if places is not None else query_at
            found[local] = Sight(visible, position.rotation(query_at, x.dtype), position.rotation(looked, x.dtype))
        return found


class VocabularyHead(nn.Module):
    """Hidden states to scores over the vocabulary."""

    def __init__(self, config: ModelConfig):
        super().__init__()
        wanted = config.output_transform != "none"
        self.dense = (
            nn.Linear(config.width, config.width, config.output_transform == "dense") if wanted else nn.Identity()
        )
        self.activation = ACTIVATIONS[config.activation] if wanted else nn.Identity()
        self.norm = norm_if(wanted, config)
        self.weight = None if config.tied_output else nn.Parameter(torch.empty(config.vocab_size, config.width))
        self.bias = nn.Parameter(torch.zeros(config.vocab_size)) if config.vocabulary_bias else None
        self.scale = config.output_scale

    def product(self, hidden: Tensor, tied: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the scores are the product of: states ... W, rows V W, bias V."""
        hidden = self.norm(self.activation(self.dense(hidden)))
        hidden = hidden * self.scale if self.scale != 1.0 else hidden
        return hidden, tied if self.weight is None else self.weight, self.bias

    def forward(self, hidden: Tensor, tied: Tensor) -> Tensor:
        return F.linear(*self.product(hidden, tied))


class Transformer(nn.Module):
    """Token ids in, hidden states out. `logits` turns hidden states into scores over the vocabulary.

    `vocabulary=False` leaves out the vocabulary head: a classifier has none.
    """

    def __init__(self, config: ModelConfig, vocabulary: bool = True):
        super().__init__()
        self.config = config
        both = config.encoder_layers > 0 and config.decoder_layers > 0
        self.embedding = Embedding(config.vocab_size, config.width)
        self.encoder = Stack(config, config.encoder_layers, causal=False) if config.encoder_layers else None
        self.decoder = Stack(config, config.decoder_layers, True, crossed=both) if config.decoder_layers else None
        self.output = VocabularyHead(config) if vocabulary else None

    @staticmethod
    def new(config: ModelConfig, generator: torch.Generator | int = 0, vocabulary: bool = True) -> Transformer:
        """A fresh network whose values follow from the generator (or seed) alone; no value is drawn twice."""
        with torch.device("meta"):
            network = Transformer(config, vocabulary)
        network.to_empty(device="cpu")
        network.initialize(generator)
        return network

    def initialize(self, generator: torch.Generator | int = 0) -> None:
        """Draw all values anew."""
        generator = torch.Generator().manual_seed(generator) if isinstance(generator, int) else generator
        initialize(self, self.config, generator)

    def forward(self, batch: Batch) -> Tensor:
        """Hidden states B T W (of the decoder: B U W); with `batch.places`, only those: B M W."""
        if self.decoder is None:
            return self.encoder(self.embedding(batch.tokens), batch.mask, batch.segments, batch.places)
        if self.encoder is None:
            return self.decoder(self.embedding(batch.tokens), batch.mask, batch.segments, batch.places)
        if batch.target is None:
            raise ModelError("P-MODEL-007")
        held = self.hold(batch)
        return self.decoder(
            self.embedding(batch.target), batch.target_mask, None, batch.places, held=held, held_padding=batch.mask
        )

    def hold(self, batch: Batch) -> list[tuple[Tensor, Tensor]]:
        """The encoder's keys and values for each decoder layer."""
        source = self.encoder(self.embedding(batch.tokens), batch.mask, batch.segments)
        return [block.cross.remember(source) for block in self.decoder.blocks]

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores over the vocabulary, ... V; ask only for the states that need them."""
        if self.output is None:
            raise ModelError("P-MODEL-008")
        return self.output(hidden, self.embedding.weight)

    def vocabulary_loss(self, hidden: Tensor, labels: Tensor) -> Tensor:
        """Summed cross-entropy of states N W and token labels N; the scores N V never exist all at once."""
        if self.output is None:
            raise ModelError("P-MODEL-008")
        return cross_entropy(*self.output.product(hidden, self.embedding.weight), labels)

    def start(self, batch: Batch, capacity: int | None = None) -> Memory:
        """Read the prompt (`tokens` of a decoder; `tokens` and, if any, `target` of an encoder-decoder).

        `capacity` is the most tokens the decoder will ever hold, prompt included; by default the config's `max_tokens`.
        """
        if self.decoder is None:
            raise ModelError("P-MODEL-009")
        cache = Cache(self.config, len(batch.tokens), capacity or self.config.max_tokens, self.embedding.weight)
        memory, tokens, mask = Memory(cache), batch.tokens, batch.mask
        if self.encoder is not None:
            memory.cross, memory.cross_padding = self.hold(batch), batch.mask
            tokens, mask = batch.target, batch.target_mask
        if tokens is None:
            return memory
        if mask is not None:
            memory.padding = torch.ones(len(tokens), cache.capacity, dtype=torch.bool, device=tokens.device)
            memory.padding[:, : mask.shape[1]] = mask[:, : cache.capacity]
        memory.hidden = pick(self.step(tokens, memory), last_place(mask, tokens))
        return memory

    def step(self, tokens: Tensor, memory: Memory) -> Tensor:
        """Hidden states B T W of new tokens B T, which the memory then holds."""
        memory.room(tokens.shape[1])
        hidden = self.decoder(
            self.embedding(tokens),
            held=memory.cross or None,
            held_padding=memory.cross_padding,
            memory=memory,
        )
        memory.length += tokens.shape[1]
        return hidden
