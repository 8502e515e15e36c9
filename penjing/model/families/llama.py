"""Llama (arXiv:2302.13971): a decoder with rotary positions, RMSNorm before, gated MLP. Its tables serve many."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import ACTIVATIONS, BIAS, TOKEN_HEADS, Family, Key, token_classes, under
from penjing.model.families.rotary import ALSO, read_rope, write_rope
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
    "attention_dropout": Key("attention_dropout", 0.0),
    "hidden_dropout_prob": Key("dropout", 0.0),  # ours alone: their training has no such dropout, the key is unread
}
FIXED = {
    "norm": "rms", "norm_place": "before", "final_norm": True, "position": "rotary", "gated_mlp": True,
    "attention_bias": (False, False), "mlp_bias": False,
}  # fmt: skip
BLOCK = {
    "before_attention": "input_layernorm",
    **{f"attention.{part}": f"self_attn.{part[0]}_proj" for part in ("query", "key", "value", "output")},
    "attention.query_norm": "self_attn.q_norm",
    "attention.key_norm": "self_attn.k_norm",
    "before_mlp": "post_attention_layernorm",
    **{f"mlp.{part}": f"mlp.{part}_proj" for part in ("up", "gate", "down")},
}
TOKENS = TOKEN_HEADS | {"tag": {"head.output": "score", "head.crf": "crf"}}
EXTRA = (r"lm_head\.weight", r"model\.layers\.\d+\.self_attn\.rotary_emb\.inv_freq")  # tied; computed


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    return under("decoder.blocks.{i}.", "model.layers.{i}.", BLOCK) | {
        "embedding": "model.embed_tokens",
        "decoder.final_norm": "model.norm",
        "output.weight": "lm_head.weight",
        "head.output": "score",
    }


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    """The classifier of all their decoders: the last token's state, one product."""
    return HeadStyle(pool="last", bias=False)


FAMILY = Family(
    name="llama",
    architectures={
        "llama": {"causal": "LlamaForCausalLM", "classify": "LlamaForSequenceClassification", "base": "LlamaModel"}
        | token_classes("Llama")
    },
    keys=KEYS | {"attention_bias": Key("attention_bias", False, BIAS), "mlp_bias": Key("mlp_bias", False)},
    fixed={name: value for name, value in FIXED.items() if name not in ("attention_bias", "mlp_bias")},
    also=ALSO | {"is_llama_config": True},  # a mark of SmolLM2's
    only={"is_encoder_decoder": (False,), "rope_interleaved": (False,)},
    read=read_rope,
    write=write_rope,
    names=names,
    style=style,
    root="model.",
    roots={"span": "transformer."},
    token_heads=TOKENS,
    extra=EXTRA,
)
