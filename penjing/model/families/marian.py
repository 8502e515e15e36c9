"""Marian (arXiv:1804.00344), the form of the opus-mt translators: the Transformer of 2017, with the activation free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penjing.base.errors import ModelError
from penjing.model.config import ModelConfig
from penjing.model.families import bart
from penjing.model.families.family import Key


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    shared, rows = foreign["share_encoder_decoder_embeddings"], foreign["decoder_vocab_size"]
    if not shared or rows not in (None, foreign["vocab_size"]):
        raise ModelError("P-MODEL-040", field="decoder_vocab_size", given=rows, size=foreign["vocab_size"])
    drawn, width = foreign["init_std"], foreign["d_model"]
    return bart.read(foreign) | {"initial_std": None if drawn in (None, width**-0.5) else drawn}


def write(config: ModelConfig) -> dict[str, Any]:
    drawn = config.width**-0.5 if config.initial_std is None else config.initial_std
    return bart.write(config) | {"decoder_vocab_size": config.vocab_size, "init_std": drawn}


FAMILY = replace(
    bart.FAMILY,
    name="marian",
    architectures={"marian": {"seq2seq": "MarianMTModel"}},
    reads={"MarianModel": "seq2seq"},
    keys=bart.KEYS | {"vocab_size": Key("vocab_size", 58101), "decoder_start_token_id": Key("decoder_start", 58100)},
    fixed=bart.FIXED | {"position": "sinusoidal", "first_position": 0, "embedding_norm": False},
    also=bart.FAMILY.also | {"share_encoder_decoder_embeddings": True, "decoder_vocab_size": None, "eos_token_id": 0},
    only=bart.ONLY
    | {"normalize_before": (False,), "normalize_embedding": (False,), "add_final_layer_norm": (False,)}
    | {"static_position_embeddings": (True,)},
    read=read,
    write=write,
    start="pad",
    fresh={"scale_embedding": True, "activation_function": "swish"},  # as all that were published
    extra=(*bart.EXTRA, r"model\.(encoder|decoder)\.embed_positions\.weight"),
)
