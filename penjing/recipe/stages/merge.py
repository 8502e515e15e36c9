"""The stage `merge`: changes become part of the weights, and it is proven that the answers stay."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import OptionError, PenjingError

Positive = Annotated[float, Field(gt=0)]


def merge(
    out: Path,
    *,
    model: Annotated[
        Path | list[Path],
        Field(description="a finetune step or model folder with changes; or several steps with adapters of one base"),
    ],
    weights: Annotated[
        list[Positive] | None, Field(description="several adapters: the weight of each; left out: equal shares")
    ] = None,
    way: Annotated[
        Literal["linear", "ties", "dare"],
        Field(description="several adapters: their sum; only the largest, of one sign; some dropped by chance"),
    ] = "linear",
    density: Annotated[float, Field(gt=0, le=1, description="ties, dare: the share of numbers that is kept")] = 0.5,
    data: Annotated[
        Path | None, Field(description="a clean step: answers and scores are compared on its records")
    ] = None,
    split: Annotated[Literal["test", "valid"], Field(description="the split that is compared on")] = "test",
    seed: Annotated[int, Field(ge=0, description="dare: all chance follows from it")] = 0,
) -> dict[str, Any]:
    """Fold the changes of a model, or several adapters, into the weights, with a round-trip certificate."""
    from penjing.evaluate.measuring import chosen_split
    from penjing.recipe.folding import folded, merged

    split, records = (None, []) if data is None else chosen_split(data, split)
    if isinstance(model, Path):
        found = folded(out, model, records, split)
    else:
        shares = weights or [1 / len(model)] * len(model)
        found = merged(out, model, shares, way, density, seed, records, split)
    names = (
        "folded",
        "way",
        "same_tokens",
        "distance",
        "split",
        "records",
        "other_answers",
        "before",
        "after",
        "alone",
    )
    return {name: found[name] for name in names if name in found}


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything runs: options that nothing reads, weights for other adapters than there are."""
    from penjing.recipe.learning import no_effect

    several = isinstance(options.get("model"), list)
    found: list[PenjingError] = []
    if not several and "model" in options:
        usual = {"weights": None, "way": "linear"}
        found += no_effect([name for name in usual if options[name] != usual[name]], "several adapters")
    if options["density"] != 0.5 and options["way"] == "linear":
        found += no_effect(["density"], "way: ties or dare")
    if options["seed"] and options["way"] != "dare":
        found += no_effect(["seed"], "way: dare")
    if options["split"] != "test" and options.get("data", "a step") is None:
        found += no_effect(["split"], "data")
    given = options["weights"]
    if several and given is not None and len(given) != len(options["model"]):
        found.append(OptionError("P-CHANGE-024", given=len(given), count=len(options["model"])))
    return found
