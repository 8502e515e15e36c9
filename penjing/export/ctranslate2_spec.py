"""A network as CTranslate2's specification: the same tensors in other places, queries, keys and values side by side."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from penjing.model.layers import Attention, GatedMLP
from penjing.model.positions import Learned, Relative
from penjing.model.transformer import Stack
from penjing.tasks.model import Model

ACTIVATIONS = {"relu": "RELU", "gelu_tanh": "GELUTanh", "silu": "SWISH", "gelu": "GELU"}


def spec_of(model: Model) -> Any:
    """The whole specification, with vocabulary and config."""
    from ctranslate2.specs import TransformerSpec, common_spec

    network, config = model.network, model.network.config
    spec = TransformerSpec.from_config(
        (config.encoder_layers, config.decoder_layers), config.heads, pre_norm=config.norm_place == "before",
        no_final_norm=not config.final_norm, activation=common_spec.Activation[ACTIVATIONS[config.activation]],
        layernorm_embedding=config.embedding_norm, relative_attention_bias=config.position == "relative",
        ffn_glu=config.gated_mlp, rms_norm=config.norm == "rms",
    )  # fmt: skip
    embedding, output = numbers(network.embedding.weight), network.output
    fill_stack(spec.encoder, network.encoder, embedding)
    fill_stack(spec.decoder, network.decoder, embedding)
    spec.decoder.projection.weight = embedding if output.weight is None else numbers(output.weight)
    if output.bias is not None:
        spec.decoder.projection.bias = numbers(output.bias)
    if output.scale != 1.0:
        spec.decoder.scale_outputs = np.float32(output.scale)
    tokens = vocabulary(model)
    spec.register_source_vocabulary(tokens)
    spec.register_target_vocabulary(tokens)
    named = {"eos_token": model.tokenizer.end, "bos_token": model.tokenizer.begin, "unk_token": model.tokenizer.unknown,
             "decoder_start_token": model.decoder_start}  # fmt: skip
    for name, number in named.items():
        setattr(spec.config, name, tokens[model.tokenizer.pad if number is None else number])
    spec.config.layer_norm_epsilon = config.norm_eps
    return spec


def vocabulary(model: Model) -> list[str]:
    """A text for each row of the embeddings, no two alike."""
    rows = range(model.network.config.vocab_size)
    return [model.tokenizer.inner.id_to_token(number) or f"<unused_{number}>" for number in rows]


def numbers(tensor: Tensor) -> np.ndarray:
    return tensor.detach().float().contiguous().numpy()


def fill_stack(spec: Any, stack: Stack, embedding: np.ndarray) -> None:
    """One side."""
    place = spec.embeddings[0] if isinstance(spec.embeddings, list) else spec.embeddings
    place.weight, spec.scale_embeddings = embedding, stack.config.embedding_scale
    if isinstance(stack.position, Learned):
        spec.position_encodings.encodings = numbers(stack.position.table.weight[stack.position.first :])
    elif not isinstance(stack.position, Relative):
        spec.position_encodings.encodings = numbers(stack.position.waves(torch.device("cpu")))
    for name, norm in (("layernorm_embedding", stack.embedding_norm), ("layer_norm", stack.final_norm)):
        if not isinstance(norm, nn.Identity):
            fill_norm(getattr(spec, name), norm)
    before = "before" if stack.config.norm_place == "before" else "after"
    for layer, block in zip(spec.layer, stack.blocks, strict=True):
        fill_self(layer.self_attention, block.attention, stack)
        fill_norm(layer.self_attention.layer_norm, getattr(block, f"{before}_attention"))
        if block.crossed:
            fill_cross(layer.attention, block.cross)
            fill_norm(layer.attention.layer_norm, getattr(block, f"{before}_cross"))
        fill_mlp(layer.ffn, block.mlp)
        fill_norm(layer.ffn.layer_norm, getattr(block, f"{before}_mlp"))


def fill_norm(spec: Any, norm: nn.Module) -> None:
    spec.gamma = numbers(norm.weight)
    if getattr(norm, "bias", None) is not None:
        spec.beta = numbers(norm.bias)


def fill_linear(spec: Any, *modules: nn.Linear) -> None:
    """One product, or several of one input side by side."""
    spec.weight = np.concatenate([numbers(module.weight) for module in modules])
    if modules[0].bias is not None:
        spec.bias = np.concatenate([numbers(module.bias) for module in modules])


def fill_self(spec: Any, module: Attention, stack: Stack) -> None:
    """Attention of a side to itself; its bias by distance is the same in all layers."""
    fill_linear(spec.linear[0], module.query, module.key, module.value)
    fill_ends(spec, module)
    if isinstance(stack.position, Relative):
        spec.relative_attention_bias = numbers(stack.position.table.weight)
        spec.relative_attention_max_distance = np.int32(stack.position.farthest)


def fill_cross(spec: Any, module: Attention) -> None:
    """Attention to the encoder."""
    fill_linear(spec.linear[0], module.query)
    fill_linear(spec.linear[1], module.key, module.value)
    fill_ends(spec, module)


def fill_ends(spec: Any, module: Attention) -> None:
    """The last product and the scale of the scores."""
    fill_linear(spec.linear[-1], module.output)
    if module.scale is not None:
        spec.queries_scale = np.float32(module.scale)


def fill_mlp(spec: Any, module: nn.Module) -> None:
    if isinstance(module, GatedMLP):
        fill_linear(spec.linear_0, module.gate)
        fill_linear(spec.linear_0_noact, module.up)
    else:
        fill_linear(spec.linear_0, module.up)
    fill_linear(spec.linear_1, module.down)
