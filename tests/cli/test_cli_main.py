"""The command line as a whole: help, versions, mistakes, interrupts, faults."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import penjing
from penjing.cli import faults

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "pydantic", "rich", "numpy", "tokenizers", "sklearn", "typer", "yaml")


def test_help_and_version(cli):
    code, out, _ = cli("--help")
    assert code == 0 and all(word in out for word in ("run", "verify", "init", "predict", "make", "--lang"))
    assert cli() == cli("--help")
    assert cli("--version")[:2] == (0, f"penjing {penjing.__version__}\n")


def test_help_says_each_command_in_whole_sentences(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    out = cli("--help")[1]
    assert "..." not in out.split("Commands:")[1] and max(map(len, out.splitlines())) <= 80
    assert "each step that is not made yet." in " ".join(out.split())


def test_help_of_a_stage_shows_its_options(cli):
    code, out, _ = cli("make", "--help")
    text = " ".join(out.split())
    assert code == 0 and "Make a file from a file." in text
    assert "--source path file to begin with [needed]" in text.lower()
    assert "--text str text put before it [default: hi]" in text
    assert "--loud" in cli("copy", "--help")[1] and "--no-loud" in cli("copy", "--help")[1]
    assert "up | down" in cli("copy", "--help")[1]


@pytest.mark.parametrize(
    "words, said",
    [
        (["rnu"], ["P-OPTION-004", "did you mean: run"]),
        (["--vresion"], ["P-OPTION-001", "did you mean: --version"]),
        (["run", "r", "--dry-rnu"], ["P-OPTION-001", "did you mean: --dry-run"]),
        (["run"], ["P-OPTION-003", "RECIPE"]),
        (["run", "recipe.yaml", "more"], ["P-SYSTEM-003", "penjing run --help"]),
        (["run", "recipe.yaml", "--only"], ["P-SYSTEM-003", "--only"]),
        (["predict", "x", "--top", "many"], ["P-OPTION-002", "--top"]),
        (["predict", "x", "--top", "0"], ["P-OPTION-002", "--top"]),
        (["make", "--txet", "a"], ["P-OPTION-001", "did you mean: --text"]),
        (["make", "--source", "in.txt"], ["P-OPTION-003", "out"]),
        (["make", "--out", "o"], ["P-OPTION-003", "source"]),
        (["make", "--out", "o", "--source", "im.txt"], ["P-FILE-001", "did you mean: in.txt"]),
        (["copy", "--out", "o", "--data", "in.txt", "--times", "x"], ["P-OPTION-002", "times"]),
        (["run", "nothing.yaml"], ["P-FILE-001", "nothing.yaml"]),
        (["verify", "."], ["P-RECIPE-014"]),
        (["--lang", "fr", "run"], ["P-OPTION-004", "known: en, zh"]),
    ],
)
def test_mistakes(cli, words, said):
    code, out, error = cli(*words)
    assert code == 2 and not out and "Traceback" not in error
    assert all(text in error for text in said), error


def test_language(cli, monkeypatch):
    monkeypatch.setenv("PENJING_LANG", "en")
    assert "是不是想写: run" in cli("rnu", "--lang", "zh")[2]
    monkeypatch.setenv("PENJING_LANG", "en")
    assert "是不是想写: run" in cli("--lang=zh", "rnu")[2]
    monkeypatch.setenv("PENJING_LANG", "zh")
    assert "是不是想写: run" in cli("rnu")[2]


def recipe_that_fails(how):
    Path("recipe.yaml").write_text(f"stages:\n  a:\n    do: fail\n    how: {how}\n")


@pytest.mark.parametrize("how", ["stop", "term"])
def test_interrupt_is_one_line(cli, how):
    recipe_that_fails(how)
    code, _, error = cli("run", "recipe.yaml")
    assert code == 130 and error.strip().split("\n")[-1].startswith("P-SYSTEM-004")


def test_a_fault_is_ours(cli, monkeypatch, tmp_path):
    recipe_that_fails("fault")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, _, error = cli("run", "recipe.yaml")
    assert code == 70 and "P-SYSTEM-002" in error and "ZeroDivisionError: half way" in error
    assert "Traceback" not in error
    (saved,) = tmp_path.glob("penjing-fault-*.txt")
    assert str(saved) in error and "ZeroDivisionError" in saved.read_text()
    monkeypatch.setenv("PENJING_DEBUG", "1")
    assert "Traceback" in cli("run", "recipe.yaml")[2]


def test_a_fault_with_a_full_disk(cli, monkeypatch):
    recipe_that_fails("fault")
    monkeypatch.setattr(faults.tempfile, "mkstemp", lambda **named: (_ for _ in ()).throw(OSError(28, "full")))
    code, _, error = cli("run", "recipe.yaml")
    assert code == 70 and "could not be saved" in error


def test_a_missing_extra(cli):
    Path("recipe.yaml").write_text("stages:\n  a:\n    do: lacking\n")
    code, _, error = cli("run", "recipe.yaml")
    assert code == 2 and "P-SYSTEM-001" in error and 'pip install "penjing[evaluate]"' in error


def python(*words):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], env=environment, check=False, capture_output=True, text=True)


def test_imports_are_light():
    """`penjing --help` is quick because it imports nothing that is slow; the time itself is in docs/results.md."""
    heavy = [name for name in HEAVY if name != "typer"]  # it draws the help
    code = f"import sys; from penjing.cli.main import main; main(['--help']); print([m for m in {heavy} if m in sys.modules])"
    assert python("-c", code).stdout.splitlines()[-1] == "[]"


def test_a_reader_that_leaves():
    command = f"{sys.executable} -m penjing --help | head -c 5; exit ${{PIPESTATUS[0]}}"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], env=environment, check=False, capture_output=True, text=True)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr
