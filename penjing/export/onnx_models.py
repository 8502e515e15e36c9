"""Whole models as ONNX graphs: what is read at once, what generates with a cache, and the two sides of an encoder-decoder.

Shapes: B texts, T tokens, P tokens before them, W width, V vocabulary, L labels.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from penjing.base.messages.message import Both
from penjing.export import onnx_parts as parts
from penjing.export.folder import CHAINED
from penjing.export.onnx_graph import Graph, Name, names
from penjing.export.onnx_stack import Given, held, run
from penjing.model.head import ClassHead
from penjing.tasks.model import Model

WHOLE, ENCODER, DECODER = "model.onnx", "encoder_model.onnx", "decoder_model.onnx"
GENERATING = ("causal", "seq2seq")  # purposes that write with a cache
TEXTS, TOKENS, PAST, ALL, SOURCE = "texts", "tokens", "past", "past + tokens", "source tokens"
BY_LENGTH = Both("rotary positions that follow from the length (rope_type dynamic)",
                 "随长度变化的旋转位置（rope_type dynamic）")  # fmt: skip
TWO_HEADS = Both("two heads at once (next_sentence)", "同时有两个输出头（next_sentence）")


def generates(model: Model) -> bool:
    """Whether the model writes token by token."""
    return model.task.purpose in GENERATING


def write_graphs(model: Model, folder: Path) -> None:
    """The one graph of a model, or the two of an encoder-decoder that writes."""
    if not generates(model):
        read_at_once(model).write(folder / WHOLE)
    elif model.network.encoder is None:
        step(model).write(folder / WHOLE)
    else:
        source(model).write(folder / ENCODER)
        step(model).write(folder / DECODER)


def read_at_once(model: Model) -> Graph:
    """`input_ids` and `attention_mask` (and `token_type_ids`) to `logits`, or to `last_hidden_state`."""
    graph, network = Graph(), model.network
    tokens, mask = (graph.input(name, int, TEXTS, TOKENS) for name in ("input_ids", "attention_mask"))
    types = graph.input("token_type_ids", int, TEXTS, TOKENS) if model.typed else None
    x = embed(graph, network, tokens)
    if network.encoder is not None and network.decoder is not None:
        hidden = run(graph, network.encoder, x, Given(tokens, mask), "encoder")
        again = shifted(graph, tokens, mask, network.config.decoder_start)
        cross = held(graph, network.decoder, hidden, "decoder")
        given = Given(again, mask, cross=cross, cross_mask=mask)
        hidden = run(graph, network.decoder, embed(graph, network, again), given, "decoder")
    else:
        name = "decoder" if network.encoder is None else "encoder"
        hidden = run(graph, getattr(network, name), x, Given(tokens, mask, types), name)
    if model.head is not None:
        each = model.head.style.pool == "each"
        shape = (TEXTS, TOKENS) if each else (TEXTS,)
        graph.output(head(graph, model.head, hidden, tokens, mask), "logits", *shape, model.head.labels)
    elif network.output is not None:
        graph.output(vocabulary(graph, network, hidden), "logits", TEXTS, TOKENS, network.config.vocab_size)
    else:
        graph.output(hidden, "last_hidden_state", TEXTS, TOKENS, network.config.width)
    return graph


def source(model: Model) -> Graph:
    """The encoder's side: tokens to the keys and values that the decoder's layers look at."""
    graph, network = Graph(), model.network
    tokens, mask = (graph.input(name, int, TEXTS, SOURCE) for name in ("input_ids", "attention_mask"))
    hidden = run(graph, network.encoder, embed(graph, network, tokens), Given(tokens, mask), "encoder")
    pairs = held(graph, network.decoder, hidden, "decoder")
    put_out(graph, network, pairs, "cross", SOURCE)
    return graph


def step(model: Model) -> Graph:
    """New tokens, and what was kept of those before, to the scores of what follows each, and to what is kept now."""
    graph, network = Graph(), model.network
    config, layers = network.config, range(len(network.decoder.blocks))
    tokens, mask = graph.input("input_ids", int, TEXTS, TOKENS), graph.input("attention_mask", int, TEXTS, ALL)
    cross, cross_mask = None, None
    if network.encoder is not None:
        cross_mask = graph.input("encoder_attention_mask", int, TEXTS, SOURCE)
        cross = put_in(graph, network, "cross", SOURCE)
    given = Given(tokens, mask, None, put_in(graph, network, "past_key_values", PAST), cross, cross_mask)
    hidden = run(graph, network.decoder, embed(graph, network, tokens), given, "decoder")
    graph.output(vocabulary(graph, network, hidden), "logits", TEXTS, TOKENS, config.vocab_size)
    assert len(given.kept) == len(layers)
    put_out(graph, network, given.kept, "present", ALL)
    return graph


def put_in(graph: Graph, network: nn.Module, stem: str, length: str) -> list[tuple[Name, Name]]:
    """Keys and values of each layer that are given."""
    layers = range(len(network.decoder.blocks))
    shape = (TEXTS, network.config.keys, length, network.config.inner)
    return [tuple(graph.input(name, "float32", *shape) for name in pair) for pair in names(stem, layers)]


def put_out(graph: Graph, network: nn.Module, pairs: list[tuple[Name, Name]], stem: str, length: str) -> None:
    """Keys and values of each layer that come out."""
    shape = (TEXTS, network.config.keys, length, network.config.inner)
    for pair, named in zip(pairs, names(stem, range(len(pairs))), strict=True):
        for value, name in zip(pair, named, strict=True):
            graph.output(value, name, *shape)


# ---- ends ----


def embed(graph: Graph, network: nn.Module, tokens: Name) -> Name:
    """Token ids B T to their rows B T E."""
    return graph("Gather", graph.weight(network.embedding.weight, "embedding.weight"), tokens)


def shifted(graph: Graph, tokens: Name, mask: Name, start: int | None) -> Name:
    """The tokens one to the right, after `start` (None: after each text's last): as `Batch.shifted`."""
    begin = graph.number(start) if start is not None else graph("Unsqueeze", at(graph, tokens, last(graph, mask)),
                                                                graph.integers(1))  # fmt: skip
    front = graph("Slice", tokens, graph.integers(-1), graph.integers(parts.END), graph.integers(1))
    rest = graph("Slice", tokens, graph.integers(0), graph.integers(-1), graph.integers(1))
    moved = graph("Concat", front, rest, axis=1)
    column = graph("Range", graph.number(0), graph("Squeeze", graph.size(tokens, 1)), graph.number(1))
    return graph("Where", graph("Equal", column, first(graph, mask)), begin, moved)


def first(graph: Graph, mask: Name) -> Name:
    """The column of the first real token, B 1."""
    return graph("ArgMax", mask, axis=1)


def last(graph: Graph, mask: Name) -> Name:
    """The column of the last real token, B 1."""
    return graph("ArgMax", mask, axis=1, select_last_index=1)


def at(graph: Graph, x: Name, place: Name) -> Name:
    """Of each text what stands in one column: B T ... and B 1 to B ..."""
    return graph("GatherND", x, place, batch_dims=1)


def vocabulary(graph: Graph, network: nn.Module, hidden: Name) -> Name:
    """Scores over the vocabulary, B T V."""
    output = network.output
    x = parts.linear(graph, output.dense, hidden, "output.dense")
    x = parts.norm(graph, output.norm, parts.activation(graph, output.activation, x), "output.norm")
    if output.scale != 1.0:
        x = graph("Mul", x, graph.number(float(output.scale)))
    if output.weight is None:
        rows = graph("Transpose", graph.weight(network.embedding.weight, "embedding.weight"), perm=(1, 0))
    else:
        rows = graph.weight(output.weight, "output.weight", transposed=True)
    found = graph("MatMul", x, rows)
    return found if output.bias is None else graph("Add", found, graph.weight(output.bias, "output.bias"))


def head(graph: Graph, module: ClassHead, hidden: Name, tokens: Name, mask: Name) -> Name:
    """Scores of the labels: B L, or B T L where every token is scored."""
    parts.plain(module, (ClassHead,), "head")
    x = hidden if module.style.pool == "each" else pooled(graph, module, hidden, tokens, mask)
    x = parts.activation(graph, module.activation, parts.linear(graph, module.dense, x, "head.dense"))
    return parts.linear(graph, module.output, parts.norm(graph, module.norm, x, "head.norm"), "head.output")


def pooled(graph: Graph, module: ClassHead, hidden: Name, tokens: Name, mask: Name) -> Name:
    """One state for each text, B W."""
    if module.style.pool == "mean":
        weight = graph("Unsqueeze", graph("Cast", mask, to=1), graph.integers(2))
        total = graph("ReduceSum", graph("Mul", hidden, weight), graph.integers(1), keepdims=0)
        return graph("Div", total, graph("Max", graph("ReduceSum", weight, graph.integers(1), keepdims=0),
                                         graph.number(1.0)))  # fmt: skip
    if module.style.pool == "end":
        ends = graph("Cast", graph("Equal", tokens, graph.number(module.style.end)), to=7)
        return at(graph, hidden, last(graph, ends))
    return at(graph, hidden, (first if module.style.pool == "first" else last)(graph, mask))


def unwritten(model: Model) -> Both | None:
    """What of a model there are no operations for, if anything."""
    config, head_ = model.network.config, model.head
    if getattr(config, "by_length", False):
        return BY_LENGTH
    if head_ is not None and head_.crf is not None:
        return CHAINED
    if head_ is not None and model.network.output is not None:
        return TWO_HEADS
    return None
