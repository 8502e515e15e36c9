"""Mistral (arXiv:2310.06825): Llama with grouped queries, of which every layer may see only a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import Family, Key, token_classes
from penjing.model.families.llama import EXTRA, FIXED, KEYS, TOKENS, names, style
from penjing.model.families.rotary import ALSO, read_rope, write_rope
from penjing.model.families.windows import read_window, write_window


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    local = () if foreign["sliding_window"] is None else range(foreign["num_hidden_layers"])
    return read_rope(foreign) | read_window(foreign, local)


def write(config: ModelConfig) -> dict[str, Any]:
    return write_rope(config) | write_window(config)


FAMILY = Family(
    name="mistral",
    architectures={
        "mistral": {
            "causal": "MistralForCausalLM",
            "classify": "MistralForSequenceClassification",
            "base": "MistralModel",
        }
        | token_classes("Mistral")
    },
    keys=KEYS
    | {
        "intermediate_size": Key("mlp_width", 14336),
        "num_key_value_heads": Key("key_heads", 8),
        "max_position_embeddings": Key("max_tokens", 131072),
    },
    fixed=FIXED,
    also=ALSO | {"sliding_window": 4096},
    only={"is_encoder_decoder": (False,)},
    read=read,
    write=write,
    names=names,
    style=style,
    root="model.",
    token_heads=TOKENS,
    extra=EXTRA,
)
