"""The command line with the toy stages in the place of Penjing's own."""

import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "recipe"))
from toy_stages import TOYS, place  # noqa: E402

from penjing.cli import main as command_line  # noqa: E402
from penjing.recipe.stage import Stage  # noqa: E402
from penjing.recipe.stages import BuiltIn  # noqa: E402


@pytest.fixture
def cli(tmp_path, monkeypatch, capsys):
    """`cli("run", "recipe.yaml")` in a folder with a recipe -> (exit code, stdout, stderr)."""
    monkeypatch.setattr(command_line, "STAGES", tuple(TOYS))
    monkeypatch.setattr(BuiltIn, "__getitem__", lambda self, name: Stage.of(name, TOYS[name]))
    monkeypatch.setattr(BuiltIn, "__iter__", lambda self: iter(TOYS))
    monkeypatch.setattr(BuiltIn, "__len__", lambda self: len(TOYS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PENJING_LANG", "en")
    monkeypatch.delenv("PENJING_DEBUG", raising=False)
    place(tmp_path)

    def call(*words):
        before = signal.getsignal(signal.SIGTERM)
        try:
            return command_line.main(words), *capsys.readouterr()
        finally:
            signal.signal(signal.SIGTERM, before)

    return call
