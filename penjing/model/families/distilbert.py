"""DistilBERT (arXiv:1910.01108): BERT without segments, under names of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.families.family import ACTIVATIONS, Family, Key, token_classes, under
from penjing.model.head import HeadStyle

KEYS = {
    "vocab_size": Key("vocab_size", 30522),
    "dim": Key("width", 768),
    "n_layers": Key("encoder_layers", 6),
    "n_heads": Key("heads", 12),
    "hidden_dim": Key("mlp_width", 3072),
    "activation": Key("activation", "gelu", ACTIVATIONS),
    "dropout": Key("dropout", 0.1),
    "attention_dropout": Key("attention_dropout", 0.1),
    "max_position_embeddings": Key("max_tokens", 512),
    "initializer_range": Key("initial_std", 0.02),
}
BLOCK = {
    "attention.query": "attention.q_lin",
    "attention.key": "attention.k_lin",
    "attention.value": "attention.v_lin",
    "attention.output": "attention.out_lin",
    "after_attention": "sa_layer_norm",
    "mlp.up": "ffn.lin1",
    "mlp.down": "ffn.lin2",
    "after_mlp": "output_layer_norm",
}
NAMES = under("encoder.blocks.{i}.", "distilbert.transformer.layer.{i}.", BLOCK) | {
    "embedding": "distilbert.embeddings.word_embeddings",
    "encoder.position.table": "distilbert.embeddings.position_embeddings",
    "encoder.embedding_norm": "distilbert.embeddings.LayerNorm",
    "output.dense": "vocab_transform",
    "output.norm": "vocab_layer_norm",
    "output.bias": "vocab_projector.bias",
    "head.dense": "pre_classifier",
    "head.output": "classifier",
}


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    return HeadStyle(pool="first", dense="dense", activation="relu", dropout=foreign["seq_classif_dropout"])


FAMILY = Family(
    name="distilbert",
    architectures={
        "distilbert": {
            "masked": "DistilBertForMaskedLM",
            "classify": "DistilBertForSequenceClassification",
            "base": "DistilBertModel",
        }
        | token_classes("DistilBert")
    },
    root="distilbert.",
    keys=KEYS,
    fixed={"embedding_norm": True, "vocabulary_bias": True, "output_transform": "dense", "norm_eps": 1e-12},
    also={
        "seq_classif_dropout": 0.2,
        "qa_dropout": 0.1,
        "sinusoidal_pos_embds": False,  # what the table of positions holds at first; it is saved either way
        "tie_weights_": True,
    },
    only={"is_encoder_decoder": (False,), "tie_word_embeddings": (True,)},
    write=lambda config: {"tie_word_embeddings": True},
    names=lambda config, purpose: NAMES,
    style=style,
    write_style=lambda style: {"seq_classif_dropout": style.dropout},
    extra=(r"vocab_projector\.weight", r"distilbert\.embeddings\.position_ids"),  # the first is tied
)
