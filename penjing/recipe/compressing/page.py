"""The page of a search: the verdict, the front, every point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.errors import language
from penjing.base.files import whole_file
from penjing.recipe.compressing.choosing import told
from penjing.recipe.compressing.point import ROWS
from penjing.report.figures import Dot, scattered
from penjing.report.report import Figure, Part, Report, Score, Section, Table, Tone
from penjing.report.report import Finding as Said
from penjing.report.words import Words

PAGE = "compress.html"
TONES: dict[str, Tone] = {"confirmed": "good", "unconfirmed": "unclear"}


def write_page(out: Path, found: Mapping[str, Any], points: Sequence[Mapping[str, Any]]) -> None:
    """Write the page in the user's language, and the same as text."""
    words = Words(language())
    report = page(found, points, words)
    for name, text in ((PAGE, report.to_html()), (Path(PAGE).with_suffix(".txt").name, report.to_text())):
        with whole_file(out / name) as file:
            file.write(text)


def page(found: Mapping[str, Any], points: Sequence[Mapping[str, Any]], words: Words) -> Report:
    """The verdict, the front of what was measured on all records, and all points."""
    outcome, mark = found["verdict"]["outcome"], found["mark"]
    verdict = Said(found["verdict"][words.language], TONES.get(outcome, "bad"))
    kept = [point for point in points if point["kept"]]
    tried = [point for point in points if not point["kept"] and "drop" in point]
    unable = [Said(f"{told(point['stack'])}: {point['why']}") for point in points if "error" in point]
    sections = [
        Section(words("front"), [drawn(found, kept, words), table(kept, mark, words)]),
        Section(words("alone"), [table(tried, mark, words), *unable]),
    ]
    if found["test"] is not None:
        sections.insert(
            0, Section(words("on_test"), [table([found["test"] | {"stack": found["chosen"]["stack"]}], mark, words)])
        )
    return Report(words("compressed"), words.language, [verdict], [], sections)


def drawn(found: Mapping[str, Any], points: Sequence[Mapping[str, Any]], words: Words) -> Part:
    """Drop over size, with intervals; the front is a line, and so is the budget."""
    chosen = (found["chosen"] or {}).get("stack")
    dots = [
        Dot(point["bytes"] / 1e6, *(100 * point["drop"][side] / found["mark"] for side in ("value", "low", "high")),
            told(point["stack"]), point["stack"] in found["front"], point["stack"] == chosen)
        for point in points
    ]  # fmt: skip
    names = (words("size"), words("drop_points"))
    svg = scattered(dots, names, 100 * found["budget"] / found["mark"])
    return Figure(svg, words("front"), words("front_note"))


def table(points: Sequence[Mapping[str, Any]], mark: float, words: Words) -> Table:
    """One row a point, the smallest first."""
    rows = [
        [told(point["stack"]), round(point["bytes"] / 1e6, 3), round(point["memory_bytes"] / 1e6, 3),
         1000 * point["seconds"]["one"], 1000 * point["seconds"]["batch"], ROWS / point["seconds"]["batch"],
         point["seconds_before"]["batch"] / point["seconds"]["batch"], point["score"],
         Score("", *(100 * point["drop"][side] / mark for side in ("value", "low", "high")))]
        for point in sorted(points, key=lambda one: one["bytes"])
    ]  # fmt: skip
    names = (
        "stack",
        "size",
        "memory",
        "latency_one",
        "latency_batch",
        "texts_per_second",
        "faster",
        "metric",
        "drop_points",
    )
    return Table([words(name) for name in names], rows)
