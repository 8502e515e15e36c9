"""The stage `compress`: the smallest model whose loss is within a budget, with confidence, by a search that is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import PenjingError

Method = Literal["layers", "neurons", "heads", "vocabulary", "int8", "int4"]


def compress(
    out: Path,
    *,
    model: Annotated[Path, Field(description="a run, a step with a model, or a model folder")],
    data: Annotated[
        Path, Field(description="its clean step: train heals, valid measures the search, test confirms its end, once")
    ],
    max_drop: Annotated[
        str | float,
        Field(
            description="the most that may be lost, with 95 % confidence, as 0.5%: points of a hundred of the task's main "
            "score; where less is better, a share of the original's"
        ),
    ] = "0.5%",
    size: Annotated[str | float | None, Field(description="also at most so large on disk, as 5MB or 800kB")] = None,
    latency: Annotated[
        str | float | None, Field(description="also at most so long for one record alone, on this machine, as 3ms")
    ] = None,
    methods: Annotated[
        list[Method] | None,
        Field(
            min_length=1, description="what may be tried: layers, neurons, heads, vocabulary, int8, int4; left out: all"
        ),
    ] = None,
    rounds: Annotated[int, Field(ge=0, description="stacks of cuts that are healed and measured, at most")] = 4,
    minutes: Annotated[float, Field(gt=0, description="no further stack is begun after so long")] = 30.0,
    epochs: Annotated[
        float | None,
        Field(gt=0, description="times through the records in each healing; left out: a part of the minutes"),
    ] = None,
    learning_rate: Annotated[float, Field(gt=0, description="healing: the highest learning rate")] = 2e-4,
    batch_tokens: Annotated[int, Field(ge=16, description="healing: tokens of a batch, padding included")] = 2048,
    calibration: Annotated[int, Field(ge=1, description="training records that what goes follows from")] = 256,
    seed: Annotated[int, Field(ge=0, description="all chance follows from it")] = 0,
) -> dict[str, Any]:
    """Find the smallest model that loses at most a budget of the task's score, and confirm it on unseen records."""
    from penjing.recipe.compressing.compressed import compressed
    from penjing.recipe.compressing.limits import Limits
    from penjing.recipe.compressing.proposing import METHODS
    from penjing.recipe.compressing.search import Options

    how = Options(tuple(methods or METHODS), rounds, minutes, epochs, learning_rate, batch_tokens, calibration, seed)
    return compressed(out, model, data, Limits.said(max_drop, size, latency), how)


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything runs: limits that cannot be read, options of a healing where nothing is cut."""
    from penjing.recipe.compressing.limits import SIZES, TIMES, amount, share
    from penjing.recipe.compressing.proposing import CUTS
    from penjing.recipe.learning import no_effect, problems_of

    found = problems_of(
        lambda: share(options["max_drop"]),
        lambda: amount(options["size"], "size", SIZES),
        lambda: amount(options["latency"], "latency", TIMES),
    )
    if not set(options["methods"] or CUTS) & set(CUTS) or not options["rounds"]:
        usual = {"minutes": 30.0, "epochs": None, "learning_rate": 2e-4, "batch_tokens": 2048}
        given = [name for name, value in usual.items() if options[name] != value]
        found += no_effect(given, "rounds, and one of the methods layers, neurons, heads")
    return found
