"""An LSTM (Hochreiter & Schmidhuber 1997) behind the Transformer's contract: hidden states, memory, vocabulary scores.

A causal LSTM is a `decoder` and reads from left to right. An `encoder` reads both ways in each layer, half of the width
each. Its state is the cache: a few numbers per layer, whatever the length of the text.

Padding never reaches a state that is used: rows are moved to the left of the batch, where what follows a row cannot
change it, and read backwards each from its own end. So the kernel always sees plain rows and needs no mask.
Shapes: B texts, T tokens, M places, W width, H width of one direction, L layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy
import torch
from torch import Tensor, nn

from penjing.base.errors import ModelError, raise_all
from penjing.model.batch import Batch
from penjing.model.config import mistyped
from penjing.model.embedding import Embedding
from penjing.model.initial import draw
from penjing.model.layers import plain
from penjing.model.mask import justified, pick
from penjing.model.products import Linear
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
    initial_std: float = 0.03  # of the embeddings; matrices: one over the root of their inputs

    norm_place: ClassVar[str] = "none"
    position: ClassVar[str] = "none"  # the slots of a Transformer that it leaves empty
    output_transform: ClassVar[str] = "none"
    output_scale: ClassVar[float] = 1.0
    embedding_scale: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        """All that cannot be built is told at once."""
        raise_all([ModelError("P-MODEL-001", field=f, given=getattr(self, f), reason=r) for f, r in self.problems()])

    def problems(self) -> list[tuple[str, str]]:
        """Fields whose value cannot be built, each with the reason."""
        if strange := mistyped(self):
            return strange
        sizes = ("vocab_size", "width", "max_tokens")
        found = [(name, "must be at least 1") for name in sizes if getattr(self, name) < 1]
        if min(self.encoder_layers, self.decoder_layers) != 0 or max(self.encoder_layers, self.decoder_layers) < 1:
            found.append(("encoder_layers", "either these or decoder_layers must be at least 1, and the others 0"))
        if self.encoder_layers and self.width % 2:
            found.append(("width", "must be even, one half for each direction"))
        if not 0 <= self.dropout < 1:
            found.append(("dropout", "must be at least 0 and below 1"))
        return found

    @property
    def embedded(self) -> int:
        """The width of the embeddings."""
        return self.width

    def to_dict(self) -> dict[str, Any]:
        """All fields, fit for JSON."""
        return dataclasses.asdict(self)


class Recurrence(nn.Module):
    """One direction of one layer. Gates in the order input, forget, candidate, output."""

    def __init__(self, width: int, inner: int):
        super().__init__()
        self.input = Linear(width, 4 * inner)
        self.recurrent = Linear(inner, 4 * inner)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """B T W to B T H and the state after the last token; by the kernel where nothing edits the two products."""
        if state is None:
            nothing = x.new_zeros(x.shape[0], self.recurrent.in_features)
            state = nothing, nothing
        if x.shape[1] >= SHORT and plain(self.input, self.recurrent):
            return self.by_kernel(x, state)
        return self.written_out(x, state)

    def by_kernel(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        weights = [self.input.weight, self.recurrent.weight, self.input.bias, self.recurrent.bias]
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

    def compile(self, *options: Any, **named: Any) -> None:
        """As torch has it; the kernel stays as it is, whose tokens a compiler would unroll."""
        Recurrence.by_kernel = torch.compiler.disable(Recurrence.by_kernel)  # not above: it takes a second to import
        super().compile(*options, **named)

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
        tokens, before = to_the_left(batch.tokens, batch.mask)
        hidden, _ = stack(self.embedding(tokens), None if self.encoder is None else mirror(batch.mask, tokens))
        places = batch.places
        if before is not None:
            slots = torch.arange(tokens.shape[1], device=tokens.device)
            places = ((slots if places is None else places) - before) % len(slots)
        return hidden if places is None else pick(hidden, places)

    def reserve(self, rows: int, capacity: int | None = None, bound: int | None = None) -> RecurrentMemory:
        """An empty memory for so many rows of at most `capacity` tokens, or `bound` where that is more."""
        if self.decoder is None:
            raise ModelError("P-MODEL-009")
        nothing = next(self.decoder.parameters()).new_zeros(2, len(self.decoder.blocks), self.config.width)
        made = [Row([], {0: nothing}) for _ in range(rows)]
        return RecurrentMemory(made, max(capacity or self.config.max_tokens, bound or 0))

    def start(self, batch: Batch, capacity: int | None = None) -> RecurrentMemory:
        """Read the prompt. `capacity` is the most tokens of a row that the memory will hold, prompt included."""
        memory = self.reserve(len(batch.tokens), capacity)
        tokens, counts = justified(batch.tokens, batch.mask)
        memory.hidden = pick(self.step(tokens, memory, counts), torch.tensor(counts, device=tokens.device)[:, None] - 1)
        return memory

    def step(self, tokens: Tensor, memory: RecurrentMemory, counts: Sequence[int] | None = None) -> Tensor:
        """Hidden states B T W of new tokens B T, which the memory then holds.

        With `counts`, only so many of each row's tokens are real, the first ones; the states of the others mean nothing.
        """
        counts = [tokens.shape[1]] * len(tokens) if counts is None else list(counts)
        memory.room(tokens.shape[1], counts)
        if cut := memory.unread():
            unread = [torch.tensor(row.tokens[row.read :], device=tokens.device) for row in cut]
            again = nn.utils.rnn.pad_sequence(unread, batch_first=True)
            memory.keep(cut, self.read(again, [len(row) for row in unread], memory.state(cut))[1])
        hidden, state = self.read(tokens, counts, memory.state())
        for row, new, count in zip(memory.rows, tokens.tolist(), counts, strict=True):
            row.tokens += new[:count]
        memory.keep(memory.rows, state)
        return hidden

    def read(self, tokens: Tensor, counts: Sequence[int], state: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states B T W, and the state 2 L B W of each row after as many tokens as it has.

        Rows of different lengths are read together to where the shortest ends, the longer ones on to the next end.
        """
        if min(counts) == tokens.shape[1]:
            return self.decoder(self.embedding(tokens), state=state)
        hidden, state, begin = state.new_zeros(*tokens.shape, state.shape[-1]), state.clone(), 0
        ends = torch.tensor(counts, device=tokens.device)
        for end in sorted({count for count in counts if count}):
            rows = (ends >= end).nonzero()[:, 0]
            some = self.embedding(tokens[rows, begin:end])
            hidden[rows, begin:end], state[:, :, rows] = self.decoder(some, state=state[:, :, rows])
            begin = end
        return hidden, state


