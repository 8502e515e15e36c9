"""The next token of one row, written out as a tape: operations bound to their buffers once, run one after the other.

A step for one row reads every matrix once and computes next to nothing, so what is left is overhead: torch asks some
microseconds for each operation, however small, and a module for being called. The tape has the fewest operations that
the blocks can be said in: products add their result to the residual stream themselves, nothing is allocated, split or
viewed twice, and numpy, on the same memory, does what is smallest, for half of what torch asks. It says what
`Stack.forward` says, for every family (tests/model/test_step.py), and is recorded only where nobody edited or watches
a module; `Transformer.step` goes the general way everywhere else.

Shapes: W width, H heads, K key heads, G heads that share one, C capacity, D head width, I inputs, O outputs, P positions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from operator import is_
from threading import Lock
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from penjing.model.cache import Memory
from penjing.model.embedding import Embedding
from penjing.model.layers import MLP, Attention, Block, GatedMLP, ParallelBlock, RMSNorm, mix, plain
from penjing.model.mask import Visible, describe
from penjing.model.positions import Positions
from penjing.model.products import Linear, preparable

AHEAD = 16  # positions whose rotations are made at once
TINY = 1e-45
FIRST = torch.zeros(1, 1, dtype=torch.int64)  # the position of a row's first token


class Near:
    """What layers of one kind, global or local, look at in this step, and how queries and keys are turned."""

    def __init__(self, position: Positions, window: int | None, key_heads: int, dtype: torch.dtype):
        self.position, self.window, self.key_heads, self.dtype = position, window, key_heads, dtype
        self.begin = self.count = self.first = 0
        self.visible = Visible()
        self.biased = position.bias(FIRST, FIRST, dtype) is not None
        self.ready = self.rotations(0)
        self.cosine = self.sine = None if self.ready is None else self.ready[0][0]  # each 2 D/2: of both halves

    def to(self, at: int) -> None:
        """The step of position `at`."""
        self.begin = 0 if self.window is None else max(0, at - self.window)
        self.count = at + 1 - self.begin
        if self.biased:
            bias = self.position.bias(FIRST + at, torch.arange(self.begin, at + 1)[None], self.dtype)
            self.visible = Visible(bias.reshape(1, self.key_heads, -1, self.count))
        if self.ready is not None:
            if not 0 <= at - self.first < AHEAD:
                self.first, self.ready = at, self.rotations(at)
            self.cosine, self.sine = (side[at - self.first] for side in self.ready)

    def rotations(self, at: int) -> tuple[numpy.ndarray, numpy.ndarray] | None:
        """Cosines and sines of the next positions, each as of a text of its own: P 2 D/2."""
        rotation = self.position.rotation(torch.arange(at, at + AHEAD)[:, None], self.dtype)
        return None if rotation is None else tuple(side.view(AHEAD, 2, -1).numpy() for side in rotation)

    def turn(self, heads: numpy.ndarray, swapped: numpy.ndarray, room: numpy.ndarray) -> None:
        """Turn queries and keys in place, as `rotate` does; each H 2 D/2, and `swapped` has the halves exchanged."""
        numpy.multiply(swapped, self.sine, out=room)
        numpy.multiply(heads, self.cosine, out=heads)
        numpy.add(heads, room, out=heads)


class Row:
    """Whose step it is: its memory, the position, and all layers' keys, then values, as tensors 1 K C D and as arrays."""

    def __init__(self) -> None:
        self.memory: Memory | None = None
        self.at = 0
        self.cross = Visible()
        self.held: tuple[Tensor, ...] = ()
        self.arrays: list[numpy.ndarray] = []

    def to(self, memory: Memory) -> None:
        """The next step of a memory's only row; its cache may have moved since the last one."""
        self.at = int(memory.lengths[0])
        if self.at >= memory.cache.capacity:
            memory.room(1)
        held = (*memory.cache.keys, *memory.cache.values)
        if self.memory is not memory or not all(map(is_, self.held, held)):
            self.held, self.arrays = held, [side[0].numpy() for side in held]
        self.memory = memory
        self.cross = Visible() if memory.cross_padding is None else describe(memory.cross_padding, 0, 0)


