"""The next token of one row, written out as a tape: operations bound to their buffers once, run one after the other.

A step for one row reads every matrix once and computes next to nothing, so what is left is overhead. The tape has the
fewest operations that the blocks can be said in: products add their result to the residual stream themselves, nothing
is allocated, split or viewed twice. It is run by compiled code where this machine has a compiler (see `native.py`),
else in Python. It says what `Stack.forward` says, for every family (tests/model/test_step.py), and is recorded only
where nobody edited or watches a module; `Transformer.step` goes the general way everywhere else.

Shapes: W width, H heads, K key heads, G heads that share one, D head width, O outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from penjing.model.ahead import ahead
from penjing.model.cache import Memory
from penjing.model.embedding import Embedding
from penjing.model.layers import MLP, Attention, Block, GatedMLP, ParallelBlock, plain
from penjing.model.operations import (
    FIRST,
    Activate,
    Attend,
    Feed,
    Near,
    Norm,
    Product,
    QuantizedProduct,
    Recall,
    Row,
    Turn,
    halves,
)  # fmt: skip
from penjing.model.products import Linear, preparable
from penjing.model.quantized import LANES, alike, alone, multiply
from penjing.model.step_native import Native, native, native_product


class Tape:
    """A network's decoder as operations. Called with the row's newest token, it returns its state 1 1 W, then `scores`."""

    def __init__(self, network: Any):
        self.network, self.stack, self.config = network, network.decoder, network.config
        self.simple = simple(network)
        self.bare = self.simple and type(network.embedding) is Embedding
        self.table = network.embedding.weight if self.bare else next(self.stack.parameters())  # tells of another type
        self.like, self.scale = self.table.detach(), network.output.scale
        self.said: list[Any] = []  # operations, as they are recorded
        self.buffers: dict[str, Tensor] = {}
        self.row = Row()
        self.busy = Lock()  # two threads may generate with one network; the buffers are one step's
        self.x = self.buffer("stream", self.config.width)
        self.near = self.kinds()
        for layer, block in enumerate(self.stack.blocks):
            RECORD[type(block)](self, block, layer)
        self.state = self.norm(self.stack.final_norm, self.x, self.buffer("normed", self.config.width))
        self.calls = [call for operation in self.said for call in operation.calls()]
        self.handles, self.watched = 0, False
        self.asked = self.buffer("asked", self.config.embedded)
        self.head = self.vocabulary()
        self.native: Native | None = native(self.said, self.near, self.row)
        self.several = ahead(self)
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
            for local in {local for _, local in stack.layers()}
        }

    # ---- recording ----

    def buffer(self, name: str, size: int) -> Tensor:
        """Room that all layers share."""
        return self.buffers.setdefault(f"{name} {size}", self.like.new_zeros(size))

    def norm(self, norm: nn.Module, x: Tensor, to: Tensor) -> Tensor:
        """Where the normed x lies: x itself where there is no norm."""
        if type(norm) is nn.Identity:
            return x
        self.said.append(Norm(norm, x, to))
        return to

    def put(self, linears: Sequence[Linear], x: Tensor, name: str) -> Tensor:
        """The products of x with these matrices, one after the other."""
        sizes = [linear.out_features for linear in linears]
        made = self.buffer(name, sum(sizes))
        if plain(*linears):
            self.said.append(Product(*whole(linears), x, made))
        elif matrices := alike(linears):
            self.said.append(QuantizedProduct(matrices, biases(linears), x, made))
        else:
            self.said += [product(linear, x, to) for linear, to in zip(linears, made.split(sizes), strict=True)]
        return made

    def add(self, linear: Linear, x: Tensor) -> None:
        """Add the product of x to the stream."""
        self.said.append(product(linear, x, self.x, add=True))

    def attention(self, attention: Attention, layer: int, x: Tensor) -> None:
        """Attention to the row itself, added to the stream."""
        near = self.near[self.stack.layers()[layer][1]]
        group, (output,) = attention.products()
        made = self.heads(attention, near, self.put(group, x, "heads"))
        mixed = self.buffer("mixed", attention.heads * attention.inner)
        shared, layers = attention.heads // attention.key_heads, len(self.stack.blocks)
        self.said.append(Attend(self.row, near, layer, layers, attention.scale, shared, made, mixed))
        self.add(output, mixed)

    def heads(self, attention: Attention, near: Near, made: Tensor) -> Tensor:
        """Queries, keys and values H+K+K D: normed, and queries and keys turned."""
        sizes = attention.heads, attention.key_heads, attention.key_heads
        made = made.view(sum(sizes), attention.inner)
        query, key, _ = made.split(sizes)
        self.norm(attention.query_norm, query, query)
        self.norm(attention.key_norm, key, key)
        if near.cosine is not None:
            both, width = made[: sum(sizes[:2])], near.cosine.size
            self.said.append(Turn(near, both, width, self.buffer("turning", len(both) * width)))
        return made

    def recall(self, attention: Attention, layer: int, x: Tensor) -> None:
        """Attention to what the encoder said, added to the stream."""
        query = self.put((attention.query,), x, "asking").view(attention.heads, -1)
        self.norm(attention.query_norm, query, query)
        query = query.view(1, attention.key_heads, -1, attention.inner)
        mixed = self.buffer("mixed", query.numel())
        self.said.append(Recall(self.row, layer, attention.scale, query, mixed))
        self.add(attention.output, mixed)

    def mlp(self, mlp: MLP, x: Tensor) -> None:
        """The MLP, added to the stream."""
        group, (down,) = mlp.products()
        first, *second = self.put(group, x, "raw").split(down.in_features)
        inner = self.buffer("inner", down.in_features)
        self.said.append(Activate(mlp.activation, first, second[0] if second else None, inner))
        self.add(down, inner)
        if alike(group) and alone(down) and down.in_features % LANES == 0:
            self.said[-3:] = [Feed(*self.said[-3:])]

    def vocabulary(self) -> Callable[[], Tensor]:
        """The product with the vocabulary; its result is nobody's buffer."""
        last = self.last(self.like.new_empty(0))
        compiled = native_product(last)
        if compiled is not None:
            return compiled
        if isinstance(last, QuantizedProduct):
            return lambda: multiply(self.asked, last.matrices, last.biases)
        weight, bias = last.weight, last.bias
        matrix, column, _ = halves(weight, self.asked, weight.new_empty(len(weight)))
        if bias is None:
            return partial(torch.bmm, matrix, column)
        return partial(torch.baddbmm, bias.view(len(matrix), -1, 1), matrix, column)

    def last(self, to: Tensor) -> Product | QuantizedProduct:
        """The product with the vocabulary, put into `to` V."""
        matrix = alone(self.network.output)
        if matrix is not None:
            return QuantizedProduct((matrix,), biases((self.network.output,)), self.asked, to)
        weight, bias = (None if one is None else one.detach() for (one,) in self.network.products()[0][1:])
        return Product(weight, bias, self.asked, to)

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

    def fits(self, memory: Memory) -> bool:
        """Whether the tape can take a step of it."""
        return len(memory.lengths) == 1 and not self.stack.training and self.holds() and straight(memory)

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
        if tokens.shape != (1, 1) or not self.fits(memory) or not self.busy.acquire(blocking=False):
            return None
        try:
            with numpy.errstate(all="ignore"):  # what is no number is told by who chooses the token
                return self.run(tokens, memory)
        finally:
            self.busy.release()

    def ahead(self, token: int, memory: Memory, most: int, stops: Sequence[int]) -> tuple[list[int], list[float]]:
        """The likeliest tokens after this one, up to `most` or one of `stops`, and their log-probabilities, as far as
        several steps are taken at once. The memory then holds all but the last.
        """
        if self.several is None or not self.fits(memory) or not self.busy.acquire(blocking=False):
            return [], []
        try:
            return self.several(self, token, memory, most, stops)
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
        if self.native is None or not self.native(self.near, self.row):
            for call in self.calls:
                call()
        memory.lengths[0] += 1  # where no layer keeps a ring, this is all that `Memory.advance` does
        return self.state.clone().view(1, 1, -1)


