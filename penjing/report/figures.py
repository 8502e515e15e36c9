"""Drawings as SVG text. Colours come from the page's style by class, so they follow light and dark mode.

Legend: a drawing is WIDE units wide; text is 11 units high.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil, floor, isfinite, log10
from typing import Any, NamedTuple

from penjing.report.report import Score

WIDE, LEFT, RIGHT, TOP, BOTTOM = 440, 46, 12, 10, 34
POINTS = 300  # a curve is drawn through at most this many
CELL, NUMBERED, GUIDE = 17, 20, 5  # confusion: cell of a large matrix; labels with numbers in cells; a line every few


def svg(width: float, height: float, parts: Sequence[str], name: str, fixed: bool = False) -> str:
    """The drawing; `fixed` keeps its size in pixels instead of the page's width."""
    size = f' width="{width:.0f}" height="{height:.0f}"' if fixed else ""
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}"{size} role="img" aria-label="{escape(name)}">'
    return head + "".join(parts) + "</svg>"


def text(x: float, y: float, words: Any, kind: str = "", anchor: str = "start", turn: int = 0) -> str:
    """Escaped words at a place."""
    turned = f' transform="rotate({turn} {x:.1f} {y:.1f})"' if turn else ""
    cls = f' class="{kind}"' if kind else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{cls}{turned}>{escape(str(words))}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def box(
    x: float, y: float, width: float, height: float, kind: str, words: str = "", opacity: float | None = None
) -> str:
    """A rectangle; `words` show under the pointer."""
    fill = "" if opacity is None else f' fill-opacity="{opacity:.3f}"'
    title = f"<title>{escape(words)}</title>" if words else ""
    return (
        f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"{fill}>{title}</rect>'
    )


def ticks(low: float, high: float, number: int = 5) -> list[float]:
    """Round numbers between low and high."""
    if not high > low:
        return [low]
    raw = (high - low) / number
    base = 10 ** floor(log10(raw))
    step = next(base * m for m in (1, 2, 5, 10) if base * m >= raw * 0.999)
    return [round(i * step, 10) for i in range(ceil(low / step - 1e-9), floor(high / step + 1e-9) + 1)]


