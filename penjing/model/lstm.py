"""An LSTM (Hochreiter & Schmidhuber 1997) behind the Transformer's contract: hidden states, memory, vocabulary scores.

A causal LSTM is a `decoder` and reads from left to right. An `encoder` reads both ways in each layer, half of the width
each. Its state is the cache: a few numbers per layer, whatever the length of the text.

Padding never reaches a state that is used: rows are moved to the left of the batch, where what follows a row cannot
change it, and read backwards each from its own end. So the kernel always sees plain rows and needs no mask.
Shapes: B texts, T tokens, M places, W width, H width of one direction, L layers.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from penjing.base.errors import ModelError, raise_all
from penjing.model.batch import Batch
from penjing.model.embedding import Embedding
from penjing.model.initial import draw
from penjing.model.layers import plain
from penjing.model.mask import pick
from penjing.model.transformer import Network, VocabularyHead

State = tuple[Tensor, Tensor]  # what a direction of a layer outputs and what it keeps, each B H
SHORT = 2  # tokens; below it the kernel's preparation costs more than the formula


@dataclass(frozen=True)
class LSTMConfig:
    """The shape of an LSTM: layers that read both ways (encoder) or from left to right (decoder), never some of each."""

    vocab_size: int
    width: int
    encoder_layers: int = 0
    decoder_layers: int = 0
    max_tokens: int = 512  # of one piece in training; the network itself has no limit
    tied_output: bool = True
    vocabulary_bias: bool = True
    dropout: float = 0.0  # on the embeddings and on each layer's output; one draw for all tokens of a text
    initial_std: float = 0.05  # of the embeddings; matrices: one over the root of their inputs

    position: ClassVar[str] = "none"  # the slots of a Transformer that it leaves empty
    output_transform: ClassVar[str] = "none"
    output_scale: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        """All that cannot be built is told at once."""
        raise_all([ModelError("P-MODEL-001", field=f, given=getattr(self, f), reason=r) for f, r in self.problems()])

    def problems(self) -> list[tuple[str, str]]:
        """Fields whose value cannot be built, each with the reason."""
        sizes = ("vocab_size", "width", "max_tokens")
        found = [(name, "must be at least 1") for name in sizes if getattr(self, name) < 1]
        if min(self.encoder_layers, self.decoder_layers) != 0 or max(self.encoder_layers, self.decoder_layers) < 1:
            found.append(("encoder_layers", "either these or decoder_layers must be at least 1, and the others 0"))
        if self.encoder_layers and self.width % 2:
            found.append(("width", "must be even, one half for each direction"))
        if not 0 <= self.dropout < 1:
            found.append(("dropout", "must be at least 0 and below 1"))
        return found

    def to_dict(self) -> dict[str, Any]:
        """All fields, fit for JSON."""
        return dataclasses.asdict(self)


class Recurrence(nn.Module):
    """One direction of one layer. Gates in the order input, forget, candidate, output."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.input = nn.Linear(width, 4 * inner)
        self.recurrent = nn.Linear(inner, 4 * inner, bias=False)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """B T W to B T H and the state after the last token; by the kernel where nothing edits the two products."""
        if state is None:
            nothing = x.new_zeros(x.shape[0], self.recurrent.in_features)
            state = nothing, nothing
        if x.shape[1] >= SHORT and plain(self.input, self.recurrent):
            return self.by_kernel(x, state)
        return self.written_out(x, state)

    @torch.compiler.disable  # a compiler would unroll the tokens
    def by_kernel(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        bias = self.input.bias  # the kernel wants one for each product
        weights = [self.input.weight, self.recurrent.weight, bias, torch.zeros_like(bias)]
        begin = tuple(part[None].contiguous() for part in state)
        output, shown, kept = torch.lstm(x, begin, weights, True, 1, 0.0, self.training, False, True)
        return output, (shown[0], kept[0])

    def written_out(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """The formula, token by token."""
        shown, kept = state
        outputs = []
        for inner in self.input(x).unbind(1):
            gate, forget, candidate, out = (inner + self.recurrent(shown)).chunk(4, -1)
            kept = forget.sigmoid() * kept + gate.sigmoid() * candidate.tanh()
            shown = out.sigmoid() * kept.tanh()
            outputs.append(shown)
        return torch.stack(outputs, 1), (shown, kept)


class Layer(nn.Module):
    """One direction, or both side by side."""

    def __init__(self, width: int, both: bool):
        super().__init__()
        self.ahead = Recurrence(width, width // 2 if both else width)
        self.back = Recurrence(width, width // 2) if both else None

    def forward(self, x: Tensor, mirror: Tensor | None, state: State | None = None) -> tuple[Tensor, State]:
        """B T W to B T W. `mirror` B T turns each row around within its own length."""
        output, state = self.ahead(x, state)
        if self.back is not None:
            output = torch.cat([output, pick(self.back(pick(x, mirror))[0], mirror)], -1)
        return output, state


class Stack(nn.Module):
    """A column of layers."""

    def __init__(self, config: LSTMConfig, layers: int, both: bool):
        super().__init__()
        self.blocks = nn.ModuleList(Layer(config.width, both) for _ in range(layers))
        self.dropout = config.dropout

    def forward(self, x: Tensor, mirror: Tensor | None = None, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Embeddings B T W to hidden states B T W; state 2 L B H, before and after."""
        x, after = self.dropped(x), []
        for layer, block in enumerate(self.blocks):
            x, new = block(x, mirror, None if state is None else (state[0, layer], state[1, layer]))
            x = self.dropped(x)
            after.append(torch.stack(new))
        return x, torch.stack(after, 1)

    def dropped(self, x: Tensor) -> Tensor:
        """Dropout of whole features of a text (arXiv:1512.05287): what is dropped stays so through the row."""
        if not (self.training and self.dropout):
            return x
        return x * nn.functional.dropout(x.new_ones(x.shape[0], 1, x.shape[2]), self.dropout)


class LSTM(Network):
    """Token ids in, hidden states out. `vocabulary=False` leaves out the vocabulary head."""

    def __init__(self, config: LSTMConfig, vocabulary: bool = True):
        super().__init__()
        self.config = config
        self.embedding = Embedding(config.vocab_size, config.width)
        self.encoder = Stack(config, config.encoder_layers, both=True) if config.encoder_layers else None
        self.decoder = Stack(config, config.decoder_layers, both=False) if config.decoder_layers else None
        self.output = VocabularyHead(config) if vocabulary else None

    @torch.no_grad()
    def fill(self, generator: torch.Generator) -> None:
        """Matrices normal, biases 0, and 1 where a gate forgets: it remembers until it learns otherwise."""
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                embeds = name.startswith(("embedding.", "output."))
                draw(parameter, self.config.initial_std if embeds else parameter.shape[1] ** -0.5, generator)
                continue
            parameter.zero_()
            if name.endswith("input.bias"):
                parameter.chunk(4)[1].fill_(1.0)

    def forward(self, batch: Batch) -> Tensor:
        """Hidden states B T W; with `batch.places`, only those: B M W."""
        stack = self.encoder if self.decoder is None else self.decoder
        slots = torch.arange(batch.tokens.shape[1], device=batch.tokens.device)
        before = left_padding(batch.mask)
        tokens = batch.tokens if before is None else batch.tokens.gather(1, (slots + before) % len(slots))
        hidden, _ = stack(self.embedding(tokens), None if self.encoder is None else mirror(batch.mask, tokens))
        places = batch.places
        if before is not None:
            places = ((slots if places is None else places) - before) % len(slots)
        return hidden if places is None else pick(hidden, places)

    def start(self, batch: Batch, capacity: int | None = None) -> Memory:
        """Read the prompt. `capacity` is the most tokens the memory will hold, prompt included."""
        if self.decoder is None:
            raise ModelError("P-MODEL-009")
        rows, config, like = len(batch.tokens), self.config, self.embedding.weight
        state = like.new_zeros(2, config.decoder_layers, rows, config.width)
        memory = Memory(capacity or config.max_tokens, batch.tokens[:, :0], batch.mask, {0: state})
        memory.room(batch.tokens.shape[1])
        memory.tokens = batch.tokens
        memory.hidden = self.catch_up(memory)
        return memory

    def step(self, tokens: Tensor, memory: Memory) -> Tensor:
        """Hidden states B T W of new tokens B T, which the memory then holds."""
        memory.room(tokens.shape[1])
        self.catch_up(memory)
        hidden, state = self.decoder(self.embedding(tokens), state=memory.states[memory.length])
        memory.tokens = torch.cat([memory.tokens, tokens], 1)
        memory.keep(state)
        return hidden

    def catch_up(self, memory: Memory) -> Tensor | None:
        """Read the tokens that lie behind the newest state, if any; returns the hidden state of each row's last, B 1 W.

        Rows end at different places: all are read to where the shortest ends, the longer ones on to the next end.
        """
        first = max(memory.states)
        tokens, mask = memory.tokens[:, first:], memory.real(first, memory.length)
        if first == memory.length:
            return None
        before = left_padding(mask)
        slots = torch.arange(tokens.shape[1], device=tokens.device)
        tokens = tokens if before is None else tokens.gather(1, (slots + before) % len(slots))
        ends = torch.full_like(tokens[:, 0], len(slots)) if mask is None else mask.sum(1)
        state, begin = memory.states[first].clone(), 0
        hidden = state[0, -1][:, None].clone()
        for end in [end for end in sorted(set(ends.tolist())) if end]:
            rows = (ends >= end).nonzero()[:, 0]
            read, after = self.decoder(self.embedding(tokens[rows, begin:end]), state=state[:, :, rows])
            state[:, :, rows], hidden[rows], begin = after, read[:, -1:], end
        memory.keep(state)
        return hidden


@dataclass
class Memory:
    """What decoding remembers between steps: the tokens, and the states after some of them.

    It can be cut anywhere. Kept are the states after nothing, after the prompt and after the last two steps (where
    speculation returns to); from another place on, the tokens since the nearest earlier state are read again.
    """

    capacity: int
    tokens: Tensor  # B length
    padding: Tensor | None  # B prompt bool, True = real; None: no padding
    states: dict[int, Tensor]  # length -> 2 L B W
    hidden: Tensor | None = None  # B 1 W: after `start`, the last real prompt token's state
    prompt: int = field(init=False, default=0)

    @property
    def length(self) -> int:
        return self.tokens.shape[1]

    def room(self, tokens: int) -> None:
        """An error when so many more tokens do not fit."""
        if self.length + tokens > self.capacity:
            raise ModelError("P-MODEL-006", given=self.length + tokens, capacity=self.capacity)

    def real(self, first: int, last: int) -> Tensor | None:
        """The mask of some slots; None where no padding can be."""
        if self.padding is None or first >= self.padding.shape[1]:
            return None
        known = self.padding[:, first:last]
        return nn.functional.pad(known, (0, last - first - known.shape[1]), value=True)

    def keep(self, state: Tensor) -> None:
        """Keep the state after the last token, and forget old ones."""
        self.prompt = self.prompt or self.length
        self.states[self.length] = state
        kept = {0, self.prompt, *sorted(self.states)[-2:]}
        self.states = {length: held for length, held in self.states.items() if length in kept}

    def cut(self, length: int) -> None:
        """Forget all but the first `length` slots."""
        self.tokens, self.prompt = self.tokens[:, :length], min(self.prompt, length)
        self.padding = None if self.padding is None else self.padding[:, :length]
        self.states = {at: held for at, held in self.states.items() if at <= length}

    def select(self, rows: Tensor) -> None:
        """Keep these rows, in this order."""
        self.tokens = self.tokens[rows]
        self.states = {at: held[:, :, rows] for at, held in self.states.items()}
        self.padding = None if self.padding is None else self.padding[rows]
        self.hidden = None if self.hidden is None else self.hidden[rows]


def left_padding(mask: Tensor | None) -> Tensor | None:
    """How many slots of padding stand before each row, B 1; None where no row has any."""
    before = None if mask is None else mask.long().argmax(1, keepdim=True)
    return before if before is not None and bool(before.any()) else None


def mirror(mask: Tensor | None, tokens: Tensor) -> Tensor:
    """For rows that begin at the left: the slots from each row's end to its beginning, padding where it was. B T."""
    slots = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    lengths = len(slots[0]) if mask is None else mask.sum(1, keepdim=True)
    return torch.where(slots < lengths, lengths - 1 - slots, slots)
