"""ModernBERT (arXiv:2412.13663): an encoder with rotary positions, norms before, gated MLP, and mostly local layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import ACTIVATIONS, BIAS, Family, Key, rotary_base, token_classes, under
from penjing.model.families.windows import EVERY, LOCAL, WHOLE, every, layer_types, local_layers
from penjing.model.head import HeadStyle

KEYS = {
    "vocab_size": Key("vocab_size", 50368),
    "hidden_size": Key("width", 768),
    "intermediate_size": Key("mlp_width", 1152),
    "num_hidden_layers": Key("encoder_layers", 22),
    "num_attention_heads": Key("heads", 12),
    "hidden_activation": Key("activation", "gelu", ACTIVATIONS),
    "classifier_activation": Key("activation", "gelu", ACTIVATIONS),
    "max_position_embeddings": Key("max_tokens", 8192),
    "initializer_range": Key("initial_std", 0.02),
    "norm_eps": Key("norm_eps", 1e-5),
    "norm_bias": Key("norm", False, {True: "layer", False: "layer_plain"}),
    "attention_bias": Key("attention_bias", False, BIAS),
    "attention_dropout": Key("attention_dropout", 0.0),
    "embedding_dropout": Key("dropout", 0.0),
    "mlp_dropout": Key("dropout", 0.0),
    "mlp_bias": Key("mlp_bias", False),
    "decoder_bias": Key("vocabulary_bias", True),
    "classifier_bias": Key("output_transform", False, {True: "dense", False: "dense_plain"}),
    "tie_word_embeddings": Key("tied_output", True),
}
POOLS = {"first": "cls", "mean": "mean", "last": "last", "each": "cls"}  # the last has no pool
UNUSED = {  # how they compute and what they draw at first, not what comes out
    "initializer_cutoff_factor": 2.0, "deterministic_flash_attn": False, "sparse_prediction": False,
    "sparse_pred_ignore_index": -100, "reference_compile": None, "repad_logits_with_grad": False,
    "layer_norm_eps": None, "position_embedding_type": "absolute",
}  # fmt: skip
BLOCK = {f"attention.{part}": f"attn.Wqkv|{i}/3" for i, part in enumerate(("query", "key", "value"))} | {
    "before_attention": "attn_norm", "attention.output": "attn.Wo", "before_mlp": "mlp_norm", "mlp.down": "mlp.Wo",
    "mlp.gate": "mlp.Wi|0/2", "mlp.up": "mlp.Wi|1/2",
}  # fmt: skip
HEAD = {"head.dense": "head.dense", "head.norm": "head.norm", "head.output": "classifier"}
NAMES = under("encoder.blocks.{i}.", "model.layers.{i}.", BLOCK) | {
    "embedding": "model.embeddings.tok_embeddings", "encoder.embedding_norm": "model.embeddings.norm",
    "encoder.final_norm": "model.final_norm", "output.dense": "head.dense", "output.norm": "head.norm",
    "output.weight": "decoder.weight", "output.bias": "decoder.bias", **HEAD,
}  # fmt: skip


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    local = local_layers(foreign, [i for i in range(foreign["num_hidden_layers"]) if i % (foreign[EVERY] or 3)])
    rope, base = foreign["rope_parameters"] or {}, foreign["global_rope_theta"]
    return {
        "window": foreign["local_attention"] // 2 if local else None,
        "window_layers": local,
        "rotary_base": rotary_base(rope.get(WHOLE), base),
        "window_rotary_base": rotary_base(rope.get(LOCAL), foreign["local_rope_theta"] or base),
    }


def write(config: ModelConfig) -> dict[str, Any]:
    bases = {WHOLE: config.rotary_base, LOCAL: config.window_rotary_base or config.rotary_base}
    return {
        "local_attention": 128 if config.window is None else 2 * config.window,
        EVERY: every(config.encoder_layers, config.window_layers),
        "layer_types": layer_types(config.encoder_layers, config.window_layers),
        "rope_parameters": {kind: {"rope_type": "default", "rope_theta": base} for kind, base in bases.items()},
    }


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    dense, kind, norm = (
        KEYS[key].read(key, foreign[key]) for key in ("classifier_bias", "classifier_activation", "norm_bias")
    )
    return HeadStyle(
        "mean" if foreign["classifier_pooling"] == "mean" else "first", dense, kind, norm, foreign["norm_eps"],
        dropout=foreign["classifier_dropout"],
    )  # fmt: skip


FAMILY = Family(
    name="modernbert",
    architectures={
        "modernbert": {"masked": "ModernBertForMaskedLM", "classify": "ModernBertForSequenceClassification"}
        | {"base": "ModernBertModel"} | token_classes("ModernBert")
    },
    root="model.", keys=KEYS, token_heads={"tag": HEAD | {"head.crf": "crf"}, "span": HEAD},
    fixed={"position": "rotary", "norm_place": "before", "first_norm": False, "gated_mlp": True}
    | dict.fromkeys(("embedding_norm", "final_norm"), True),
    also=UNUSED | {"local_attention": 128, "global_rope_theta": 160_000.0, "local_rope_theta": 10_000.0}
    | {"classifier_pooling": "cls", "classifier_dropout": 0.0}
    | dict.fromkeys(("layer_types", "global_attn_every_n_layers", "rope_parameters")),
    only={"rope_scaling": (None,), "is_encoder_decoder": (False,)},
    fresh={"classifier_pooling": "mean"},  # the first token has learnt nothing when only hidden tokens were guessed
    read=read, write=write, names=lambda config, purpose: NAMES, style=style,
    write_style=lambda style: {"classifier_pooling": POOLS[style.pool], "classifier_dropout": style.dropout},
    extra=(r"decoder\.weight",),  # tied to the embeddings
)  # fmt: skip