RECORD = {Block: Tape.serial, ParallelBlock: Tape.parallel}


def product(linear: Linear, x: Tensor, to: Tensor, add: bool = False) -> Product | QuantizedProduct:
    """One product, of many bits or few."""
    matrix = alone(linear)
    if matrix is None:
        return Product(*whole((linear,)), x, to, add)
    return QuantizedProduct((matrix,), biases((linear,)), x, to, add)


def biases(modules: Sequence[Any]) -> list[Tensor | None]:
    return [None if one.bias is None else one.bias.detach() for one in modules]


def whole(linears: Sequence[Linear]) -> tuple[Tensor, Tensor | None]:
    """The matrix and the bias of products that read the same input."""
    ready = linears[0].joined if len(linears) > 1 else linears[0]
    return ready.weight.detach(), None if ready.bias is None else ready.bias.detach()


def straight(memory: Memory) -> bool:
    """Whether no layer keeps a ring when there is room for one token more."""
    if memory.lengths[0] >= memory.cache.capacity:
        memory.room(1)
    return not memory.cache.rings


def hooks(module: nn.Module) -> tuple[dict, dict]:
    """What watches a module; empty while nobody does."""
    return module._forward_hooks, module._forward_pre_hooks


def simple(network: Any) -> bool:
    """Whether the stream begins with a row of the table and nothing else."""
    stack = network.decoder
    return (
        network.config.embedding_scale == 1.0
        and stack.segment is None
        and type(stack.embedding_norm) is type(stack.projection) is nn.Identity
        and stack.position.add(FIRST) is None
    )


def recordable(network: Any) -> bool:
    """Whether a decoder's blocks are what this file knows, their products joined, and nobody edited or watches them."""
    output = network.output
    if not type(output.dense) is type(output.activation) is type(output.norm) is nn.Identity:
        return False
    if network.embedding._parameters["weight"] is None and alone(network.embedding) is None:  # made anew each time
        return False
    if network.decoder.position.bias(FIRST, FIRST, torch.float32) is not None and some_heads(network.decoder):
        return False
    return all(map(preparable, network.decoder.parameters())) and all(
        type(block) in RECORD
        and type(block.mlp) in (MLP, GatedMLP)
        and all(type(one) is Attention for one in attentions(block))
        and all(map(known, (part.products() for part in (*attentions(block), block.mlp))))
        and all(len(group) == 1 or group[0].joined is not None for group in block.products())
        and not any(watched for module in block.modules() for watched in hooks(module))
        for block in network.decoder.blocks
    )


def known(groups: Sequence[Sequence[Linear]]) -> bool:
    """Whether these are products that nobody edited, or that say alone what a matrix of few bits says."""
    return all(plain(one) or alone(one) is not None for group in groups for one in group)


def some_heads(stack: Any) -> bool:
    """Whether an attention has only some of the heads that positions make a bias for."""
    return any(
        one.kept is not None for block in stack.blocks for one in attentions(block) if isinstance(one, Attention)
    )


def attentions(block: Block) -> tuple[nn.Module, ...]:
    return (block.attention, block.cross) if block.crossed else (block.attention,)
