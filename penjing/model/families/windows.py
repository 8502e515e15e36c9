"""Which layers see only a window, as configs of others list it (`layer_types`)."""

from __future__ import annotations

from collections.abc import Sequence

from penjing.base.errors import ModelError

LOCAL, WHOLE = "sliding_attention", "full_attention"


def whole_every(layers: int, types: Sequence[str] | None, given: int | None, absent: int) -> int:
    """Layer i sees everything when i is a multiple of this; 1 where all do."""
    if types is None:
        return given or absent
    for step in (given or 1, *range(1, layers + 1)):
        if list(types) == layer_types(layers, step):
            return step
    known = ["one full_attention layer in every n, the first one full"]
    raise ModelError("P-MODEL-012", field="layer_types", given=types, known=known)


def layer_types(layers: int, step: int) -> list[str]:
    """Their list, for a whole layer in every `step`."""
    return [LOCAL if layer % step else WHOLE for layer in range(layers)]


def full_layers(types: Sequence[str] | None) -> None:
    """An error unless every layer sees the whole text."""
    if types is not None and set(types) != {WHOLE}:
        raise ModelError("P-MODEL-012", field="layer_types", given=types, known=[WHOLE])
