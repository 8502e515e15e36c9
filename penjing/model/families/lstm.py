"""An LSTM (Hochreiter & Schmidhuber 1997): `lstm` reads from left to right, `bilstm` both ways. A layout of our own.

transformers has no LSTM, so model_type and architectures are Penjing's; the weights have the names and forms of
`torch.nn.LSTM`, which loads those under `lstm.` as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.families.family import Family, Key, token_classes
from penjing.model.head import HeadStyle
from penjing.model.lstm import LSTM, LSTMConfig

KEYS = {
    "vocab_size": Key("vocab_size", 8192),
    "hidden_size": Key("width", 256),
    "max_position_embeddings": Key("max_tokens", 512),
    "tie_word_embeddings": Key("tied_output", True),
    "output_bias": Key("vocabulary_bias", True),
    "hidden_dropout_prob": Key("dropout", 0.0),
    "initializer_range": Key("initial_std", 0.03),
}
SIDE = {"lstm": "decoder", "bilstm": "encoder"}
WAYS = {"ahead": "", "back": "_reverse"}
PARTS = {"input": "ih", "recurrent": "hh"}


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    return {SIDE[foreign["model_type"]] + "_layers": foreign["num_hidden_layers"]}


def write(config: LSTMConfig) -> dict[str, Any]:
    return {"num_hidden_layers": config.encoder_layers + config.decoder_layers}


def names(config: LSTMConfig, purpose: str) -> dict[str, str]:
    ours = "encoder" if config.encoder_layers else "decoder"
    table = {
        f"{ours}.blocks.{{i}}.{way}.{part}.{leaf}": f"lstm.{leaf}_{theirs}_l{{i}}{ending}"
        for way, ending in WAYS.items()
        for part, theirs in PARTS.items()
        for leaf in ("weight", "bias")
    }
    return table | {"embedding": "embedding", "output": "output", "head.output": "classifier"}


FAMILY = Family(
    name="lstm",
    architectures={
        "bilstm": {"masked": "BiLSTMForMaskedLM", "classify": "BiLSTMForSequenceClassification", "base": "BiLSTMModel"}
        | token_classes("BiLSTM"),
        "lstm": {"causal": "LSTMForCausalLM", "classify": "LSTMForSequenceClassification", "base": "LSTMModel"}
        | token_classes("LSTM"),
    },
    keys=KEYS,
    also={"num_hidden_layers": 2},
    read=read,
    write=write,
    names=names,
    style=lambda foreign: HeadStyle(pool="mean"),
    model_type=lambda config: "bilstm" if config.encoder_layers else "lstm",
    config_class=LSTMConfig,
    network=LSTM,
)
