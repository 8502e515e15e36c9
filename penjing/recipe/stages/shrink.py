"""The stage `shrink`: a model becomes smaller by recorded changes, and it is measured what that cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import PenjingError
from penjing.base.options import Choices


def shrink(
    out: Path,
    *,
    model: Annotated[Path, Field(description="a step with a model, a model folder or hub id")],
    change: Annotated[
        Choices,
        Field(
            description="what is done, in this order: vocabulary, heads, neurons, layers, lowrank, magnitude, int8, int4"
        ),
    ],
    data: Annotated[
        Path | None,
        Field(description="a clean step: what goes follows from its training records, and its split is scored"),
    ] = None,
    split: Annotated[Literal["test", "valid"], Field(description="the split that is scored before and after")] = "test",
    calibration: Annotated[int, Field(ge=1, description="training records that what goes follows from")] = 256,
    seed: Annotated[int, Field(ge=0, description="which records these are, and all other chance")] = 0,
) -> dict[str, Any]:
    """Make a model smaller by pruning or low rank, and measure size and scores before and after."""
    from penjing.recipe.shrinking import shrunk

    return shrunk(out, model, change, data, split, calibration, seed)


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything runs: changes that make nothing smaller, options that nothing reads."""
    from penjing.recipe.learning import no_effect, problems_of
    from penjing.recipe.shrinking import smaller

    found = problems_of(lambda: smaller(options["change"]))
    if options.get("data", "a step") is None:
        usual = {"split": "test", "calibration": 256}
        found += no_effect([name for name in usual if options[name] != usual[name]], "data")
    return found