def short(number: float) -> str:
    """1500 as 1.5k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(number) >= size:
            return f"{number / size:.3g}{letter}"
    return f"{number:.3g}"


def thin(points: Sequence[tuple[float, float]], most: int = POINTS) -> list[tuple[float, float]]:
    """At most `most` points: means of neighbours."""
    size = max(1, -(-len(points) // most))
    pieces = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in p) / len(p), sum(y for _, y in p) / len(p)) for p in pieces]


def axes(
    xs: tuple[float, float], ys: tuple[float, float], height: float, names: tuple[str, str]
) -> tuple[list[str], Callable[[float], float], Callable[[float], float]]:
    """Grid, numbers and names; the places of x and y values."""

    def at_x(x: float) -> float:
        return LEFT + (x - xs[0]) / ((xs[1] - xs[0]) or 1) * (WIDE - LEFT - RIGHT)

    def at_y(y: float) -> float:
        return height - BOTTOM - (y - ys[0]) / ((ys[1] - ys[0]) or 1) * (height - BOTTOM - TOP)

    parts = []
    for y in ticks(*ys):
        parts += [
            line(LEFT, at_y(y), WIDE - RIGHT, at_y(y), "grid"),
            text(LEFT - 5, at_y(y) + 4, short(y), "faint", "end"),
        ]
    parts += [text(at_x(x), height - BOTTOM + 14, short(x), "faint", "middle") for x in ticks(*xs)]
    parts.append(text((LEFT + WIDE) / 2, height - 4, names[0], "faint", "middle"))
    parts.append(text(11, (height - BOTTOM) / 2 + TOP, names[1], "faint", "middle", -90))
    return parts, at_x, at_y


def curves(series: Mapping[str, Sequence[tuple[float, float]]], x_name: str, y_name: str, height: float = 250) -> str:
    """Lines through (x, y) points by name; the few-point series has marks."""
    kept = {name: thin([p for p in points if isfinite(p[1])]) for name, points in series.items()}
    kept = {name: points for name, points in kept.items() if points}
    every = [p for points in kept.values() for p in points]
    if not every:
        return ""
    xs = min(x for x, _ in every), max(x for x, _ in every)
    low, high = min(y for _, y in every), max(y for _, y in every)
    edge = (high - low or 1) * 0.05
    parts, at_x, at_y = axes(xs, (low - edge, high + edge), height, (x_name, y_name))
    for number, (name, points) in enumerate(kept.items()):
        places = [(at_x(x), at_y(y)) for x, y in points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline class="line c{number}" points="{path}"/>')
        if len(points) <= 40:
            parts += [f'<circle class="dot c{number}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places]
        y = TOP + 14 + number * 16
        parts += [line(WIDE - 130, y - 4, WIDE - 112, y - 4, f"line c{number}"), text(WIDE - 106, y, name)]
    return svg(WIDE, height, parts, y_name)


def bars(scores: Sequence[Score], strong: Sequence[str] = (), name: str = "") -> str:
    """One bar per score with its interval; the axis begins near the lowest so that differences show."""
    lows = [s.value if s.low is None else s.low for s in scores]
    highs = [s.value if s.high is None else s.high for s in scores]
    left, step = 12 + 6.4 * max(len(s.name) for s in scores), 30
    start = max(0.0, floor((min(lows) - 0.02) * 20) / 20)
    end = max(min(1.0, ceil((max(highs) + 0.005) * 20) / 20), start + 0.05)
    height = step * len(scores) + 34

    def at(x: float) -> float:
        return left + (x - start) / (end - start) * (WIDE - left - 54)

    parts = []
    for x in ticks(start, end, 4):
        parts += [line(at(x), 6, at(x), height - 24, "grid"), text(at(x), height - 8, f"{x:g}", "faint", "middle")]
    for number, score in enumerate(scores):
        y = 10 + number * step
        kind = "bar c0" if score.name in strong else "bar c2"
        parts += [
            text(left - 8, y + 14, score.name, "", "end"),
            box(left, y, at(score.value) - left, 18, kind, score.text()),
        ]
        if score.low is not None and score.high is not None:
            parts.append(line(at(score.low), y + 9, at(score.high), y + 9, "whisker"))
            parts += [line(at(x), y + 4, at(x), y + 14, "whisker") for x in (score.low, score.high)]
        place = max(at(score.value), at(score.high or 0)) if score.high is not None else at(score.value)
        parts.append(text(place + 6, y + 14, f"{score.value:.3f}"))
    return svg(WIDE, height, parts, name)


class Dot(NamedTuple):
    """A point with its interval upwards and downwards; whether it is on the front, and whether it was chosen."""

    x: float
    y: float
    low: float
    high: float
    name: str
    front: bool
    chosen: bool


def scattered(dots: Sequence[Dot], names: tuple[str, str], limit: float, height: float = 320) -> str:
    """Points with whiskers, a line through those of the front, a dashed one at the limit; the chosen one is larger."""
    if not dots:
        return ""
    xs = 0.0, 1.05 * max(dot.x for dot in dots)
    shown = [value for dot in dots for value in (dot.y, *((dot.low, dot.high) if dot.front else ()))]
    ys = min(0.0, *shown), max(limit, *shown)
    parts, at_x, at_y = axes(xs, (ys[0] - 0.05 * (ys[1] - ys[0]), ys[1] + 0.05 * (ys[1] - ys[0])), height, names)
    parts.append(line(LEFT, at_y(limit), WIDE - RIGHT, at_y(limit), "diagonal"))
    best = sorted(dot for dot in dots if dot.front)
    path = " ".join(f"{at_x(dot.x):.1f},{at_y(dot.y):.1f}" for dot in best)
    parts.append(f'<polyline class="line c0" points="{path}"/>')
    for dot in dots:
        x, y, kind = at_x(dot.x), at_y(dot.y), "c0" if dot.front else "c2"
        if dot.front:
            parts.append(line(x, at_y(dot.low), x, at_y(dot.high), "whisker"))
        words = escape(f"{dot.name}: {short(dot.x)}, {dot.y:+.2f} ({dot.low:+.2f} – {dot.high:+.2f})")
        radius = 7 if dot.chosen else 4
        parts.append(
            f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"><title>{words}</title></circle>'
        )
    return svg(WIDE, height, parts, names[1])


def reliability(bins: Sequence[Mapping[str, float]], names: tuple[str, str], height: float = 320) -> str:
    """Share right over confidence; the diagonal is perfect; dots grow with the number of texts in a bin."""
    parts, at_x, at_y = axes((0, 1), (0, 1), height, names)
    parts.append(line(at_x(0), at_y(0), at_x(1), at_y(1), "diagonal"))
    most = max((b["number"] for b in bins), default=1)
    places = [(at_x(b["confidence"]), at_y(b["right"])) for b in bins]
    parts.append(f'<polyline class="line c0" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>')
    for (x, y), b in zip(places, bins, strict=True):
        words = f"{b['confidence']:.3f} → {b['right']:.3f} ({b['number']:.0f})"
        radius = 3 + 7 * (b["number"] / most) ** 0.5
        parts.append(
            f'<circle class="dot c0" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{words}</title></circle>'
        )
    return svg(WIDE, height, parts, names[1])


def heat_map(matrix: Sequence[Sequence[int]], labels: Sequence[str], names: tuple[str, str]) -> str:
    """Confusion: rows true, columns given, shaded by the share of the row. A large one scrolls."""
    number = len(labels)
    size = max(CELL, min(46, 420 // number))
    shown = [label if len(label) <= 26 else label[:25] + "…" for label in labels]
    left = 26 + max(space(label) for label in shown)
    top = 26 + max(space(label) for label in shown) * (0.75 if number > 3 else 0) + 10
    parts = [text(left + size * number / 2, 14, names[1], "faint", "middle"),
             text(12, top + size * number / 2, names[0], "faint", "middle", -90)]  # fmt: skip
    for i, label in enumerate(shown):
        parts.append(text(left - 6, top + (i + 0.5) * size + 4, label, "", "end"))
        x = left + (i + 0.5) * size
        parts.append(
            text(x + 4, top - 6, label, "", "start", -50) if number > 3 else text(x, top - 6, label, "", "middle")
        )
    for i, row in enumerate(matrix):
        total = sum(row) or 1
        for j, count in enumerate(row):
            x, y, share = left + j * size, top + i * size, count / total
            if count or number <= NUMBERED:
                words = f"{labels[i]} → {labels[j]}: {count} ({100 * share:.0f} %)"
                strength = share if i == j else min(1.0, 0.12 + 2 * share) if count else 0.0
                parts.append(box(x, y, size - 1, size - 1, "right" if i == j else "wrong", words, strength))
            if count and number <= NUMBERED:
                parts.append(text(x + size / 2, y + size / 2 + 4, count, "count", "middle"))
    end = left + size * number
    for i in range(GUIDE, number, GUIDE) if number > NUMBERED else ():
        parts.append(line(left, top + i * size - 0.5, end, top + i * size - 0.5, "grid"))
        parts.append(line(left + i * size - 0.5, top, left + i * size - 0.5, top + size * number, "grid"))
    parts.append(f'<rect class="frame" x="{left - 1:.1f}" y="{top - 1:.1f}" width="{end - left + 1:.1f}" '
                 f'height="{size * number + 1:.1f}"/>')  # fmt: skip
    return svg(end + left * 0.5 + 12, top + size * number + 8, parts, names[0], fixed=True)


def space(label: str) -> float:
    """About how wide a label is drawn."""
    return sum(11.5 if ord(c) > 0x2E80 else 6.2 for c in label)
