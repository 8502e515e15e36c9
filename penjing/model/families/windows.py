"""Which layers see only a window, as configs of others list it (`layer_types`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penjing.base.errors import ModelError
from penjing.model.config import ModelConfig

LOCAL, WHOLE = "sliding_attention", "full_attention"
EVERY = "global_attn_every_n_layers"


def local_layers(foreign: Mapping[str, Any], absent: Sequence[int]) -> tuple[int, ...]:
    """The numbers of the layers that see only their window; `absent` where no list is given."""
    types, layers = foreign["layer_types"], foreign["num_hidden_layers"]
    if types is None:
        return tuple(absent)
    if len(types) != layers or not set(types) <= {LOCAL, WHOLE}:
        raise ModelError("P-MODEL-012", field="layer_types", given=types, known=[f"{layers} of {LOCAL}, {WHOLE}"])
    return tuple(layer for layer, kind in enumerate(types) if kind == LOCAL)


def layer_types(layers: int, local: Sequence[int]) -> list[str]:
    """Their list."""
    return [LOCAL if layer in local else WHOLE for layer in range(layers)]


def every(layers: int, local: Sequence[int]) -> int:
    """The n of "one layer in n sees everything, the first one does", for readers that know no list; else 1."""
    fits = (n for n in range(1, layers + 1) if [layer for layer in range(layers) if layer % n] == list(local))
    return next(fits, 1)


def read_window(foreign: Mapping[str, Any], local: Sequence[int]) -> dict[str, Any]:
    """Our fields: the layers `local` see `sliding_window` tokens, their own among them."""
    given = foreign["sliding_window"]
    if local and given is None:
        raise ModelError("P-MODEL-012", field="sliding_window", given=given, known=["a number of tokens"])
    return {"window": given - 1 if local else None, "window_layers": tuple(local)}


def write_window(config: ModelConfig) -> dict[str, Any]:
    """Their key of ours."""
    return {"sliding_window": None if config.window is None else config.window + 1}
