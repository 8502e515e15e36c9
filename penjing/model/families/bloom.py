"""BLOOM (arXiv:2211.05100): a decoder whose only positions are ALiBi, with a norm of the embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import Family, Key, token_classes, under
from penjing.model.families.llama import style

KEYS = {
    "vocab_size": Key("vocab_size", 250880),
    "hidden_size": Key("width", 64),
    "n_layer": Key("decoder_layers", 2),
    "n_head": Key("heads", 8),
    "n_inner": Key("mlp_width"),  # theirs is always 4 widths; another is lost, and told
    "seq_length": Key("max_tokens", 2048),
    "hidden_dropout": Key("dropout", 0.0),
    "attention_dropout": Key("attention_dropout", 0.0),
    "layer_norm_epsilon": Key("norm_eps", 1e-5),
    "initializer_range": Key("initial_std", 0.02),
    "tie_word_embeddings": Key("tied_output", True),
}
UNUSED = {  # of the training program that it was made with
    "slow_but_exact": False, "attention_softmax_in_fp32": True, "masked_softmax_fusion": True, "offset_alibi": 100,
    "bias_dropout_fusion": True, "skip_bias_add": True, "skip_bias_add_qkv": False,
}  # fmt: skip
BLOCK = {
    "before_attention": "input_layernorm",
    "attention.output": "self_attention.dense",
    "before_mlp": "post_attention_layernorm",
    "mlp.up": "mlp.dense_h_to_4h",
    "mlp.down": "mlp.dense_4h_to_h",
}
NAMES = {
    "embedding": "transformer.word_embeddings",
    "decoder.embedding_norm": "transformer.word_embeddings_layernorm",
    "decoder.final_norm": "transformer.ln_f",
    "output.weight": "lm_head.weight",
    "head.output": "score",
}


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    return {"mlp_width": 4 * foreign["hidden_size"]}


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    fused = {
        f"attention.{part}": f"self_attention.query_key_value|{i}/3/{config.heads}"
        for i, part in enumerate(("query", "key", "value"))
    }
    return NAMES | under("decoder.blocks.{i}.", "transformer.h.{i}.", BLOCK | fused)


FAMILY = Family(
    name="bloom",
    architectures={
        "bloom": {"causal": "BloomForCausalLM", "classify": "BloomForSequenceClassification", "base": "BloomModel"}
        | token_classes("Bloom")
    },
    keys=KEYS,
    fixed={
        "norm_place": "before",
        "final_norm": True,
        "embedding_norm": True,
        "position": "alibi",
        "activation": "gelu_tanh",
    },
    also=UNUSED,
    only={"apply_residual_connection_post_layernorm": (False,), "is_encoder_decoder": (False,)},
    read=read,
    names=names,
    style=style,
    spellings={"n_embed": "hidden_size", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"},
    root="transformer.",
    extra=(r"lm_head\.weight",),  # tied
)
