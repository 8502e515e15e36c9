"""mBART (arXiv:2001.08210): BART for many languages, with norms before the residual and one at each stack's end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from penjing.model.families import bart
from penjing.model.families.family import Key


def read(foreign: Mapping[str, Any]) -> dict[str, Any]:
    """Their classifier's decoder begins with the text's last token, whatever the config says."""
    classifier = "MBartForSequenceClassification" in (foreign.get("architectures") or ())
    return bart.read(foreign) | ({"decoder_start": None} if classifier else {})


FAMILY = replace(
    bart.FAMILY,
    name="mbart",
    architectures={"mbart": {"seq2seq": "MBartForConditionalGeneration", "classify": "MBartForSequenceClassification"}},
    reads={"MBartModel": "seq2seq"},
    keys=bart.KEYS | {"decoder_start_token_id": Key("decoder_start", None)},
    fixed=bart.FIXED | {"norm_place": "before", "final_norm": True},
    only=bart.ONLY
    | {"normalize_before": (True,), "normalize_embedding": (True,), "add_final_layer_norm": (True,)}
    | {"static_position_embeddings": (False,)},
    read=read,
    start=None,  # the last token of what is written: a language's code, or the end
)
