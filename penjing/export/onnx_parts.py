"""The parts of a network as ONNX operations, by the modules that stand in its slots.

Shapes: B texts, T tokens, P tokens before them, S = P + T keys, H heads, K key heads, D head width, W width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from penjing.base.errors import ModelError
from penjing.export.onnx_graph import Graph, Name
from penjing.model import layers, positions
from penjing.model.products import Linear

LOWEST = float(np.finfo(np.float32).min)
END = 2**31 - 1  # of a slice that goes on to the end


@dataclass
class Turn:
    """Cosines, and sines with the first half negative, B T 1 D of so many features."""

    cosine: Name
    sine: Name
    width: int


@dataclass
class Seen:
    """What attention is told, for one kind of layers."""

    mask: Name  # added to the scores, B|1 H|1 T S
    turn: Turn | None = None


# ---- products, norms, activations ----


def linear(graph: Graph, module: nn.Module, x: Name, path: str) -> Name:
    """x times the transposed matrix, plus the bias."""
    if isinstance(module, nn.Identity):
        return x
    plain(module, (Linear, nn.Linear), path)
    found = graph("MatMul", x, graph.weight(module.weight, f"{path}.weight", transposed=True))
    return found if module.bias is None else graph("Add", found, graph.weight(module.bias, f"{path}.bias"))


def plain(module: nn.Module, kinds: tuple[type, ...], path: str) -> None:
    """What somebody edited cannot be written."""
    if type(module) not in kinds:
        raise ModelError("P-EXPORT-004", given=path, kind=type(module).__name__)


def norm(graph: Graph, module: nn.Module, x: Name, path: str) -> Name:
    """A norm over the last axis, or an empty slot."""
    if isinstance(module, nn.Identity):
        return x
    plain(module, (nn.LayerNorm, layers.PlainLayerNorm, layers.RMSNorm), path)
    scale = graph.weight(module.weight, f"{path}.weight")
    if isinstance(module, nn.LayerNorm):
        bias = () if module.bias is None else (graph.weight(module.bias, f"{path}.bias"),)
        return graph("LayerNormalization", x, scale, *bias, axis=-1, epsilon=module.eps)
    squares = graph("ReduceMean", graph("Mul", x, x), graph.integers(-1))
    root = graph("Sqrt", graph("Add", squares, graph.number(float(module.eps))))
    return graph("Mul", graph("Div", x, root), scale)


def silu(graph: Graph, x: Name) -> Name:
    return graph("Mul", x, graph("Sigmoid", x))


ACTIVATIONS: dict[Callable[..., object], Callable[[Graph, Name], Name]] = {
    F.gelu: lambda graph, x: graph("Gelu", x),
    layers.gelu_tanh: lambda graph, x: graph("Gelu", x, approximate="tanh"),
    F.silu: silu,
    F.relu: lambda graph, x: graph("Relu", x),
    torch.tanh: lambda graph, x: graph("Tanh", x),
}


def activation(graph: Graph, function: Callable[..., object], x: Name) -> Name:
    """An activation, or an empty slot."""
    return x if isinstance(function, nn.Identity) else ACTIVATIONS[function](graph, x)


# ---- positions and masks ----


def numbered(graph: Graph, mask: Name, before: Name | None) -> tuple[Name, Name]:
    """Positions of the queries B T and of the keys B S: numbers of the real tokens, padding at either side."""
    counted = graph("CumSum", mask, graph.number(1))
    keys = graph("Max", graph("Sub", counted, graph.number(1)), graph.number(0))
    return (keys if before is None else graph("Slice", keys, before, graph.integers(END), graph.integers(1))), keys


def added(graph: Graph, scheme: positions.Positions, at: Name, path: str) -> Name | None:
    """What is added to the embeddings, B T W."""
    if isinstance(scheme, positions.Learned):
        table = graph.weight(scheme.table.weight, f"{path}.table")
        return graph("Gather", table, graph("Add", at, graph.number(int(scheme.first))))
    if isinstance(scheme, positions.Sinusoidal):
        return graph("Gather", graph.constant(scheme.waves(torch.device("cpu")).numpy()), at)
    return None


def rotation(graph: Graph, scheme: positions.Positions, at: Name) -> Turn | None:
    """What queries and keys are turned by."""
    if not isinstance(scheme, positions.Rotary):
        return None
    frequencies = graph.constant(scheme.frequencies(torch.zeros(1, 1, dtype=torch.int64)).numpy())
    places = graph("Unsqueeze", graph("Cast", at, to=1), graph.integers(2, 3))
    angle = graph("Mul", places, frequencies)
    cosine, sine = graph("Cos", angle), graph("Sin", angle)
    if scheme.scaling is not None and scheme.scaling.strength != 1.0:
        strength = graph.number(float(scheme.scaling.strength))
        cosine, sine = graph("Mul", cosine, strength), graph("Mul", sine, strength)
    negative = graph("Neg", sine)
    both = graph("Concat", cosine, cosine, axis=-1), graph("Concat", negative, sine, axis=-1)
    return Turn(*both, scheme.width)


def bias(graph: Graph, scheme: positions.Positions, query_at: Name, key_at: Name, path: str) -> Name | None:
    """What the positions add to the scores, B H T S."""
    if not isinstance(scheme, positions.Relative | positions.Alibi):
        return None
    apart = difference(graph, query_at, key_at)  # B T S
    if isinstance(scheme, positions.Alibi):
        slopes = -np.asarray(positions.slopes(scheme.heads), np.float32)[None, :, None, None]
        far = graph("Cast", graph("Unsqueeze", graph("Abs", apart), graph.integers(1)), to=1)
        return graph("Mul", far, graph.constant(slopes))
    most = int(scheme.farthest)  # from here on all distances share a bucket
    with torch.no_grad():
        table = scheme.table(scheme.bucket(torch.arange(-most, most + 1)))  # distances H
    kept = graph("Min", graph("Max", apart, graph.number(-most)), graph.number(most))
    found = graph("Gather", graph.constant(table.float().numpy()), graph("Add", kept, graph.number(most)))
    return graph("Transpose", found, perm=(0, 3, 1, 2))


def difference(graph: Graph, query_at: Name, key_at: Name) -> Name:
    """Position of the key less that of the query, B T S."""
    keys, queries = graph("Unsqueeze", key_at, graph.integers(1)), graph("Unsqueeze", query_at, graph.integers(2))
    return graph("Sub", keys, queries)


def before(graph: Graph, tokens: Name, mask: Name) -> Name:
    """Whether a key's column is not behind the query's, 1 1 T S."""
    keys, queries = graph("Shape", mask, start=1), graph("Shape", tokens, start=1)
    first = graph("Sub", keys, queries)
    column = graph("Range", graph.number(0), graph("Squeeze", keys), graph.number(1))
    row = graph("Range", graph("Squeeze", first), graph("Squeeze", keys), graph.number(1))
    allowed = graph("LessOrEqual", column, graph("Unsqueeze", row, graph.integers(1)))
    return graph("Unsqueeze", allowed, graph.integers(0, 1))


def masked(graph: Graph, allowed: Name, more: Name | None) -> Name:
    """What is added to the scores: a bias where a key may be seen, else the lowest number."""
    return graph("Where", allowed, graph.number(0.0) if more is None else more, graph.number(LOWEST))


# ---- attention ----


def split(graph: Graph, x: Name, heads: int, width: int) -> Name:
    """B T HD to B T H D."""
    return graph("Reshape", x, graph.integers(0, 0, heads, width))


def turned(graph: Graph, x: Name, by: Turn | None, width: int) -> Name:
    """The halves of each head's first features change places and are mixed, as many as the rotation has. B T H D."""
    if by is None:
        return x
    front, rest = x, None
    if by.width != width:
        front, rest = graph.several("Split", 2, x, graph.integers(by.width, width - by.width), axis=-1)
    first, second = graph.several("Split", 2, front, axis=-1, num_outputs=2)
    swapped = graph("Concat", second, first, axis=-1)
    found = graph("Add", graph("Mul", front, by.cosine), graph("Mul", swapped, by.sine))
    return found if rest is None else graph("Concat", found, rest, axis=-1)
