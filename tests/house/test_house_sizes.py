"""Files, functions and names: short, and no drawers."""

import ast
import statistics
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "penjing"
FILE, FAMILY, FUNCTION, MEDIAN = 400, 100, 60, 10  # lines
DRAWERS = {"util", "utils", "common", "helper", "helpers", "misc", "core", "manager", "managers", "args", "tools_misc"}


def files():
    return sorted(PACKAGE.rglob("*.py"))


def functions():
    """(place, lines) of every function. The signature of a stage is its table of options and is not counted."""
    for file in files():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                stage = file.parent.name == "stages" and node.name == file.stem
                first = node.body[0].lineno if stage else node.lineno
                yield f"{file.relative_to(PACKAGE)}:{node.lineno} {node.name}", node.end_lineno - first + 1


def test_files_are_short():
    long = {str(f.relative_to(PACKAGE)): n for f in files() if (n := f.read_text(encoding="utf-8").count("\n")) > FILE}
    assert not long, long


def test_a_family_is_a_page():
    from penjing.model.families import FAMILIES

    paths = [PACKAGE / "model" / "families" / f"{name}.py" for name in FAMILIES]
    long = {path.name: n for path in paths if (n := path.read_text(encoding="utf-8").count("\n")) > FAMILY}
    assert not long, long


def test_functions_are_short():
    sizes = dict(functions())
    long = {place: size for place, size in sizes.items() if size > FUNCTION}
    assert not long, long
    assert statistics.median(sizes.values()) < MEDIAN


def test_no_drawers():
    found = [str(p.relative_to(PACKAGE)) for p in PACKAGE.rglob("*") if DRAWERS & set(p.stem.lower().split("_"))]
    assert not found, found


def test_only_the_command_line_prints():
    found = []
    for file in files():
        if file.relative_to(PACKAGE).parts[0] != "cli":
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
                    found.append(f"{file.relative_to(PACKAGE)}:{node.lineno}")
    assert not found, found


def test_every_module_says_what_it_is():
    silent = [
        str(f.relative_to(PACKAGE)) for f in files() if not ast.get_docstring(ast.parse(f.read_text(encoding="utf-8")))
    ]
    assert not silent, silent
