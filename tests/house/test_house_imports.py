"""A folder imports only from its left. Imports inside functions and for type checkers count too."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "penjing"
# from left to right; folders in one group never import one another
ORDER = (
    ("base",), ("text",), ("model",), ("changes",), ("generate",), ("tasks",), ("train",), ("report",),
    ("evaluate", "explain", "audit", "export"), ("apps",), ("agents",), ("recipe",), ("serve", "cli"),
)  # fmt: skip
PLACE = {name: number for number, group in enumerate(ORDER) for name in group}
EXTERNAL = {"transformers", "peft"}  # for tests and benchmarks only


def imported(tree, file):
    """(top package, folder of Penjing or None, line) of every import in a file."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                inside = file.relative_to(PACKAGE.parent).with_suffix("").parts
                base = ".".join((*inside[: len(inside) - node.level], *base.split("."))).rstrip(".")
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            ours = parts[0] == "penjing" and len(parts) > 1 and (PACKAGE / parts[1]).is_dir()
            yield parts[0], parts[1] if ours else None, node.lineno


def complaints(file):
    """What is wrong with the imports of one file."""
    own = file.relative_to(PACKAGE).parts[0] if file.parent != PACKAGE else None
    for package, folder, line in imported(ast.parse(file.read_text(encoding="utf-8")), file):
        place = f"`{file.relative_to(PACKAGE).as_posix()}`:{line}"
        if package in EXTERNAL:
            yield f"{place} imports `{package}`, which only tests and benchmarks may"
        if own and folder and folder != own and PLACE.get(folder, 99) >= PLACE[own]:
            may = ", ".join(name for name in PLACE if PLACE[name] < PLACE[own] and (PACKAGE / name).is_dir())
            yield f"{place} imports `{folder}/`; {own} may import: {may or 'nothing'}"


def test_import_direction():
    found = [text for file in sorted(PACKAGE.rglob("*.py")) for text in complaints(file)]
    assert not found, "\n" + "\n".join(found)


def test_every_folder_has_a_place():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and any(path.rglob("*.py"))}
    assert folders <= set(PLACE), f"not in DESIGN's order: {folders - set(PLACE)}"


def test_the_test_sees(monkeypatch, tmp_path):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    for name in ("model", "train", "base"):
        (tmp_path / name).mkdir()
    file = tmp_path / "model" / "layers.py"
    file.write_text("def f():\n    from penjing.train.loop import x\nfrom penjing.base import y\nimport peft\n")
    assert sorted(complaints(file)) == [
        "`model/layers.py`:2 imports `train/`; model may import: base",
        "`model/layers.py`:4 imports `peft`, which only tests and benchmarks may",
    ]