class Tape:
    """A network's decoder as operations. Called with the row's newest token, it returns its state 1 1 W, then `scores`."""

    def __init__(self, network: Any):
        self.network, self.stack, self.config = network, network.decoder, network.config
        self.table = network.embedding.weight  # tells when the network is made another type
        self.like, self.scale = self.table.detach(), network.output.scale
        self.operations: list[Callable[[], Any]] = []
        self.buffers: dict[str, Tensor] = {}
        self.row = Row()
        self.busy = Lock()  # two threads may generate with one network; the buffers are one step's
        self.x = self.buffer("stream", self.config.width)
        self.near = self.kinds()
        for layer, block in enumerate(self.stack.blocks):
            RECORD[type(block)](self, block, layer)
        self.state = self.norm(self.stack.final_norm, self.x, self.buffer("normed", self.config.width))
        self.handles, self.watched = 0, False
        self.bare = bare(network)
        self.asked = self.buffer("asked", self.config.embedded)
        self.head = self.vocabulary(*network.products()[0][1:])
        watched = (network.embedding, *network.output.modules(), *self.stack.modules())
        self.watchers = [watchers for module in watched for watchers in hooks(module)]

    def kinds(self) -> dict[bool, Near]:
        """Of global layers (False) and local ones (True), as far as there are any."""
        config, stack = self.config, self.stack
        return {
            local: Near(
                stack.local_position if local else stack.position,
                config.window if local else None,
                config.keys,
                self.like.dtype,
            )
            for local in {config.local(layer) for layer in range(len(stack.blocks))}
        }

    # ---- recording ----

    def buffer(self, name: str, size: int) -> Tensor:
        """Room that all layers share."""
        return self.buffers.setdefault(f"{name} {size}", self.like.new_zeros(size))

    def norm(self, norm: nn.Module, x: Tensor, to: Tensor) -> Tensor:
        """Where the normed x lies: x itself where there is no norm."""
        if type(norm) is nn.Identity:
            return x
        if type(norm) is RMSNorm and x.dim() == 1:
            weight = norm.weight.detach().numpy()
            self.operations.append(partial(root_mean_square, x.numpy(), weight, norm.eps, to.numpy()))
        else:
            self.operations.append(lambda: to.copy_(norm.forward(x)))
        return to

    def put(self, linears: Sequence[Linear], x: Tensor, name: str) -> Tensor:
        """The products of x with these matrices, one after the other."""
        weight, bias = whole(linears)
        made = self.buffer(name, len(weight))
        matrix, column, to = halves(weight, x, made)
        if bias is None:
            self.operations.append(partial(torch.bmm, matrix, column, out=to))
        else:
            self.operations.append(partial(torch.baddbmm, bias.view_as(to), matrix, column, out=to))
        return made

    def add(self, linear: Linear, x: Tensor) -> None:
        """Add the product of x to the stream."""
        weight, bias = whole((linear,))
        matrix, column, to = halves(weight, x, self.x)
        if bias is not None:
            self.operations.append(partial(self.x.add_, bias))
        self.operations.append(partial(to.baddbmm_, matrix, column))

    def attention(self, attention: Attention, layer: int, x: Tensor) -> None:
        """Attention to the row itself, added to the stream."""
        near = self.near[self.config.local(layer)]
        group, (output,) = attention.products()
        query, key, value = self.heads(attention, near, self.put(group, x, "heads"))
        mixed = self.buffer("mixed", query.numel())
        to, key, value = mixed.view_as(query), key.numpy(), value.numpy()
        row, later = self.row, layer + len(self.stack.blocks)  # not self: a tape that is let go takes the cache along

        def look() -> None:
            row.arrays[layer][:, row.at], row.arrays[later][:, row.at] = key, value
            keys = row.held[layer].narrow(2, near.begin, near.count)
            values = row.held[later].narrow(2, near.begin, near.count)
            to.copy_(mix(query, keys, values, near.visible, attention.scale, 0.0))

        self.operations.append(look)
        self.add(output, mixed)

    def heads(self, attention: Attention, near: Near, made: Tensor) -> Sequence[Tensor]:
        """Queries 1 K G D, keys K D and values K D: normed, and queries and keys turned."""
        sizes = attention.heads, attention.key_heads, attention.key_heads
        made = made.view(sum(sizes), attention.inner)
        query, key, value = made.split(sizes)
        self.norm(attention.query_norm, query, query)
        self.norm(attention.key_norm, key, key)
        if near.cosine is not None:
            both = made[: sum(sizes[:2]), : near.cosine.size].unflatten(-1, (2, -1)).numpy()
            room = self.buffer("turning", both.size).numpy().reshape(both.shape)
            self.operations.append(partial(near.turn, both, both[:, ::-1], room))
        return query.view(1, attention.key_heads, -1, attention.inner), key, value

    def recall(self, attention: Attention, layer: int, x: Tensor) -> None:
        """Attention to what the encoder said, added to the stream."""
        query = self.put((attention.query,), x, "asking").view(attention.heads, -1)
        self.norm(attention.query_norm, query, query)
        query = query.view(1, attention.key_heads, -1, attention.inner)
        mixed, row = self.buffer("mixed", query.numel()), self.row
        to = mixed.view_as(query)
        self.operations.append(lambda: to.copy_(mix(query, *row.memory.cross[layer], row.cross, attention.scale, 0.0)))
        self.add(attention.output, mixed)

    def mlp(self, mlp: MLP, x: Tensor) -> None:
        """The MLP, added to the stream."""
        group, (down,) = mlp.products()
        first, *second = self.put(group, x, "raw").split(down.in_features)
        inner = self.buffer("inner", down.in_features)
        if second:
            self.operations.append(lambda: torch.mul(mlp.activation(first), second[0], out=inner))
        else:
            self.operations.append(lambda: inner.copy_(mlp.activation(first)))
        self.add(down, inner)

    def vocabulary(self, weights: Sequence[Tensor], biases: Sequence[Tensor | None]) -> Callable[[], Tensor]:
        """The product with the vocabulary; its result is nobody's buffer."""
        matrix, column, _ = halves(weights[0].detach(), self.asked, weights[0].new_empty(len(weights[0])))
        if biases[0] is None:
            return partial(torch.bmm, matrix, column)
        return partial(torch.baddbmm, biases[0].detach().view(len(matrix), -1, 1), matrix, column)

    def serial(self, block: Block, layer: int) -> None:
        normed = self.buffer("normed", self.config.width)
        self.attention(block.attention, layer, self.norm(block.before_attention, self.x, normed))
        self.norm(block.after_attention, self.x, self.x)
        if block.crossed:
            self.recall(block.cross, layer, self.norm(block.before_cross, self.x, normed))
            self.norm(block.after_cross, self.x, self.x)
        self.mlp(block.mlp, self.norm(block.before_mlp, self.x, normed))
        self.norm(block.after_mlp, self.x, self.x)

    def parallel(self, block: ParallelBlock, layer: int) -> None:
        asking = self.norm(block.before_attention, self.x, self.buffer("normed", self.config.width))
        other = self.norm(block.before_mlp, self.x, self.buffer("normed too", self.config.width))
        self.attention(block.attention, layer, asking)
        self.mlp(block.mlp, other)

    # ---- running ----

    def fits(self, tokens: Tensor, memory: Memory) -> bool:
        """Whether this is a step that the tape can take."""
        return (
            tokens.shape == (1, 1)
            and len(memory.lengths) == 1
            and not (memory.cache.rings or self.stack.training)
            and self.holds()
        )

    def holds(self) -> bool:
        """Whether the network still is what was recorded, and no gradients are wanted."""
        return self.table.dtype is torch.float32 and not (torch.is_grad_enabled() or self.edited())

    def edited(self) -> bool:
        """Whether somebody watches a module; looked up only when a hook was registered anywhere since."""
        if self.watched or self.handles != RemovableHandle.next_id:
            self.handles, self.watched = RemovableHandle.next_id, any(self.watchers)
        return self.watched

    def __call__(self, tokens: Tensor, memory: Memory) -> Tensor | None:
        """None: it does not fit, or another thread is in it."""
        if not self.fits(tokens, memory) or not self.busy.acquire(blocking=False):
            return None
        try:
            with numpy.errstate(all="ignore"):  # what is no number is told by who chooses the token
                return self.run(tokens, memory)
        finally:
            self.busy.release()

    def scores(self, hidden: Tensor) -> Tensor | None:
        """Scores over the vocabulary 1 1 V of a state 1 1 W; None as of a step."""
        if hidden.numel() != len(self.asked) or not self.holds() or not self.busy.acquire(blocking=False):
            return None
        try:
            torch.mul(hidden.reshape(-1), self.scale, out=self.asked)
            return self.head().view(*hidden.shape[:-1], -1)
        finally:
            self.busy.release()

    def run(self, tokens: Tensor, memory: Memory) -> Tensor:
        self.row.to(memory)
        for near in self.near.values():
            near.to(self.row.at)
        if self.bare:
            torch.index_select(self.like, 0, tokens[0], out=self.x.view(1, -1))
        else:
            self.x.copy_(self.stack.embed(self.network.embedding(tokens), FIRST + self.row.at, None).view(-1))
        for operation in self.operations:
            operation()
        memory.lengths[0] += 1  # where no layer keeps a ring, this is all that `Memory.advance` does
        return self.state.clone().view(1, 1, -1)


