"""BERT (arXiv:1810.04805): an encoder, norms after the residual, learned positions, two segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import FOREIGN_ACTIVATIONS, Family, activation
from penjing.model.head import HeadStyle

DEFAULTS = {
    "vocab_size": 30522,
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "intermediate_size": 3072,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "attention_probs_dropout_prob": 0.1,
    "max_position_embeddings": 512,
    "type_vocab_size": 2,
    "initializer_range": 0.02,
    "layer_norm_eps": 1e-12,
    "classifier_dropout": None,
}
ONLY = {
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "tie_word_embeddings": (True,),
    "position_embedding_type": ("absolute",),
}


def read(foreign: Mapping[str, Any]) -> ModelConfig:
    return ModelConfig(
        vocab_size=foreign["vocab_size"],
        width=foreign["hidden_size"],
        heads=foreign["num_attention_heads"],
        mlp_width=foreign["intermediate_size"],
        encoder_layers=foreign["num_hidden_layers"],
        max_tokens=foreign["max_position_embeddings"],
        segments=foreign["type_vocab_size"],
        norm_eps=foreign["layer_norm_eps"],
        activation=activation(foreign, "hidden_act"),
        embedding_norm=True,
        vocabulary_bias=True,
        output_transform="dense",
        dropout=foreign["hidden_dropout_prob"],
        attention_dropout=foreign["attention_probs_dropout_prob"],
        initial_std=foreign["initializer_range"],
    )


def write(config: ModelConfig) -> dict[str, Any]:
    return {
        "vocab_size": config.vocab_size,
        "hidden_size": config.width,
        "num_attention_heads": config.heads,
        "intermediate_size": config.mlp_width,
        "num_hidden_layers": config.encoder_layers,
        "max_position_embeddings": config.max_tokens,
        "type_vocab_size": config.segments,
        "layer_norm_eps": config.norm_eps,
        "hidden_act": FOREIGN_ACTIVATIONS[config.activation],
        "hidden_dropout_prob": config.dropout,
        "attention_probs_dropout_prob": config.attention_dropout,
        "initializer_range": config.initial_std,
        "tie_word_embeddings": True,
    }


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    ours, theirs = "encoder.blocks.{i}.", "bert.encoder.layer.{i}."
    return {
        "embedding": "bert.embeddings.word_embeddings",
        "encoder.position.table": "bert.embeddings.position_embeddings",
        "encoder.segment": "bert.embeddings.token_type_embeddings",
        "encoder.embedding_norm": "bert.embeddings.LayerNorm",
        ours + "attention.query": theirs + "attention.self.query",
        ours + "attention.key": theirs + "attention.self.key",
        ours + "attention.value": theirs + "attention.self.value",
        ours + "attention.output": theirs + "attention.output.dense",
        ours + "after_attention": theirs + "attention.output.LayerNorm",
        ours + "mlp.up": theirs + "intermediate.dense",
        ours + "mlp.down": theirs + "output.dense",
        ours + "after_mlp": theirs + "output.LayerNorm",
        "output.dense": "cls.predictions.transform.dense",
        "output.norm": "cls.predictions.transform.LayerNorm",
        "output.bias": "cls.predictions.bias",
        "head.dense": "bert.pooler.dense",
        "head.output": "classifier",
    }


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    dropout = foreign["classifier_dropout"]
    dropout = foreign["hidden_dropout_prob"] if dropout is None else dropout
    return HeadStyle(pool="first", dense="dense", activation="tanh", dropout=dropout)


def write_style(style: HeadStyle) -> dict[str, Any]:
    return {"classifier_dropout": style.dropout}


FAMILY = Family(
    name="bert",
    architectures={"bert": {"masked": "BertForMaskedLM", "classify": "BertForSequenceClassification"}},
    defaults=DEFAULTS,
    only=ONLY,
    read=read,
    write=write,
    names=names,
    style=style,
    write_style=write_style,
    extra=(
        r"cls\.predictions\.decoder\..*",  # tied to the embeddings and to the bias
        r"bert\.pooler\..*",  # of next-sentence pre-training
        r"cls\.seq_relationship\..*",
        r"bert\.embeddings\.position_ids",
    ),
)
