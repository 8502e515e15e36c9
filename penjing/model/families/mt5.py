"""mT5 (arXiv:2010.11934): T5 v1.1 for many languages; its scores are never scaled, tied or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penjing.model.families import t5

SIZES = {"vocab_size": 250112, "d_ff": 1024, "num_layers": 8, "num_heads": 6}


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    return t5.read(foreign) | {"output_scale": 1.0}


FAMILY = replace(
    t5.FAMILY,
    name="mt5",
    architectures={"mt5": {"seq2seq": "MT5ForConditionalGeneration", "classify": "MT5ForSequenceClassification"}},
    keys={name: replace(key, absent=SIZES.get(name, key.absent)) for name, key in t5.KEYS.items()},
    also=t5.FAMILY.also | {"feed_forward_proj": "gated-gelu"},
    read=read,
)
