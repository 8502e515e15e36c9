"""RoBERTa (arXiv:1907.11692) and XLM-RoBERTa: BERT whose positions are counted from the padding token's number on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.bert import BLOCK, KEYS, ONLY, style
from penjing.model.families.family import Family, Key, token_classes, under

ARCHITECTURES = {"masked": "ForMaskedLM", "classify": "ForSequenceClassification", "base": "Model"} | token_classes("")
NAMES = under("encoder.blocks.{i}.", "roberta.encoder.layer.{i}.", BLOCK) | {
    "embedding": "roberta.embeddings.word_embeddings",
    "encoder.position.table": "roberta.embeddings.position_embeddings",
    "encoder.segment": "roberta.embeddings.token_type_embeddings",
    "encoder.embedding_norm": "roberta.embeddings.LayerNorm",
    "output.dense": "lm_head.dense",
    "output.norm": "lm_head.layer_norm",
    "output.bias": "lm_head.bias",
    "head.dense": "classifier.dense",
    "head.output": "classifier.out_proj",
}


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    first = foreign["pad_token_id"] + 1
    return {"first_position": first, "max_tokens": foreign["max_position_embeddings"] - first}


def write(config: ModelConfig) -> dict[str, Any]:
    return {
        "pad_token_id": config.first_position - 1,
        "max_position_embeddings": config.max_tokens + config.first_position,
        "tie_word_embeddings": True,
    }


FAMILY = Family(
    name="roberta",
    architectures={
        "roberta": {purpose: f"Roberta{ending}" for purpose, ending in ARCHITECTURES.items()},
        "xlm-roberta": {purpose: f"XLMRoberta{ending}" for purpose, ending in ARCHITECTURES.items()},
    },
    root="roberta.",
    keys=KEYS | {"hidden_act": Key("activation", "gelu", {"gelu": "gelu"})},  # their vocabulary head knows no other
    fixed={"embedding_norm": True, "vocabulary_bias": True, "output_transform": "dense"},
    also={"classifier_dropout": None, "pad_token_id": 1},
    only=ONLY,
    read=read,
    write=write,
    names=lambda config, purpose: NAMES,
    style=style,
    write_style=lambda style: {"classifier_dropout": style.dropout},
    extra=(
        r"lm_head\.decoder\..*",  # tied to the embeddings and to the bias
        r"roberta\.pooler\..*",
        r"roberta\.embeddings\.position_ids",
    ),
)
