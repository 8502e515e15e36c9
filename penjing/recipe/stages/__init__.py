"""The stages, one file each, imported when first asked for. A new stage = one file here + one word in STAGES.

The file `name.py` holds `def name(out: Path, *, option: type = default, ...) -> dict`: it fills the empty folder `out`
and returns a small summary for the manifest. The module may also hold

    EXTRAS = {"sklearn": "evaluate"}     modules it needs and the extra that brings each
    check(options, base) -> list         its own problems, before anything runs
    inputs(options) -> list[Path]        the files it will read; without it, every option of type Path counts whole
    choices() -> {option: {name: f}}     for each choice, the functions or classes whose signatures hold its own options

The first two get the complete options with absolute paths; those that name an earlier step are left out. A stage that can go on
after a kill writes `resume.json` into its folder: then `out` is the same folder the next time, with what was in it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path

from penjing.recipe.stage import Stage

STAGES = (
    "clean", "back_translate", "label_pairs", "tokenizer", "pretrain", "finetune", "ensemble", "merge", "shrink", "compress",
    "distil_linear", "evaluate", "reinforce", "fewshot", "export", "report",
)  # fmt: skip


class BuiltIn(Mapping[str, Stage]):
    """The stages of Penjing by name; one is imported when it is looked up."""

    def __getitem__(self, name: str) -> Stage:
        if name not in STAGES:
            raise KeyError(name)
        module = import_module(f"{__name__}.{name}")
        return Stage.of(name, getattr(module, name))

    def __iter__(self) -> Iterator[str]:
        return iter(STAGES)

    def __len__(self) -> int:
        return len(STAGES)


def headline(name: str) -> str:
    """The first line of a stage's docstring, read without importing it."""
    path = Path(__file__).with_name(f"{name}.py")
    return first_line(path, name) if path.exists() else ""


def first_line(path: Path, function: str) -> str:
    """The first line of a function's docstring, read without importing its file."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef) and node.name == function:
            return (ast.get_docstring(node) or "").split("\n")[0]
    return ""


BUILT_IN = BuiltIn()
