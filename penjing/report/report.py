"""The shape of a report, and its three forms: plain text, JSON, one self-contained HTML file."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Tone = Literal["good", "bad", "unclear", "note"]


@dataclass(frozen=True)
class Score:
    """A number with its interval, if it has one."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None

    def text(self, digits: int = 3) -> str:
        """`0.912 (0.905 to 0.918)`"""
        if self.low is None or self.high is None:
            return f"{self.value:.{digits}f}"
        return f"{self.value:.{digits}f} ({self.low:.{digits}f} – {self.high:.{digits}f})"


@dataclass(frozen=True)
class Finding:
    """One thing that was found, in a sentence."""

    text: str
    tone: Tone = "note"


@dataclass(frozen=True)
class Table:
    """Rows of cells under columns; a cell is text, a number or a Score."""

    columns: list[str]
    rows: list[list[Any]]
    title: str = ""
    folded: bool = False  # shown only when asked for

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers only: these are set to the right."""
        cells = [[row[c] for row in self.rows] for c in range(len(self.columns))]
        filled = [[x for x in column if x is not None] for column in cells]
        return [bool(column) and all(isinstance(x, (int, float, Score)) for x in column) for column in filled]


@dataclass(frozen=True)
class Figure:
    """A drawing as SVG text, and what it shows."""

    svg: str
    title: str
    note: str = ""
    wide: bool = False  # keeps its size and scrolls


@dataclass(frozen=True)
class Code:
    """Lines to copy."""

    text: str
    title: str = ""


Part = Finding | Table | Figure | Code


@dataclass
class Section:
    """A heading and what stands under it."""

    title: str
    parts: list[Part] = field(default_factory=list)


@dataclass
class Report:
    """A title, the verdict, the key scores, then sections."""

    title: str
    language: str
    verdicts: list[Finding]
    scores: list[Score]
    sections: list[Section]

    def to_json(self) -> dict[str, Any]:
        """Everything but the drawings."""
        return {
            "title": self.title, "language": self.language,
            "verdicts": [asdict(v) for v in self.verdicts], "scores": [asdict(s) for s in self.scores],
            "sections": [{"title": s.title, "parts": [plain(part) for part in s.parts]} for s in self.sections],
        }  # fmt: skip

    def to_text(self) -> str:
        """For a terminal or a log."""
        lines = [self.title, "=" * width(self.title), *(v.text for v in self.verdicts), ""]
        lines += [f"{score.name}: {score.text()}" for score in self.scores]
        for section in self.sections:
            lines += ["", section.title, "-" * width(section.title)]
            for part in section.parts:
                lines += part_lines(part)
        return "\n".join(lines) + "\n"

    def to_html(self) -> str:
        """One file with its style and drawings inside; all text is escaped."""
        from jinja2 import Environment, FileSystemLoader

        folder = Path(__file__).parent
        loader = FileSystemLoader(folder)
        environment = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
        environment.filters["cell"] = cell
        environment.tests["kind"] = lambda part, name: type(part).__name__ == name
        style = (folder / "report.css").read_text(encoding="utf-8")
        return environment.get_template("report.html.jinja").render(report=self, style=style)


def plain(part: Part) -> dict[str, Any]:
    """A part as JSON; of a figure only its title."""
    found = asdict(part)
    found.pop("svg", None)
    return {"kind": type(part).__name__.lower()} | found


def part_lines(part: Part) -> list[str]:
    """A part as lines of text."""
    if isinstance(part, Finding):
        return [part.text]
    if isinstance(part, Figure):
        return [f"[{part.title}]"]
    if isinstance(part, Code):
        return ["  " + line for line in part.text.splitlines()]
    rows = [part.columns, *([cell(value) for value in row] for row in part.rows)]
    return [part.title] * bool(part.title) + aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns side by side; a Chinese character is two columns wide."""
    if not rows[0]:
        return []
    sizes = [max(width(row[c]) for row in rows) for c in range(len(rows[0]))]
    return ["  ".join(x + " " * (n - width(x)) for x, n in zip(row, sizes, strict=True)).rstrip() for row in rows]


def width(text: str) -> int:
    """Columns that a terminal needs for a text."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def cell(value: Any) -> str:
    """A cell as text: numbers in about four digits, nothing as a dash."""
    if isinstance(value, Score):
        return value.text()
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    if value and abs(value) < 0.01:
        return f"{value:.2g}"
    return f"{value:.{3 if abs(value) <= 1 else 2 if abs(value) < 10 else 1}f}"
