"""Llama (arXiv:2302.13971) and, with normalised queries and keys, Qwen3 (arXiv:2505.09388): rotary, RMSNorm, gated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import ACTIVATIONS, BIAS, Family, Key, rotary_base, under
from penjing.model.families.windows import full_layers
from penjing.model.head import HeadStyle

KEYS = {
    "vocab_size": Key("vocab_size", 32000),
    "hidden_size": Key("width", 4096),
    "intermediate_size": Key("mlp_width", 11008),
    "num_hidden_layers": Key("decoder_layers", 32),
    "num_attention_heads": Key("heads", 32),
    "num_key_value_heads": Key("key_heads"),
    "head_dim": Key("head_width"),
    "hidden_act": Key("activation", "silu", ACTIVATIONS),
    "max_position_embeddings": Key("max_tokens", 2048),
    "initializer_range": Key("initial_std", 0.02),
    "rms_norm_eps": Key("norm_eps", 1e-6),
    "tie_word_embeddings": Key("tied_output", False),
    "attention_bias": Key("attention_bias", False, BIAS),
    "attention_dropout": Key("attention_dropout", 0.0),
    "hidden_dropout_prob": Key("dropout", 0.0),  # ours alone: their training has no such dropout, the key is unread
    "mlp_bias": Key("mlp_bias", False),
}
FIXED = {"norm": "rms", "norm_place": "before", "final_norm": True, "position": "rotary", "gated_mlp": True}
BLOCK = {
    "before_attention": "input_layernorm",
    **{f"attention.{part}": f"self_attn.{part[0]}_proj" for part in ("query", "key", "value", "output")},
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
    "before_mlp": "post_attention_layernorm",
    **{f"mlp.{part}": f"mlp.{part}_proj" for part in ("up", "gate", "down")},
}


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    full_layers(foreign["layer_types"])
    return {
        "rotary_base": rotary_base(foreign["rope_parameters"], foreign["rope_theta"] or 10_000.0),
        "normalize_query_key": foreign["model_type"] == "qwen3",
    }


def write(config: ModelConfig) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": config.rotary_base}
    return {"rope_parameters": rope, "rope_theta": config.rotary_base}


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    return under("decoder.blocks.{i}.", "model.layers.{i}.", BLOCK) | {
        "embedding": "model.embed_tokens",
        "decoder.final_norm": "model.norm",
        "output.weight": "lm_head.weight",
        "head.output": "score",
    }


FAMILY = Family(
    name="llama",
    architectures={
        "llama": {"causal": "LlamaForCausalLM", "classify": "LlamaForSequenceClassification"},
        "qwen3": {"causal": "Qwen3ForCausalLM", "classify": "Qwen3ForSequenceClassification"},
    },
    keys=KEYS,
    fixed=FIXED,
    also={
        "rope_theta": None,
        "rope_parameters": None,
        "layer_types": None,
        "sliding_window": None,  # both unread while use_sliding_window is False
        "max_window_layers": None,
    },
    only={"use_sliding_window": (False,), "rope_scaling": (None,), "is_encoder_decoder": (False,)},
    read=read,
    write=write,
    names=names,
    style=lambda foreign: HeadStyle(pool="last", bias=False),
    extra=(r"lm_head\.weight", r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq"),
    model_type=lambda config: "qwen3" if config.normalize_query_key else "llama",
)
