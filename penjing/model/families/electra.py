"""ELECTRA (arXiv:2003.10555): BERT with narrower embeddings; a small generator, and a discriminator to fine-tune."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families import bert
from penjing.model.families.family import Family, Key, token_classes, under
from penjing.model.head import HeadStyle

KEYS = bert.KEYS | {
    "embedding_size": Key("embedding_width", 128),
    "hidden_size": Key("width", 256),
    "num_attention_heads": Key("heads", 4),
    "intermediate_size": Key("mlp_width", 1024),
    "hidden_act": Key("activation", "gelu", {"gelu": "gelu"}),  # their heads know no other
}
COMMON = under("encoder.blocks.{i}.", "electra.encoder.layer.{i}.", bert.BLOCK) | {
    "embedding": "electra.embeddings.word_embeddings",
    "encoder.position.table": "electra.embeddings.position_embeddings",
    "encoder.segment": "electra.embeddings.token_type_embeddings",
    "encoder.embedding_norm": "electra.embeddings.LayerNorm",
    "encoder.projection": "electra.embeddings_project",
    "output.dense": "generator_predictions.dense",
    "output.norm": "generator_predictions.LayerNorm",
    "output.bias": "generator_lm_head.bias",
}
HEADS = {"replaced": ("discriminator_predictions.dense", "discriminator_predictions.dense_prediction")}


def names(config: ModelConfig, purpose: str) -> dict[str, str]:
    dense, output = HEADS.get(purpose, ("classifier.dense", "classifier.out_proj"))
    return COMMON | {"head.dense": dense, "head.output": output}


def style(foreign: Mapping[str, Any]) -> HeadStyle:
    return replace(bert.style(foreign), activation="gelu")


FAMILY = Family(
    name="electra",
    architectures={
        "electra": {
            "masked": "ElectraForMaskedLM",
            "classify": "ElectraForSequenceClassification",
            "base": "ElectraModel",
            "replaced": "ElectraForPreTraining",  # the discriminator
        }
        | token_classes("Electra")
    },
    root="electra.",
    keys=KEYS,
    fixed={"embedding_norm": True, "vocabulary_bias": True, "output_transform": "dense"},
    also={"classifier_dropout": None}  # the others are of heads for other tasks
    | dict.fromkeys(("summary_type", "summary_use_proj", "summary_activation", "summary_last_dropout")),
    only=bert.ONLY,
    write=lambda config: {"tie_word_embeddings": True},
    names=names,
    style=style,
    styles={"replaced": lambda foreign: HeadStyle(pool="each", dense="dense", activation="gelu")},
    write_style=lambda style: {"classifier_dropout": style.dropout},
    extra=(
        r"generator_lm_head\.weight",  # tied to the embeddings
        r"discriminator_predictions\..*",
        r"electra\.embeddings\.position_ids",
    ),
)
