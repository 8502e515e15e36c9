"""The stage `fewshot`: a generative model classifies by examples in its prompt, beside classical and trained models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import PenjingError


def fewshot(
    out: Path,
    *,
    model: Annotated[Path, Field(description="a model that generates: a run, a step, a folder or a hub id")],
    data: Annotated[Path, Field(description="a clean step, or a folder with train and test files")],
    shots: Annotated[
        int | list[int] | str, Field(description="how many examples a prompt has: numbers, each is measured")
    ] = "0,1,2,4,8",
    split: Annotated[Literal["test", "valid"], Field(description="the split to answer")] = "test",
    most: Annotated[int | None, Field(ge=1, description="answer so many records, drawn by the seed; none: all")] = None,
    choice: Annotated[
        Literal["fixed", "balanced", "nearest", "embedding"],
        Field(
            description="fixed: drawn once for all texts; balanced: so that labels take turns; nearest: the most like each "
            "text by BM25; embedding: by the vectors of `encoder`"
        ),
    ] = "balanced",
    examples: Annotated[
        Path | None, Field(description="file of records to choose examples from; left out: all of train")
    ] = None,
    encoder: Annotated[Path | None, Field(description="an embed model, for the choice `embedding`")] = None,
    seeds: Annotated[
        int | None, Field(ge=1, description="draws of examples; 3 where they are drawn, and the seed counts on")
    ] = None,
    template: Annotated[
        str,
        Field(
            min_length=1,
            description="label, sentiment, topic, intent or same; or the form of one example with {text} and {label}, or Jinja",
        ),
    ] = "label",
    instruction: Annotated[
        str | None, Field(description="what stands before the examples; {labels} names the labels; left out: built in")
    ] = None,
    language: Annotated[
        Literal["auto", "en", "zh"], Field(description="of a built-in template; auto: as the records")
    ] = "auto",
    words: Annotated[dict[str, str] | None, Field(description="how labels are written: label: words")] = None,
    form: Annotated[
        Literal["auto", "text", "chat"],
        Field(description="one text, or a conversation; auto: a conversation where the model has a chat template"),
    ] = "auto",
    calibration: Annotated[
        Literal["none", "contextual", "pmi"],
        Field(description="divide by what labels get where the text says nothing, or without text and examples"),
    ] = "contextual",
    normalise: Annotated[
        Literal["none", "tokens", "bytes"], Field(description="divide a label's log-probability by its length")
    ] = "none",
    trained: Annotated[Path | None, Field(description="a trained classifier to set beside it")] = None,
    baselines: Annotated[bool, Field(description="fit the classical models on all of train")] = True,
    bootstrap: Annotated[int, Field(ge=100, description="resamples of the intervals")] = 2000,
    confidence: Annotated[float, Field(ge=0.5, lt=1, description="share of the resamples in an interval")] = 0.95,
    seed: Annotated[int, Field(ge=0, description="all chance follows from it")] = 0,
) -> dict[str, Any]:
    """Measure a prompted model against the number of examples, beside classical models and a trained one."""
    options = dict(locals())
    from penjing.base.files import write_json
    from penjing.recipe.prompting import Prompting, summary

    prompting = Prompting(options)
    curve = prompting.curve()
    found = prompting.about() | curve.found(bootstrap, confidence, seed)
    write_json(out / "fewshot.json", found)
    curve.write_predictions(out / "predictions.jsonl")
    prompting.save(out / "model")
    return summary(found)


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything is loaded: numbers, template, choice, labels, extras."""
    from penjing.recipe.prompting import problems

    return problems(options)
