"""BERT (arXiv:1810.04805): an encoder, norms after the residual, learned positions, two segments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import ACTIVATIONS, Family, Key, token_classes, under
from penjing.model.head import HeadStyle

KEYS = {
    "vocab_size": Key("vocab_size", 30522),
    "hidden_size": Key("width", 768),
    "num_hidden_layers": Key("encoder_layers", 12),
    "num_attention_heads": Key("heads", 12),
    "intermediate_size": Key("mlp_width", 3072),
    "hidden_act": Key("activation", "gelu", ACTIVATIONS),
    "hidden_dropout_prob": Key("dropout", 0.1),
    "attention_probs_dropout_prob": Key("attention_dropout", 0.1),
    "max_position_embeddings": Key("max_tokens", 512),
    "type_vocab_size": Key("segments", 2),
    "initializer_range": Key("initial_std", 0.02),
    "layer_norm_eps": Key("norm_eps", 1e-12),
}
ONLY = {
    "is_decoder": (False,),
    "add_cross_attention": (False,),
    "is_encoder_decoder": (False,),
    "tie_word_embeddings": (True,),
    "position_embedding_type": ("absolute",),
}
POOLER = ("fc_size", "num_attention_heads", "num_fc_layers", "size_per_head", "type")  # old keys that no code reads
BLOCK = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "after_attention": "attention.output.LayerNorm",
    "mlp.up": "intermediate.dense",
    "mlp.down": "output.dense",
    "after_mlp": "output.LayerNorm",
}


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    return under("encoder.blocks.{i}.", "bert.encoder.layer.{i}.", BLOCK) | {
        "embedding": "bert.embeddings.word_embeddings",
        "encoder.position.table": "bert.embeddings.position_embeddings",
        "encoder.segment": "bert.embeddings.token_type_embeddings",
        "encoder.embedding_norm": "bert.embeddings.LayerNorm",
        "output.dense": "cls.predictions.transform.dense",
        "output.norm": "cls.predictions.transform.LayerNorm",
        "output.bias": "cls.predictions.bias",
        "head.dense": "bert.pooler.dense",
        "head.output": "cls.seq_relationship" if purpose == "next_sentence" else "classifier",
    }


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    dropout = foreign["classifier_dropout"]
    dropout = foreign["hidden_dropout_prob"] if dropout is None else dropout
    return HeadStyle(pool="first", dense="dense", activation="tanh", dropout=dropout)


FAMILY = Family(
    name="bert",
    architectures={
        "bert": {
            "masked": "BertForMaskedLM",
            "next_sentence": "BertForPreTraining",
            "classify": "BertForSequenceClassification",
            "base": "BertModel",
        }
        | token_classes("Bert")
    },
    root="bert.",
    keys=KEYS,
    fixed={"embedding_norm": True, "vocabulary_bias": True, "output_transform": "dense"},
    also={"classifier_dropout": None, "directionality": None} | dict.fromkeys(f"pooler_{name}" for name in POOLER),
    only=ONLY,
    write=lambda config: {"tie_word_embeddings": True},
    names=names,
    style=style,
    styles={"next_sentence": lambda foreign: HeadStyle(pool="first", dense="dense", activation="tanh")},
    write_style=lambda style: {"classifier_dropout": style.dropout},
    extra=(
        r"cls\.predictions\.decoder\..*",  # tied to the embeddings and to the bias
        r"bert\.pooler\..*",  # of next-sentence pre-training
        r"cls\.seq_relationship\..*",
        r"bert\.embeddings\.position_ids",
    ),
)
