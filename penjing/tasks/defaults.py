"""generation_config.json: how the model's makers decode it, as options of ours. What is not understood is told once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penjing.base.errors import FileError
from penjing.base.progress import tell
from penjing.model.decoding import FILE

SAME = {  # their name: ours
    "max_new_tokens": "max_new_tokens", "min_new_tokens": "min_new_tokens", "temperature": "temperature",
    "top_k": "top_k", "top_p": "top_p", "min_p": "min_p", "typical_p": "typical_p",
    "repetition_penalty": "repetition_penalty", "no_repeat_ngram_size": "no_repeat_ngram", "num_beams": "beams",
    "length_penalty": "length_penalty", "early_stopping": "early_stopping", "bad_words_ids": "bad_words",
}  # fmt: skip
LENGTHS = {"max_length": "max_new_tokens", "min_length": "min_new_tokens"}
OFF = {"top_k": 0, "top_p": 1.0, "min_p": 0.0, "typical_p": 1.0}  # their way to say: not at all
READ = {"eos_token_id", "decoder_start_token_id", "forced_bos_token_id", "do_sample"}
IDLE = {  # of no concern to an answer
    "bos_token_id", "pad_token_id", "transformers_version", "_from_model_config", "use_cache", "num_return_sequences",
    "forced_eos_token_id", "output_attentions", "output_hidden_states", "output_scores", "return_dict_in_generate",
}  # fmt: skip
DRAWING = ("temperature", "top_k", "top_p", "min_p", "typical_p")  # asking for one asks for chance
SEARCHING = ("beams", "length_penalty", "early_stopping", "forced_words")


@dataclass(frozen=True)
class Defaults:
    """What a checkpoint says about decoding."""

    options: dict[str, Any] = field(default_factory=dict)
    stop_tokens: tuple[int, ...] = ()
    decoder_start: int | None = None
    first: int | None = None  # the token that every answer begins with (a language's sign)

    def settled(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """These defaults under the options given: what was asked for replaces what would contradict it."""
        kept = {name: value for name, value in self.options.items() if name not in given}
        searching = given.get("beams", 1) > 1 or given.get("temperature") == 0
        if searching:
            kept = {name: value for name, value in kept.items() if name not in DRAWING}
        if any(given.get(name) is not None for name in DRAWING) or given.get("beams") == 1:
            kept = {name: value for name, value in kept.items() if name not in SEARCHING}
        if kept.get("temperature") == 0 and any(given.get(name) is not None for name in DRAWING[1:]):
            del kept["temperature"]
        if given.get("max_new_tokens") is not None:
            kept.pop("min_new_tokens", None)
        if kept.get("beams", 1) > 1 and given.get("top_log_probabilities"):
            kept = {name: value for name, value in kept.items() if name not in SEARCHING} | {"temperature": 0}
        return {**kept, **given}


def read_defaults(theirs: Mapping[str, Any], encoder_decoder: bool, file: Path | str = FILE) -> Defaults:
    """The defaults that a checkpoint tells (`Checkpoint.generation`)."""
    known = {*SAME, *READ, *IDLE, *LENGTHS}
    strange = sorted(name for name, value in theirs.items() if value is not None and name not in known)
    if strange:
        tell("note", "generate", f"{FILE}: not understood, and left out: {', '.join(strange)}", names=strange)
    ours = {SAME[name]: value for name, value in theirs.items() if name in SAME and usable(name, value)}
    if encoder_decoder:  # there a length is the answer's, with the token it begins from
        ours = {new: theirs[old] - 1 for old, new in LENGTHS.items() if theirs.get(old, 0) > 1} | ours
    sampled = theirs.get("do_sample")
    if sampled is False or (sampled is None and (encoder_decoder or ours.get("beams", 1) > 1)):
        ours = {name: value for name, value in ours.items() if name not in DRAWING}
        ours |= {} if ours.get("beams", 1) > 1 else {"temperature": 0.0}
    if ours.get("beams", 1) == 1:
        ours = {name: value for name, value in ours.items() if name not in SEARCHING}
    first, start = (ids(theirs.get(name), name, file) for name in ("forced_bos_token_id", "decoder_start_token_id"))
    stops = ids(theirs.get("eos_token_id"), "eos_token_id", file)
    return Defaults(ours, stops, next(iter(start), None), next(iter(first), None))


def usable(name: str, value: Any) -> bool:
    """Does a value of theirs say something?"""
    return value is not None and value != OFF.get(name, ()) and not (name == "early_stopping" and value == "never")


def ids(value: Any, name: str, file: Path | str) -> tuple[int, ...]:
    """A token id, or a list of them."""
    found = value if isinstance(value, list) else [] if value is None else [value]
    if not all(isinstance(one, int) and not isinstance(one, bool) and one >= 0 for one in found):
        raise FileError("P-FILE-004", path=file, reason=f"{name}: {value!r}")
    return tuple(dict.fromkeys(found))


def without_repeats(*groups: Iterable[int]) -> tuple[int, ...]:
    """Token ids of several sources, each once, in order."""
    return tuple(dict.fromkeys(one for group in groups for one in group))