@dataclass
class Row:
    """One text: its tokens, and the states 2 L W after some of them by how many those were."""

    tokens: list[int]
    states: dict[int, Tensor]

    @property
    def read(self) -> int:
        """How many tokens the newest state has seen."""
        return max(self.states)

    def cut(self, length: int) -> None:
        self.tokens = self.tokens[:length]
        self.states = {at: state for at, state in self.states.items() if at <= length}

    def copy(self) -> Row:
        return Row(list(self.tokens), dict(self.states))


class RecurrentMemory:
    """What decoding remembers between steps: each row's tokens, and its state after some of them.

    It can be cut anywhere. Kept are the states after the first tokens (the prompt) and after the last two steps, where
    speculation goes back to; from another place on, the tokens since the nearest earlier state are read again.
    """

    def __init__(self, rows: list[Row], capacity: int):
        self.rows, self.capacity = rows, capacity
        self.hidden: Tensor | None = (
            None  # B 1 W: after `start`, the last prompt token's state, to choose the next from
        )

    @property
    def lengths(self) -> numpy.ndarray:
        """Tokens of each row."""
        return numpy.array([len(row.tokens) for row in self.rows], dtype=numpy.int64)

    @property
    def length(self) -> int:
        """Tokens of the longest row."""
        return int(self.lengths.max(initial=0))

    def room(self, tokens: int, counts: Sequence[int] | None = None) -> None:
        """An error when so many more tokens do not fit."""
        needed = int((self.lengths + (tokens if counts is None else numpy.asarray(counts))).max(initial=0))
        if needed > self.capacity:
            raise ModelError("P-MODEL-006", given=needed, capacity=self.capacity)

    def state(self, rows: Sequence[Row] | None = None) -> Tensor:
        """The newest states of some rows, or of all, 2 L B W."""
        return torch.stack([row.states[row.read] for row in (self.rows if rows is None else rows)], 2)

    def unread(self) -> list[Row]:
        """Rows that were cut to where no state was kept."""
        return [row for row in self.rows if row.read < len(row.tokens)]

    def keep(self, rows: Sequence[Row], state: Tensor) -> None:
        """Keep the states 2 L B W of rows after their last tokens; of the older ones, those it goes back to."""
        for row, new in zip(rows, state.unbind(2), strict=True):
            row.states[len(row.tokens)] = new
            for length in sorted(row.states)[2:-2]:
                del row.states[length]

    def cut(self, length: int | Sequence[int]) -> None:
        """Forget the newest tokens: a number for each row is what it keeps; one number is what the longest row keeps,
        and every row loses as many as that one.
        """
        kept = numpy.asarray(length)
        kept = self.lengths - max(0, self.length - int(length)) if kept.ndim == 0 else kept
        for row, short in zip(self.rows, kept.clip(min=0).tolist(), strict=True):
            row.cut(short)

    def holds(self, row: int, length: int) -> bool:
        """Whether a row's first `length` tokens can be gone back to."""
        return length <= len(self.rows[row].tokens)

    def select(self, rows: Tensor | Sequence[int]) -> None:
        """Keep these rows, in this order; a row may be taken many times (one prompt, many answers)."""
        chosen = rows.tolist() if isinstance(rows, Tensor) else list(rows)
        self.rows = [self.rows[row].copy() for row in chosen]
        self.hidden = None if self.hidden is None else self.hidden[chosen]

    def part(self, first: int, last: int) -> RecurrentMemory:
        """Some neighbouring rows as a memory of their own: what it learns, this one knows."""
        return RecurrentMemory(self.rows[first:last], self.capacity)

    def put(self, row: int, other: RecurrentMemory, other_row: int, length: int | None = None) -> None:
        """Make a row what another memory's row is, or the first `length` tokens of it (a prefix that both share)."""
        copy = other.rows[other_row].copy()
        copy.cut(len(copy.tokens) if length is None else length)
        if len(copy.tokens) > self.capacity:
            raise ModelError("P-MODEL-006", given=len(copy.tokens), capacity=self.capacity)
        self.rows[row].tokens, self.rows[row].states = copy.tokens, copy.states


def to_the_left(tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor | None]:
    """Tokens B T with all padding at the right, and how many slots each row moved, B 1 (None: no row did)."""
    before = None if mask is None else mask.long().argmax(1, keepdim=True)
    if before is None or not bool(before.any()):
        return tokens, None
    slots = torch.arange(tokens.shape[1], device=tokens.device)
    return tokens.gather(1, (slots + before) % len(slots)), before


def mirror(mask: Tensor | None, tokens: Tensor) -> Tensor:
    """For rows that begin at the left: the slots from each row's end to its beginning, padding where it was. B T."""
    slots = torch.arange(tokens.shape[1], device=tokens.device).expand_as(tokens)
    lengths = len(slots[0]) if mask is None else mask.sum(1, keepdim=True)
    return torch.where(slots < lengths, lengths - 1 - slots, slots)
