"""The stage `evaluate`: the model, the baselines and both together on texts that none of them has seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field


def evaluate(
    out: Path,
    *,
    data: Annotated[Path, Field(description="a clean step, or a folder with test or valid files")],
    model: Annotated[Path, Field(description="a finetune, ensemble or distil_linear step: its model/ and baselines/")],
    split: Annotated[Literal["test", "valid"], Field(description="the split to report on")] = "test",
    bootstrap: Annotated[int, Field(ge=100, description="resamples of the intervals")] = 2000,
    confidence: Annotated[float, Field(ge=0.5, lt=1, description="share of the resamples in an interval")] = 0.95,
    ensemble: Annotated[bool, Field(description="classifiers: also the model and the best baseline together")] = True,
    seed: Annotated[int, Field(ge=0, description="all chance follows from it")] = 0,
) -> dict[str, Any]:
    """Measure the model beside its baselines, with intervals and a verdict in words."""
    from penjing.evaluate.asking import ask
    from penjing.evaluate.measuring import Measuring, trained_model

    trained = trained_model(model)
    if hasattr(getattr(trained, "task", trained), "probabilities"):
        return Measuring(out, data, model, trained, split, ensemble).run(bootstrap, confidence, seed)
    return ask(out, data, model, trained, split, bootstrap, confidence, seed)
