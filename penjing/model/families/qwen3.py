"""Qwen3 (arXiv:2505.09388): Llama with normalised queries and keys; its later layers may see only a window."""

from __future__ import annotations

from penjing.model.families.family import BIAS, Family, Key, token_classes
from penjing.model.families.llama import EXTRA, FIXED, KEYS, TOKENS, names, style
from penjing.model.families.qwen2 import OWN, WINDOW, read, write
from penjing.model.families.rotary import ALSO

FAMILY = Family(
    name="qwen3",
    architectures={
        "qwen3": {"causal": "Qwen3ForCausalLM", "classify": "Qwen3ForSequenceClassification", "base": "Qwen3Model"}
        | token_classes("Qwen3")
    },
    keys=KEYS | OWN | {"head_dim": Key("head_width", 128), "attention_bias": Key("attention_bias", False, BIAS)},
    fixed={name: value for name, value in FIXED.items() if name != "attention_bias"} | {"normalize_query_key": True},
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
