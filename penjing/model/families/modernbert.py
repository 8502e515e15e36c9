"""ModernBERT (arXiv:2412.13663): an encoder with rotary positions, norms before, gated MLP, and mostly local layers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.base.errors import ModelError
from penjing.model.config import ModelConfig
from penjing.model.families.family import FOREIGN_ACTIVATIONS, Family, activation, rotary_base, same
from penjing.model.head import HeadStyle

DEFAULTS = {
    "vocab_size": 50368,
    "hidden_size": 768,
    "intermediate_size": 1152,
    "num_hidden_layers": 22,
    "num_attention_heads": 12,
    "hidden_activation": "gelu",
    "max_position_embeddings": 8192,
    "initializer_range": 0.02,
    "norm_eps": 1e-5,
    "norm_bias": False,
    "attention_bias": False,
    "attention_dropout": 0.0,
    "layer_types": None,
    "global_attn_every_n_layers": None,
    "global_rope_theta": 160_000.0,
    "local_rope_theta": 10_000.0,
    "rope_parameters": None,
    "local_attention": 128,
    "embedding_dropout": 0.0,
    "mlp_bias": False,
    "mlp_dropout": 0.0,
    "decoder_bias": True,
    "classifier_pooling": "cls",
    "classifier_dropout": 0.0,
    "classifier_bias": False,
    "classifier_activation": "gelu",
    "tie_word_embeddings": True,
    # how they compute and what they draw at first, not what comes out
    "initializer_cutoff_factor": 2.0,
    "deterministic_flash_attn": False,
    "sparse_prediction": False,
    "sparse_pred_ignore_index": -100,
    "reference_compile": None,
    "repad_logits_with_grad": False,
    "layer_norm_eps": None,
    "position_embedding_type": "absolute",
}
ONLY = {"rope_scaling": (None,), "is_encoder_decoder": (False,)}
LOCAL, WHOLE = "sliding_attention", "full_attention"


def every(foreign: Mapping[str, Any]) -> int:
    """Layer i is global when i is a multiple of this; 1 where all are."""
    layers, types, given = foreign["num_hidden_layers"], foreign["layer_types"], foreign["global_attn_every_n_layers"]
    if types is None:
        return given or 3
    for step in (given or 1, *range(1, layers + 1)):
        if types == layer_types(layers, step):
            return step
    known = ["one full_attention layer in every n, the first one full"]
    raise ModelError("P-MODEL-012", field="layer_types", given=types, known=known)


def layer_types(layers: int, step: int) -> list[str]:
    """Their list, for a global layer in every `step`."""
    return [LOCAL if layer % step else WHOLE for layer in range(layers)]


def read(foreign: Mapping[str, Any]) -> ModelConfig:
    step = every(foreign)
    rope, bias = foreign["rope_parameters"] or {}, foreign["attention_bias"]
    base = foreign["global_rope_theta"]
    return ModelConfig(
        vocab_size=foreign["vocab_size"],
        width=foreign["hidden_size"],
        heads=foreign["num_attention_heads"],
        mlp_width=foreign["intermediate_size"],
        encoder_layers=foreign["num_hidden_layers"],
        max_tokens=foreign["max_position_embeddings"],
        attention_bias=(bias, bias),
        position="rotary",
        rotary_base=rotary_base(rope.get(WHOLE), base),
        window=foreign["local_attention"] // 2 if step > 1 else None,
        window_every=step,
        window_rotary_base=rotary_base(rope.get(LOCAL), foreign["local_rope_theta"] or base),
        norm="layer" if foreign["norm_bias"] else "layer_plain",
        norm_place="before",
        norm_eps=foreign["norm_eps"],
        first_norm=False,
        embedding_norm=True,
        final_norm=True,
        activation=activation({"key": same(foreign, "hidden_activation", "classifier_activation")}, "key"),
        gated_mlp=True,
        mlp_bias=foreign["mlp_bias"],
        tied_output=foreign["tie_word_embeddings"],
        vocabulary_bias=foreign["decoder_bias"],
        output_transform="dense" if foreign["classifier_bias"] else "dense_plain",
        dropout=same(foreign, "embedding_dropout", "mlp_dropout"),
        attention_dropout=foreign["attention_dropout"],
        initial_std=foreign["initializer_range"],
    )


def write(config: ModelConfig) -> dict[str, Any]:
    kind = FOREIGN_ACTIVATIONS[config.activation]
    step = 1 if config.window is None else config.window_every
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.encoder_layers,
        "max_position_embeddings": config.max_tokens,
        "norm_eps": config.norm_eps,
        "norm_bias": config.norm == "layer",
        "attention_bias": config.attention_bias[0],
        "local_attention": 128 if config.window is None else 2 * config.window,
        "global_attn_every_n_layers": step,
        "layer_types": layer_types(config.encoder_layers, step),
        "rope_parameters": {
            WHOLE: {"rope_type": "default", "rope_theta": config.rotary_base},
            LOCAL: {"rope_type": "default", "rope_theta": config.window_rotary_base},
        },
        "hidden_activation": kind,
        "classifier_activation": kind,
        "mlp_bias": config.mlp_bias,
        "decoder_bias": config.vocabulary_bias,
        "classifier_bias": config.output_transform == "dense",
        "tie_word_embeddings": config.tied_output,
        "embedding_dropout": config.dropout,
        "mlp_dropout": config.dropout,
        "attention_dropout": config.attention_dropout,
        "initializer_range": config.initial_std,
    }


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    ours, theirs = "encoder.blocks.{i}.", "model.layers.{i}."
    table = {
        "embedding": "model.embeddings.tok_embeddings",
        "encoder.embedding_norm": "model.embeddings.norm",
        "encoder.final_norm": "model.final_norm",
        ours + "before_attention": theirs + "attn_norm",
        ours + "attention.output": theirs + "attn.Wo",
        ours + "before_mlp": theirs + "mlp_norm",
        ours + "mlp.gate": theirs + "mlp.Wi|0/2",
        ours + "mlp.up": theirs + "mlp.Wi|1/2",
        ours + "mlp.down": theirs + "mlp.Wo",
        "output.dense": "head.dense",
        "output.norm": "head.norm",
        "output.weight": "decoder.weight",
        "output.bias": "decoder.bias",
        "head.dense": "head.dense",
        "head.norm": "head.norm",
        "head.output": "classifier",
    }
    parts = enumerate(("query", "key", "value"))
    return table | {f"{ours}attention.{part}": f"{theirs}attn.Wqkv|{i}/3" for i, part in parts}


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    return HeadStyle(
        pool="mean" if foreign["classifier_pooling"] == "mean" else "first",
        dense="dense" if foreign["classifier_bias"] else "dense_plain",
        activation=activation(foreign, "classifier_activation"),
        norm="layer" if foreign["norm_bias"] else "layer_plain",
        norm_eps=foreign["norm_eps"],
        dropout=foreign["classifier_dropout"],
    )


def write_style(style: HeadStyle) -> dict[str, Any]:
    pool = {"first": "cls"}.get(style.pool, style.pool)
    return {"classifier_pooling": pool, "classifier_dropout": style.dropout}


FAMILY = Family(
    name="modernbert",
    architectures={
        "modernbert": {"masked": "ModernBertForMaskedLM", "classify": "ModernBertForSequenceClassification"}
    },
    defaults=DEFAULTS,
    fresh={"classifier_pooling": "mean"},  # the first token has learnt nothing when only hidden tokens were guessed
    only=ONLY,
    read=read,
    write=write,
    names=names,
    style=style,
    write_style=write_style,
    extra=(r"decoder\.weight",),  # tied to the embeddings
)
