"""How a folder wants its network to be asked: generation_config.json, in older folders config.json itself.

The values stay as they are written there (transformers' names); token ids are the same in both files.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penjing.base.files import read_json

FILE = "generation_config.json"
TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id")
FORCED = ("forced_bos_token_id", "forced_eos_token_id")  # the first token of an answer, the last one at the limit
MANNERS = (
    *FORCED, "bad_words_ids", "suppress_tokens", "begin_suppress_tokens", "max_length", "max_new_tokens", "min_length",
    "min_new_tokens", "num_beams", "num_beam_groups", "num_return_sequences", "early_stopping", "length_penalty",
    "no_repeat_ngram_size", "encoder_no_repeat_ngram_size", "repetition_penalty", "do_sample", "temperature", "top_k",
    "top_p", "min_p", "typical_p",
)  # fmt: skip


def read_generation(folder: Path, foreign: Mapping[str, Any]) -> dict[str, Any]:
    """What generation_config.json says, over what config.json says of it."""
    file = folder / FILE
    told = read_json(file, dict) if file.exists() else {}
    old = {key: foreign[key] for key in (*TOKENS, *MANNERS) if key in foreign}
    whole = {**old, **told}
    return {key: value for key, value in whole.items() if value is not None and key != "transformers_version"}


def generation_config(foreign: Mapping[str, Any], generation: Mapping[str, Any]) -> dict[str, Any]:
    """Their generation_config.json: the manner of asking, with the token ids of config.json."""
    kept = {
        key: value
        for key, value in generation.items()
        if value is not None and key not in TOKENS and not key.startswith("_")
    }
    kept |= {key: foreign[key] for key in TOKENS if foreign.get(key) is not None}
    start, ends = (generation.get(key) for key in ("decoder_start_token_id", "eos_token_id"))
    kept |= {} if start is None else {"decoder_start_token_id": kept.get("decoder_start_token_id", start)}
    several = isinstance(ends, list) and foreign.get("eos_token_id") in ends  # any of them ends an answer
    return kept | ({"eos_token_id": ends} if several else {})
