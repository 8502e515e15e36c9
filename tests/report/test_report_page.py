"""The report's three forms and its drawings."""

import json
import re
import xml.etree.ElementTree as Tree
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.report.figures import bars, curves, heat_map, reliability, thin, ticks
from penjing.report.report import Code, Figure, Finding, Report, Score, Section, Table, aligned, cell, width

PARTS = [
    Finding("all <b>well</b>", "good"),
    Table(["name", "value"], [["a & b", 0.5], ["<script>alert(1)</script>", None]], "table", folded=True),
    Table(["score"], [[Score("accuracy", 0.9, 0.8, 1.0)]]),
    Figure(bars([Score("model", 0.9, 0.85, 0.93), Score("x<y", 0.1)]), "bars"),
    Figure(heat_map([[3, 1], [0, 4]], ["好", "<bad>"], ("true", "given")), "map", "note", wide=True),
    Code("penjing run x.yaml && echo", "commands"),
]
REPORT = Report("T <1>", "en", [Finding("worth it: +2 points", "good")], [Score("accuracy", 0.9, 0.8, 1.0)],
                [Section("Scores", PARTS)])  # fmt: skip


class Tags(HTMLParser):
    """Counts tags, and checks that each that opens is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append(tag)
        if tag not in ("meta", "rect", "line", "polyline", "circle") or tag == "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        while self.open and self.open[-1] != tag:
            assert self.open.pop() in ("circle",), (tag, self.open)
        if self.open:
            self.open.pop()


def test_html_is_one_safe_file():
    page = REPORT.to_html()
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.seen and "link" not in tags.seen and "img" not in tags.seen
    assert "&lt;script&gt;alert(1)" in page and "a &amp; b" in page and "x&lt;y" in page
    assert not re.search(r"(src|href)=|url\(|https?://", page)
    assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page
    assert page.index("worth it: +2 points") < page.index("<section>")
    assert "<details>" in page and '<html lang="en">' in page


def test_text_and_json():
    text = REPORT.to_text()
    assert "worth it: +2 points" in text and "0.900 (0.800 – 1.000)" in text and "  penjing run x.yaml" in text
    found = json.loads(json.dumps(REPORT.to_json()))
    assert [part["kind"] for part in found["sections"][0]["parts"]] == [
        "finding",
        "table",
        "table",
        "figure",
        "figure",
        "code",
    ]
    assert "svg" not in found["sections"][0]["parts"][3]


def test_columns_line_up_in_chinese():
    rows = aligned([["标签", "n"], ["ab", "1"]])
    assert width(rows[0]) == width(rows[1]) == 7
    assert aligned([[]]) == []


def test_cells():
    numbers = [1234567, 12, 0.123456, 1.0, 0.00012, 34.56, None, True, "x"]
    assert [cell(n) for n in numbers] == ["1,234,567", "12", "0.123", "1.000", "0.00012", "34.6", "–", "True", "x"]
    assert Table(["a", "b"], [[1, "x"], [None, 2]]).numeric == [True, False]


finite = st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(st.tuples(finite, st.one_of(finite, st.just(float("nan")))), max_size=30))
@settings(max_examples=40, deadline=None)
def test_curves_are_valid_for_any_points(points):
    drawing = curves({"train <1>": points, "valid": points[:3]}, "steps", "loss")
    assert "nan" not in drawing
    if drawing:
        Tree.fromstring(drawing)


@given(st.floats(0, 1), st.floats(0, 0.2), st.lists(st.text(max_size=30), min_size=1, max_size=30))
@settings(max_examples=40, deadline=None)
def test_drawings_are_valid(value, spread, names):
    names = [re.sub(r"[^\x20-\ud7ff]", "", name) for name in names]
    Tree.fromstring(bars([Score(name, value, max(0, value - spread), min(1, value + spread)) for name in names]))
    matrix = [[(i * j) % 3 for i in range(len(names))] for j in range(len(names))]
    Tree.fromstring(heat_map(matrix, names, ("true", "given")))
    bins = [{"confidence": value, "right": 1 - value, "number": 5}]
    Tree.fromstring(reliability(bins, ("confidence", "right")))
    Tree.fromstring(reliability([], ("confidence", "right")))


def test_large_confusion_keeps_readable_cells():
    labels = [f"label {i}" for i in range(77)]
    drawing = heat_map([[int(i == j) for i in range(77)] for j in range(77)], labels, ("true", "given"))
    root = Tree.fromstring(drawing)
    assert float(root.get("width")) >= 77 * 17
    assert all(label in drawing for label in labels)
    assert drawing.count("<rect") == 78


def test_ticks_and_thinning():
    assert ticks(0, 1) == [0.0, 0.2, 0.4, 0.6, 0.8, 1.0] and ticks(3, 3) == [3]
    points = [(float(i), 1.0) for i in range(1000)]
    assert len(thin(points)) <= 300 and thin(points[:5]) == points[:5]
