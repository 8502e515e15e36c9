"""Llama (arXiv:2302.13971) and, with normalised queries and keys, Qwen3 (arXiv:2505.09388): rotary, RMSNorm, gated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import FOREIGN_ACTIVATIONS, Family, activation, full_layers, rotary_base
from penjing.model.head import HeadStyle

DEFAULTS = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": None,
    "head_dim": None,
    "hidden_act": "silu",
    "max_position_embeddings": 2048,
    "initializer_range": 0.02,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
    "rope_theta": None,
    "rope_parameters": None,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "hidden_dropout_prob": 0.0,  # ours alone: their training has no such dropout and leaves the key unread
    "mlp_bias": False,
    "layer_types": None,
    "sliding_window": None,  # both unread while use_sliding_window is False
    "max_window_layers": None,
}
ONLY = {"use_sliding_window": (False,), "rope_scaling": (None,), "is_encoder_decoder": (False,)}


def read(foreign: Mapping[str, Any]) -> ModelConfig:
    full_layers(foreign["layer_types"])
    bias = foreign["attention_bias"]
    return ModelConfig(
        vocab_size=foreign["vocab_size"],
        width=foreign["hidden_size"],
        heads=foreign["num_attention_heads"],
        key_heads=foreign["num_key_value_heads"],
        head_width=foreign["head_dim"],
        mlp_width=foreign["intermediate_size"],
        decoder_layers=foreign["num_hidden_layers"],
        max_tokens=foreign["max_position_embeddings"],
        norm="rms",
        norm_place="before",
        norm_eps=foreign["rms_norm_eps"],
        final_norm=True,
        position="rotary",
        rotary_base=rotary_base(foreign["rope_parameters"], foreign["rope_theta"] or 10_000.0),
        activation=activation(foreign, "hidden_act"),
        gated_mlp=True,
        mlp_bias=foreign["mlp_bias"],
        attention_bias=(bias, bias),
        normalize_query_key=foreign["model_type"] == "qwen3",
        tied_output=foreign["tie_word_embeddings"],
        dropout=foreign["hidden_dropout_prob"],
        attention_dropout=foreign["attention_dropout"],
        initial_std=foreign["initializer_range"],
    )


def write(config: ModelConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.keys,
        "head_dim": config.inner,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.decoder_layers,
        "max_position_embeddings": config.max_tokens,
        "rms_norm_eps": config.norm_eps,
        "rope_parameters": {"rope_type": "default", "rope_theta": config.rotary_base},
        "rope_theta": config.rotary_base,
        "hidden_act": FOREIGN_ACTIVATIONS[config.activation],
        "mlp_bias": config.mlp_bias,
        "attention_bias": config.attention_bias[0],
        "tie_word_embeddings": config.tied_output,
        "hidden_dropout_prob": config.dropout,
        "attention_dropout": config.attention_dropout,
        "initializer_range": config.initial_std,
    }


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    ours, theirs = "decoder.blocks.{i}.", "model.layers.{i}."
    parts = {"query": "q", "key": "k", "value": "v", "output": "o", "query_norm": "q_norm", "key_norm": "k_norm"}
    return {
        "embedding": "model.embed_tokens",
        "decoder.final_norm": "model.norm",
        "output.weight": "lm_head.weight",
        **{
            f"{ours}attention.{part}": f"{theirs}self_attn.{name if 'norm' in name else name + '_proj'}"
            for part, name in parts.items()
        },
        ours + "before_attention": theirs + "input_layernorm",
        ours + "before_mlp": theirs + "post_attention_layernorm",
        **{f"{ours}mlp.{part}": f"{theirs}mlp.{part}_proj" for part in ("up", "gate", "down")},
        "head.output": "score",
    }


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    return HeadStyle(pool="last", bias=False)


FAMILY = Family(
    name="llama",
    architectures={
        "llama": {"causal": "LlamaForCausalLM", "classify": "LlamaForSequenceClassification"},
        "qwen3": {"causal": "Qwen3ForCausalLM", "classify": "Qwen3ForSequenceClassification"},
    },
    defaults=DEFAULTS,
    only=ONLY,
    read=read,
    write=write,
    names=names,
    style=style,
    write_style=lambda style: {},
    extra=(r"lm_head\.weight", r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"),
    model_type=lambda config: "qwen3" if config.normalize_query_key else "llama",
)
