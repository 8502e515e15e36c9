"""The section of a step `fewshot`: accuracy against the number of examples, beside classical and trained models."""

from __future__ import annotations

from typing import Any

from penjing.report.figures import curves
from penjing.report.report import Code, Figure, Part, Score, Table
from penjing.report.steps import Step
from penjing.report.words import Words


def shot_parts(step: Step, words: Words) -> list[Part]:
    """The curve, all numbers, a prompt to look at."""
    found = step.json("fewshot.json")
    if not found:
        return []
    note = words(
        "shots_note", records=found["records"], split=found["split"], confidence=f"{100 * found['confidence']:g}"
    )
    figure = Figure(drawing(found, words), words("fewshot"), note)
    return [figure, table(found, words), Code(found["prompt"], words("prompt"))]


def drawing(found: dict[str, Any], words: Words) -> str:
    """The curve, and a level line for each of the others."""
    metric, shots = found["metric"], [row["shots"] for row in found["curve"]]
    series = {words("prompted"): [(row["shots"], row[metric]["value"]) for row in found["curve"]]}
    for name, scores in found["others"].items():
        level = scores[metric]["value"]
        series[named(name, words)] = [(min(shots), level), (max(shots), level)]
    return curves(series, words("shots"), words.name(metric))


def table(found: dict[str, Any], words: Words) -> Table:
    """A row for each number of examples, and for each of the others."""
    metric, rows = found["metric"], list[list[Any]]()
    for row in found["curve"]:
        seeds = ", ".join(f"{one[metric]:.3f}" for one in row["seeds"])
        rows.append([f"{words('shots')}: {row['shots']}", score(row[metric]), row["macro_f1"], row["examples"], seeds])
    for name, scores in found["others"].items():
        rows.append([named(name, words), score(scores[metric]), scores["macro_f1"], None, None])
    heads = ("candidate", metric, "macro_f1", "shown", "accuracy_by_seed")
    return Table([words.name(head) for head in heads], rows)


def score(found: dict[str, float]) -> Score:
    return Score("", found["value"], found["low"], found["high"])


def named(name: str, words: Words) -> str:
    """A classical model has a name of its own."""
    return words(name) if name == "trained" else name
