"""Every code block of the README and the docs runs, or is at least what the command line and the recipes understand.

python       run; the blocks of one file share their names; the folder has the project's examples/ and recipes/, and
             runs/quickstart of toy size where a block of the file speaks of it
console, bash  each line `penjing ...` must name a command and flags that exist, each `make ...` a target
yaml         a block with `stages:` must pass the recipe's check, missing files apart
"""

import os
import re
import shlex
from pathlib import Path

import pytest
from typer.main import get_command

from penjing.base.errors import PenjingError
from penjing.cli.main import COMMANDS, single
from penjing.recipe.check import check_recipe
from penjing.recipe.reading import parse_recipe
from penjing.recipe.runner import run_recipe
from penjing.recipe.stages import BUILT_IN, STAGES

ROOT = Path(__file__).parents[2]
QUICK = ROOT / "recipes" / "quickstart" / "recipe.yaml"
TOY = (
    "clean.most=200",
    "pretrain.epochs=0.05",
    "pretrain.measure_seconds=0",
    "pretrain.validate_times=1",
    "finetune.epochs=0.3",
    "finetune.measure_seconds=0",
    "finetune.validate_times=1",
)  # --set values that make the quickstart toy-sized
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```", re.S | re.M)
FORGIVEN = {"P-FILE-001", "P-MODEL-053"}  # neither a reader's own files nor the hub are here


def documents():
    return [p for p in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/**/*.md"))) if p.is_file()]


def blocks(path, *languages):
    """(line, text) of the code blocks in these languages."""
    text = path.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        if found[1] in languages:
            yield text[: found.start()].count("\n") + 2, found[2]


def run_python(path, folder):
    """Run all python blocks of one document in `folder`."""
    names = {"__name__": "docs"}
    for line, text in blocks(path, "python"):
        code = compile("\n" * (line - 1) + text, str(path), "exec")
        exec(code, names)


def complain(words):
    """What is wrong with one `penjing ...` command line; None if nothing is."""
    words = [word for i, word in enumerate(words) if word != "--lang" and (i == 0 or words[i - 1] != "--lang")]
    if not words or words[0] in ("--help", "--version"):
        return None
    if words[0] not in (*COMMANDS, *STAGES):
        return f"no command {words[0]}"
    command = get_command(single(words[0])).commands[words[0]]
    known = {flag for parameter in command.params for flag in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    unknown = [word for word in words[1:] if word.startswith("--") and word.partition("=")[0] not in known]
    return f"{words[0]} has no {', '.join(unknown)}" if unknown else None


def shell_lines(text):
    """The command lines of a console block, continued lines joined, comments left out."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.strip().removeprefix("$ "), comments=True)
        while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
            words.pop(0)
        for stop in ("|", ">", "<", "&&", ";"):
            words = words[: words.index(stop)] if stop in words else words
        if words:
            yield words


def shell_problems(path):
    """Commands in a document that do not exist."""
    targets = re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    for line, text in blocks(path, "console", "bash", "sh", "shell"):
        for words in shell_lines(text):
            wrong = complain(words[1:]) if words[0].endswith("penjing") else None
            if words[0] == "make":
                wrong = next((f"no target {w}" for w in words[1:] if w.isalpha() and w not in targets), None)
            if wrong:
                yield f"{path.name}:{line}: {wrong}"


def recipe_problems(text, path):
    """What a recipe in a document says that no recipe may."""
    try:
        recipe, problems = parse_recipe(text, path)
        problems += check_recipe(recipe, BUILT_IN)[1]
    except PenjingError as error:
        problems = [error]
    return [problem.text("en") for problem in problems if problem.code not in FORGIVEN]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where a reader runs the blocks."""
    made = tmp_path_factory.mktemp("reader")
    for name in ("examples", "recipes"):
        if (ROOT / name).exists():
            os.symlink(ROOT / name, made / name)
    return made


@pytest.mark.parametrize("path", [p for p in documents() if any(blocks(p, "python"))], ids=lambda path: path.stem)
def test_python_blocks_run(path, folder, monkeypatch):
    monkeypatch.chdir(folder)
    quickstart = any("runs/quickstart" in text for _, text in blocks(path, "python"))
    if quickstart and not Path("runs/quickstart").exists():
        run_recipe(QUICK, "runs/quickstart", sets=TOY)
    run_python(path, folder)


def test_shell_blocks_name_what_exists():
    found = [problem for path in documents() for problem in shell_problems(path)]
    assert not found, "\n".join(found)


def test_recipes_in_documents_and_in_recipes_pass_the_check():
    found = []
    for path in documents():
        for line, text in blocks(path, "yaml", "yml"):
            if re.search(r"^stages:", text, re.M):
                found += [f"{path.name}:{line}: {problem}" for problem in recipe_problems(text, path)]
    for path in sorted(ROOT.glob("recipes/**/recipe.yaml")):
        found += recipe_problems(path.read_text(encoding="utf-8"), path)
    assert not found, "\n".join(found)


def test_the_test_sees(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```console\n$ penjing rnu x\nPENJING_LANG=zh penjing run x --dry-rnu | head\nmake tset\n```\n")
    assert [text.split(": ")[1] for text in shell_problems(page)] == [
        "no command rnu",
        "run has no --dry-rnu",
        "no target tset",
    ]
    assert "P-OPTION-004" in recipe_problems("stages:\n  a:\n    do: no_such_stage\n", page)[0]
    page.write_text("```python\na = 1\n```\n\n```python\nraise SystemExit(a + 1)\n```\n")
    try:
        run_python(page, tmp_path)
    except SystemExit as stop:
        assert stop.code == 2
