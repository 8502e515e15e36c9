"""The stage `distil_linear`: a classifier teaches a linear model of n-grams, which answers in microseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

EXTRAS = {"sklearn": "evaluate"}


def distil_linear(
    out: Path,
    *,
    model: Annotated[Path, Field(description="the teacher: a run, a step or a folder with a classifier")],
    data: Annotated[
        Path, Field(description="its clean step: the teacher answers train; valid chooses the strength and measures")
    ],
    texts: Annotated[
        Path | None, Field(description="a file or folder of texts without labels that the teacher answers too")
    ] = None,
    kind: Annotated[
        Literal["nb_ngrams", "tfidf"],
        Field(description="the student: n-grams weighed by Naive Bayes, each label by itself; or by TF-IDF, jointly"),
    ] = "nb_ngrams",
    seed: Annotated[int, Field(ge=0, description="all chance follows from it")] = 0,
) -> dict[str, Any]:
    """Teach a linear n-gram model what a classifier answers, and measure whether that beat the labels alone."""
    from penjing.recipe.distilling import distilled

    return distilled(out, model, data, texts, kind, seed)
