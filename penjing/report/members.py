"""What the report says of a model that was made of several: each member's score, and the cross-validated scores."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from penjing.report.figures import curves
from penjing.report.report import Figure, Finding, Part, Score, Table
from penjing.report.steps import Step
from penjing.report.words import Words

DRAWN = 4  # members whose losses are drawn: as many as there are colours


def member_parts(step: Step, words: Words) -> list[Part]:
    """All of it; nothing for a model that was made alone."""
    about, folds = step.json("members.json"), step.json("folds.json")
    parts: list[Part] = []
    if about:
        parts += [Finding(words(f"way_{about['way']}", count=len(about["members"]))), member_table(about, words)]
        drawing = curves(dict(member_losses(step, len(about["members"]), words)), words("steps"), words("loss"))
        parts += [Figure(drawing, words("valid_loss"))] if drawing else []
    return parts + (fold_parts(folds, words) if folds else [])


def member_table(about: Mapping[str, Any], words: Words) -> Table:
    """Each member's score on valid by itself, and that of the whole."""
    metric = about["metric"]
    rows = [[one["name"], one.get(metric), words("yes" if one["chosen"] else "no")] for one in about["members"]]
    rows.append([words("whole"), about.get("valid", {}).get(metric), None])
    return Table([words("member"), f"{words.name(metric)} ({words('valid_loss')})", words("chosen")], rows)


def member_losses(step: Step, count: int, words: Words) -> Iterator[tuple[str, list[tuple[float, float]]]]:
    """The validation losses of the first members, as far as their logs are there."""
    for number in range(1, min(count, DRAWN) + 1):
        rows = step.lines(f"members/{number}/log.jsonl")
        found = [(row["step"], row["valid_loss"]) for row in rows if isinstance(row.get("valid_loss"), int | float)]
        yield f"{words('member')} {number}", found


def fold_parts(folds: Mapping[str, Any], words: Words) -> list[Part]:
    """The scores on records that a member has not learnt from: of all together, with intervals, and of each fold."""
    metrics = [name for name in folds["scores"] if "." not in name]
    whole = [Score(words.name(m), *(folds["scores"][m][key] for key in ("value", "low", "high"))) for m in metrics]
    rows = [[one["fold"], one["records"], *(one.get(metric) for metric in metrics)] for one in folds["by_fold"]]
    rows.append([words("whole"), folds["records"], *whole])
    note = words("cross_validated", folds=folds["folds"], confidence=f"{100 * folds['confidence']:g}",
                 resamples=folds["resamples"], share=f"{100 * (1 - 1 / folds['folds']):.0f}")  # fmt: skip
    names = [words("fold"), words("support"), *(words.name(metric) for metric in metrics)]
    return [Finding(note), Table(names, rows)]
