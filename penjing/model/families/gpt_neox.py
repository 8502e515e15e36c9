"""GPT-NeoX (arXiv:2204.06745), Pythia: attention and MLP side by side, rotary positions on a part of each head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import ACTIVATIONS, BIAS, Family, Key, token_classes, under
from penjing.model.families.llama import style
from penjing.model.families.rotary import ALSO, read_rope, write_rope

KEYS = {
    "vocab_size": Key("vocab_size", 50432),
    "hidden_size": Key("width", 6144),
    "num_hidden_layers": Key("decoder_layers", 44),
    "num_attention_heads": Key("heads", 64),
    "intermediate_size": Key("mlp_width", 24576),
    "hidden_act": Key("activation", "gelu", {**ACTIVATIONS, "gelu_fast": "gelu_tanh"}),
    "hidden_dropout": Key("dropout", 0.0),
    "attention_dropout": Key("attention_dropout", 0.0),
    "max_position_embeddings": Key("max_tokens", 2048),
    "initializer_range": Key("initial_std", 0.02),
    "layer_norm_eps": Key("norm_eps", 1e-5),
    "tie_word_embeddings": Key("tied_output", False),
    "use_parallel_residual": Key("block", True, {True: "parallel", False: "serial"}),
    "attention_bias": Key("attention_bias", True, BIAS),
}
BLOCK = {
    "before_attention": "input_layernorm",
    "attention.output": "attention.dense",
    "before_mlp": "post_attention_layernorm",
    "mlp.up": "mlp.dense_h_to_4h",
    "mlp.down": "mlp.dense_4h_to_h",
}
NAMES = {
    "embedding": "gpt_neox.embed_in",
    "decoder.final_norm": "gpt_neox.final_layer_norm",
    "output.weight": "embed_out.weight",
    "head.output": "score",
}


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    return read_rope(foreign, foreign["rotary_emb_base"], foreign["rotary_pct"])


def write(config: ModelConfig) -> dict[str, Any]:
    """Also the older names, which other programs read."""
    rope = write_rope(config)
    rope["rope_parameters"]["partial_rotary_factor"] = config.rotary_share
    return rope | {"rotary_pct": config.rotary_share, "rotary_emb_base": config.rotary_base}


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    fused = {
        f"attention.{part}": f"attention.query_key_value|{i}/3/{config.heads}"
        for i, part in enumerate(("query", "key", "value"))
    }
    return NAMES | under("decoder.blocks.{i}.", "gpt_neox.layers.{i}.", BLOCK | fused)


FAMILY = Family(
    name="gpt_neox",
    architectures={
        "gpt_neox": {
            "causal": "GPTNeoXForCausalLM",
            "classify": "GPTNeoXForSequenceClassification",
            "base": "GPTNeoXModel",
        }
        | token_classes("GPTNeoX")
    },
    keys=KEYS,
    fixed={"norm_place": "before", "final_norm": True, "position": "rotary"},
    also=ALSO
    | {"rotary_pct": 0.25, "rotary_emb_base": 10_000.0, "classifier_dropout": 0.1},  # the last of another head
    only={"is_decoder": (False, True), "is_encoder_decoder": (False,)},
    read=read,
    write=write,
    names=names,
    style=style,
    root="gpt_neox.",
    extra=(r"embed_out\.weight", r"gpt_neox\.layers\.\d+\.attention\.(masked_bias|bias|rotary_emb\.inv_freq)"),
)
