"""A stack of blocks as ONNX operations: embeddings in, hidden states out, keys and values of all layers beside them.

Shapes as in onnx_parts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import nn

from penjing.export import onnx_parts as parts
from penjing.export.onnx_graph import Graph, Name
from penjing.export.onnx_parts import Seen
from penjing.model.layers import Attention, Block, GatedMLP, ParallelBlock
from penjing.model.transformer import Stack

Pair = tuple[Name, Name]  # keys and values, B K S D


@dataclass
class Given:
    """What a stack is given beside the embeddings."""

    tokens: Name  # B T
    mask: Name  # B S, 1 = real; the tokens before are counted
    segments: Name | None = None  # B T
    past: list[Pair] | None = None  # of each layer
    cross: list[Pair] | None = None  # of the encoder, for each layer
    cross_mask: Name | None = None  # B S of the encoder
    kept: list[Pair] = field(default_factory=list)  # filled: keys and values of each layer, all S


def run(graph: Graph, stack: Stack, x: Name, given: Given, path: str) -> Name:
    """Hidden states B T W."""
    first = None if given.past is None else graph.size(given.past[0][0], 2)
    query_at, key_at = parts.numbered(graph, given.mask, first)
    x = embedded(graph, stack, x, query_at, given.segments, path)
    kinds = {stack.config.local(layer) for layer in range(len(stack.blocks))}
    seen = {local: sight(graph, stack, given, query_at, key_at, local, path) for local in sorted(kinds)}
    cross = None if given.cross_mask is None else Seen(parts.masked(graph, real(graph, given.cross_mask), None))
    for layer, block in enumerate(stack.blocks):
        own = Layer(graph, block, f"{path}.blocks.{layer}", seen[stack.config.local(layer)], cross)
        x = own.run(x, given, layer)
    return parts.norm(graph, stack.final_norm, x, f"{path}.final_norm")


def embedded(graph: Graph, stack: Stack, x: Name, at: Name, segments: Name | None, path: str) -> Name:
    """Scale, positions, segments, norm and widening of the embeddings."""
    if stack.config.embedding_scale != 1.0:
        x = graph("Mul", x, graph.number(float(stack.config.embedding_scale)))
    more = parts.added(graph, stack.position, at, f"{path}.position")
    x = x if more is None else graph("Add", x, more)
    if stack.segment is not None:
        table = graph.weight(stack.segment.weight, f"{path}.segment.weight")
        x = graph("Add", x, graph("Gather", table, graph.integers(0) if segments is None else segments))
    x = parts.norm(graph, stack.embedding_norm, x, f"{path}.embedding_norm")
    return parts.linear(graph, stack.projection, x, f"{path}.projection")


def real(graph: Graph, mask: Name) -> Name:
    """B S of whole numbers as B 1 1 S of yes and no."""
    return graph("Unsqueeze", graph("Cast", mask, to=9), graph.integers(1, 2))


def sight(graph: Graph, stack: Stack, given: Given, query_at: Name, key_at: Name, local: bool, path: str) -> Seen:
    """What the layers of one kind may see, and how positions enter."""
    scheme, name = (stack.local_position, "local_position") if local else (stack.position, "position")
    allowed = real(graph, given.mask)
    if stack.causal:
        allowed = graph("And", allowed, parts.before(graph, given.tokens, given.mask))
    if local:
        apart = graph("Abs", parts.difference(graph, query_at, key_at))
        near = graph("LessOrEqual", apart, graph.number(int(stack.config.window)))
        allowed = graph("And", allowed, graph("Unsqueeze", near, graph.integers(1)))
    more = parts.bias(graph, scheme, query_at, key_at, f"{path}.{name}")
    return Seen(parts.masked(graph, allowed, more), parts.rotation(graph, scheme, query_at))


@dataclass
class Layer:
    """One block."""

    graph: Graph
    block: Block
    path: str
    seen: Seen
    cross: Seen | None

    def run(self, x: Name, given: Given, layer: int) -> Name:
        """As `Block.forward`, or as `ParallelBlock.forward`."""
        parts.plain(self.block, (Block, ParallelBlock), self.path)
        past = None if given.past is None else given.past[layer]
        source = self.norm("before_attention", x)
        attended, pair = self.attention("attention", source, self.seen, past)
        given.kept.append(pair)
        if isinstance(self.block, ParallelBlock):
            return self.graph("Add", self.graph("Add", x, attended), self.mlp(self.norm("before_mlp", x)))
        x = self.norm("after_attention", self.graph("Add", x, attended))
        if self.block.crossed:
            query = self.norm("before_cross", x)
            looked, _ = self.attention("cross", query, self.cross, held=given.cross[layer])
            x = self.norm("after_cross", self.graph("Add", x, looked))
        return self.norm("after_mlp", self.graph("Add", x, self.mlp(self.norm("before_mlp", x))))

    def norm(self, name: str, x: Name) -> Name:
        return parts.norm(self.graph, getattr(self.block, name), x, f"{self.path}.{name}")

    def linear(self, module: nn.Module, x: Name, name: str) -> Name:
        return parts.linear(self.graph, module, x, f"{self.path}.{name}")

    def attention(
        self, name: str, x: Name, seen: Seen, past: Pair | None = None, held: Pair | None = None
    ) -> tuple[Name, Pair]:
        """Attention to x and what stood before it, or to what was `held`: the output B T W, and all keys and values."""
        graph, module = self.graph, getattr(self.block, name)
        query = self.query(module, x, seen, name)
        pair = held or self.pair(module, x, seen, name)
        if past is not None:
            pair = tuple(graph("Concat", old, new, axis=2) for old, new in zip(past, pair, strict=True))
        key, value = (shared(graph, one, module) for one in pair)
        scores = graph("MatMul", query, graph("Transpose", key, perm=(0, 1, 3, 2)))
        mixed = graph("MatMul", graph("Softmax", graph("Add", scores, seen.mask), axis=-1), value)
        flat = graph("Reshape", graph("Transpose", mixed, perm=(0, 2, 1, 3)),
                     graph.integers(0, 0, module.heads * module.inner))  # fmt: skip
        return self.linear(module.output, flat, f"{name}.output"), pair

    def query(self, module: Attention, x: Name, seen: Seen, name: str) -> Name:
        """Queries B H T D, with the scale of the scores."""
        graph = self.graph
        found = parts.split(graph, self.linear(module.query, x, f"{name}.query"), module.heads, module.inner)
        found = parts.norm(graph, module.query_norm, found, f"{self.path}.{name}.query_norm")
        found = graph("Transpose", parts.turned(graph, found, seen.turn, module.inner), perm=(0, 2, 1, 3))
        scale = module.inner**-0.5 if module.scale is None else module.scale
        return found if scale == 1.0 else graph("Mul", found, graph.number(float(scale)))

    def pair(self, module: Attention, x: Name, seen: Seen, name: str) -> Pair:
        """Keys and values of x, each B K T D."""
        graph, path = self.graph, f"{self.path}.{name}"
        key, value = (
            parts.split(graph, self.linear(one, x, f"{name}.{part}"), module.key_heads, module.inner)
            for part, one in (("key", module.key), ("value", module.value))
        )
        key = parts.turned(graph, parts.norm(graph, module.key_norm, key, f"{path}.key_norm"), seen.turn, module.inner)
        return graph("Transpose", key, perm=(0, 2, 1, 3)), graph("Transpose", value, perm=(0, 2, 1, 3))

    def mlp(self, x: Name) -> Name:
        """Up, activation, down; with a gate where there is one."""
        module, graph = self.block.mlp, self.graph
        up = self.linear(module.up, x, "mlp.up")
        if isinstance(module, GatedMLP):
            gate = parts.activation(graph, module.activation, self.linear(module.gate, x, "mlp.gate"))
            return self.linear(module.down, graph("Mul", gate, up), "mlp.down")
        return self.linear(module.down, parts.activation(graph, module.activation, up), "mlp.down")


def shared(graph: Graph, x: Name, module: Attention) -> Name:
    """B K S D as B H S D: heads that share keys each get them."""
    times = module.heads // module.key_heads
    if times == 1:
        return x
    wide = graph("Expand", graph("Unsqueeze", x, graph.integers(2)), graph.integers(1, 1, times, 1, 1))
    return graph("Reshape", wide, graph.integers(0, module.heads, -1, module.inner))


def held(graph: Graph, stack: Stack, source: Name, path: str) -> list[Pair]:
    """The encoder's keys and values for each decoder layer."""
    nothing = Seen("")
    return [
        Layer(graph, block, f"{path}.blocks.{layer}", nothing, None).pair(block.cross, source, nothing, "cross")
        for layer, block in enumerate(stack.blocks)
    ]