RECORD = {Block: Tape.serial, ParallelBlock: Tape.parallel}


def root_mean_square(x: numpy.ndarray, weight: numpy.ndarray, eps: float, to: numpy.ndarray) -> None:
    """RMSNorm of one vector."""
    scale = 1 / math.sqrt(max(float(numpy.dot(x, x)) / len(x) + eps, TINY))
    numpy.multiply(x, weight, out=to)
    numpy.multiply(to, scale, out=to)


def whole(linears: Sequence[Linear]) -> tuple[Tensor, Tensor | None]:
    """The matrix and the bias of products that read the same input."""
    ready = linears[0].joined if len(linears) > 1 else linears[0]
    return ready.weight.detach(), None if ready.bias is None else ready.bias.detach()


def halves(weight: Tensor, x: Tensor, to: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The halves of a matrix, x as a column for each, and where each writes: 2 O/2 I, 2 I 1, 2 O/2 1.

    The column is a row transposed: by the strides of a plain column MKL takes a kernel that is seven times as slow.
    """
    parts = 2 - len(weight) % 2
    return weight.view(parts, -1, weight.shape[1]), x.view(1, -1).t().expand(parts, -1, -1), to.view(parts, -1, 1)


def hooks(module: nn.Module) -> tuple[dict, dict]:
    """What watches a module; empty while nobody does."""
    return module._forward_hooks, module._forward_pre_hooks


def bare(network: Any) -> bool:
    """Whether the stream begins with a row of the table and nothing else."""
    stack = network.decoder
    return (
        type(network.embedding) is Embedding
        and network.config.embedding_scale == 1.0
        and stack.segment is None
        and type(stack.embedding_norm) is type(stack.projection) is nn.Identity
        and stack.position.add(FIRST) is None
    )


def recordable(network: Any) -> bool:
    """Whether a decoder's blocks are what this file knows, their products joined, and nobody edited or watches them."""
    output = network.output
    if not type(output.dense) is type(output.activation) is type(output.norm) is nn.Identity:
        return False
    return all(map(preparable, network.decoder.parameters())) and all(
        type(block) in RECORD
        and type(block.mlp) in (MLP, GatedMLP)
        and all(type(one) is Attention for one in attentions(block))
        and all(plain(*group) for part in (*attentions(block), block.mlp) for group in part.products())
        and all(len(group) == 1 or group[0].joined is not None for group in block.products())
        and not any(watched for module in block.modules() for watched in hooks(module))
        for block in network.decoder.blocks
    )


def attentions(block: Block) -> tuple[nn.Module, ...]:
    return (block.attention, block.cross) if block.crossed else (block.attention,)
