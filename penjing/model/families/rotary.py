"""Rotary positions in configs of others: `rope_theta`, `rope_parameters` and, older, `rope_scaling`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from penjing.base.errors import ModelError, raise_all
from penjing.model.config import ModelConfig
from penjing.model.rotary import Scaling

ALSO = {"rope_theta": None, "rope_parameters": None, "rope_scaling": None}  # keys that a family with `read_rope` reads
TYPE = ("rope_type", "type")
TRAINED, FACTOR = "original_max_position_embeddings", "attention_factor"
NEEDED = {  # their keys by type: those that must be there, and those that may
    "default": (set(), set()),
    "linear": ({"factor"}, set()),
    "dynamic": ({"factor"}, set()),
    "llama3": ({"factor", "low_freq_factor", "high_freq_factor"}, {TRAINED}),
    "yarn": ({"factor"}, {TRAINED, FACTOR, "beta_fast", "beta_slow", "mscale", "mscale_all_dim", "truncate"}),
}


def read_rope(foreign: Mapping[str, Any], base: float = 10_000.0, share: float | None = None) -> dict[str, Any]:
    """Our fields; `base` and `share` are what absence means. `share` None: the family turns all features."""
    given = foreign["rope_scaling"] or foreign["rope_parameters"] or {}
    given = {key: value for key, value in given.items() if value is not None}
    kind = next((given[name] for name in TYPE if name in given), "default")
    if kind not in NEEDED:
        raise ModelError("P-MODEL-030", field="rope_type", given=kind, known=NEEDED)
    check(kind, given, partial=share is not None)
    return {
        "rotary_base": float(given.get("rope_theta", base if foreign["rope_theta"] is None else foreign["rope_theta"])),
        "rotary_share": given.get("partial_rotary_factor", 1.0 if share is None else share),
        "rotary_scaling": None if kind == "default" else scaling(kind, given, foreign["max_position_embeddings"]),
    }


def check(kind: str, given: Mapping[str, Any], partial: bool) -> None:
    """An error for each key that the type needs and lacks, and for each that it would not read."""
    needed, others = NEEDED[kind]
    known = {*TYPE, "rope_theta", *needed, *others} | ({"partial_rotary_factor"} if partial else set())
    problems = [ModelError("P-MODEL-031", field=key, kind=kind) for key in sorted(needed - given.keys())]
    problems += [ModelError("P-MODEL-011", given=k, value=v, known=known) for k, v in given.items() if k not in known]
    raise_all(problems)


def scaling(kind: str, given: Mapping[str, Any], longest: int) -> Scaling:
    """Ours of theirs. The dynamic one stretches from the longest text on, whatever the original length is."""
    names = {"llama3": ("high_freq_factor", "low_freq_factor"), "yarn": ("beta_fast", "beta_slow")}.get(kind)
    ramp = {} if names is None else dict(zip(("fast", "slow"), (given.get(name) for name in names), strict=True))
    return Scaling(
        kind,
        factor=given["factor"],
        trained=longest if kind in ("linear", "dynamic") else given.get(TRAINED, longest),
        whole=given.get("truncate", True),
        strength=strength(given) if kind == "yarn" else 1.0,
        **{name: value for name, value in ramp.items() if value is not None},
    )


def strength(given: Mapping[str, Any]) -> float:
    """What yarn multiplies cosines and sines by: given, or from the factor."""
    if FACTOR in given:
        return given[FACTOR]
    up, down = given.get("mscale"), given.get("mscale_all_dim")
    up, down = (up, down) if up and down else (1.0, 0.0)
    logarithm = 0.1 * math.log(max(given["factor"], 1.0))
    return (up * logarithm + 1.0) / (down * logarithm + 1.0)


def write_rope(config: ModelConfig) -> dict[str, Any]:
    """Their keys of ours; the base stands in both places, where older and newer readers look for it."""
    found = written(config.rotary_scaling) | {"rope_theta": config.rotary_base}
    if config.rotary_share != 1.0:
        found["partial_rotary_factor"] = config.rotary_share
    return {"rope_parameters": found, "rope_theta": config.rotary_base}


def written(scaling: Scaling | None) -> dict[str, Any]:
    """Their keys of a scaling, those that its type has."""
    if scaling is None:
        return {"rope_type": "default"}
    needed, others = NEEDED.get(scaling.kind, NEEDED["default"])
    found = {
        "factor": scaling.factor,
        TRAINED: scaling.trained,
        FACTOR: scaling.strength,
        "beta_fast": scaling.fast,
        "beta_slow": scaling.slow,
        "high_freq_factor": scaling.fast,
        "low_freq_factor": scaling.slow,
        "truncate": scaling.whole,
    }
    return {"rope_type": scaling.kind} | {key: value for key, value in found.items() if key in needed | others}
