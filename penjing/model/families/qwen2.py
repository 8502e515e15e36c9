"""Qwen2 (arXiv:2407.10671): Llama with biases on queries, keys and values; its later layers may see only a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penjing.model.config import ModelConfig
from penjing.model.families.family import Family, Key, token_classes
from penjing.model.families.llama import EXTRA, FIXED, KEYS, TOKENS, names, style
from penjing.model.families.rotary import ALSO, read_rope, write_rope
from penjing.model.families.windows import layer_types, local_layers, read_window, write_window

OWN = {
    "vocab_size": Key("vocab_size", 151936),
    "intermediate_size": Key("mlp_width", 22016),
    "num_key_value_heads": Key("key_heads", 32),
    "max_position_embeddings": Key("max_tokens", 32768),
}
WINDOW = {"use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28, "layer_types": None}


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    """Layers from `max_window_layers` on are local, unless they are listed one by one."""
    used = foreign["use_sliding_window"] and foreign["sliding_window"] is not None
    layers = foreign["num_hidden_layers"]
    later = range(min(layers, foreign["max_window_layers"]), layers) if used else ()
    size = {"sliding_window": foreign["sliding_window"] if used else None}
    return read_rope(foreign) | read_window(size, local_layers(foreign, later))


def write(config: ModelConfig) -> dict[str, Any]:
    return {
        **write_rope(config),
        **write_window(config),
        "use_sliding_window": config.window is not None,
        "max_window_layers": min(config.window_layers, default=config.decoder_layers),
        "layer_types": layer_types(config.decoder_layers, config.window_layers),
    }


FAMILY = Family(
    name="qwen2",
    architectures={
        "qwen2": {"causal": "Qwen2ForCausalLM", "classify": "Qwen2ForSequenceClassification", "base": "Qwen2Model"}
        | token_classes("Qwen2")
    },
    keys=KEYS | OWN,
    fixed=FIXED | {"attention_bias": (True, False)},
    also=ALSO | WINDOW,
    only={"is_encoder_decoder": (False,)},
    read=read,
    write=write,
    names=names,
    style=style,
    root="model.",
    roots={"span": "transformer."},
    token_heads=TOKENS,
    extra=EXTRA,
)
