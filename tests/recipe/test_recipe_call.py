"""A stage called as a function: the same checks, a whole folder, a manifest."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from toy_stages import TOYS, place

import penjing
from penjing.base.errors import PenjingError
from penjing.recipe.call import as_function, call_stage, escaped
from penjing.recipe.manifest import read_manifest
from penjing.recipe.stage import Stage
from penjing.recipe.verify import verify

MAKE = Stage.of("make", TOYS["make"])


def test_call_keep_replace(tmp_path):
    place(tmp_path)
    make = as_function(MAKE)
    assert make(out=tmp_path / "o", source=tmp_path / "in.txt") == {"characters": 2}
    start = read_manifest(tmp_path / "o")
    make(tmp_path / "o", source=tmp_path / "in.txt")
    assert read_manifest(tmp_path / "o") == start, "kept"
    make(tmp_path / "o", source=tmp_path / "in.txt", text="$x")
    assert (tmp_path / "o" / "deep" / "made.txt").read_text() == "$xx0"
    assert verify(tmp_path / "o").sound


def test_relative_paths_count_from_here(tmp_path, monkeypatch):
    place(tmp_path)
    monkeypatch.chdir(tmp_path)
    call_stage(MAKE, "o", {"source": "in.txt"})
    assert (tmp_path / "o" / "manifest.json").exists()


def test_foreign_files_are_not_overwritten(tmp_path):
    place(tmp_path)
    with pytest.raises(PenjingError, match="P-RECIPE-013"):
        call_stage(MAKE, tmp_path, {"source": tmp_path / "in.txt"})
    with pytest.raises(PenjingError, match="P-RECIPE-013"):
        call_stage(MAKE, tmp_path / "in.txt", {"source": tmp_path / "in.txt"})


def test_all_problems_at_once(tmp_path):
    with pytest.raises(PenjingError) as caught:
        call_stage(MAKE, tmp_path / "o", {"txt": 1, "seed": "x"})
    assert [e.code for e in (caught.value, *caught.value.others)] == ["P-OPTION-001", "P-OPTION-002", "P-OPTION-003"]
    assert not (tmp_path / "o").exists()


def test_penjing_has_the_stages(monkeypatch):
    from penjing.recipe.stages import STAGES, BuiltIn

    assert penjing._STAGES == STAGES and set(STAGES) <= set(dir(penjing))
    monkeypatch.setattr(BuiltIn, "__getitem__", lambda self, name: MAKE)
    monkeypatch.delitem(penjing.__dict__, "report", raising=False)
    assert penjing.report.__doc__ == "Make a file from a file."
    with pytest.raises(AttributeError):
        penjing.no_such_name  # noqa: B018


def test_a_folder_with_a_stages_name_is_callable(tmp_path, monkeypatch):
    from penjing.recipe.stages import BuiltIn

    place(tmp_path)
    monkeypatch.setattr(BuiltIn, "__getitem__", lambda self, name: {"evaluate": MAKE}[name])
    monkeypatch.setitem(penjing.__dict__, "evaluate", None)
    penjing.evaluate = ModuleType("penjing.evaluate")
    assert penjing.evaluate(tmp_path / "o", source=tmp_path / "in.txt") == {"characters": 2}


def test_model_is_lazy(monkeypatch):
    fake = ModuleType("penjing.tasks.model")
    fake.Model = "the class"
    monkeypatch.setitem(sys.modules, "penjing.tasks", ModuleType("penjing.tasks"))
    monkeypatch.setitem(sys.modules, "penjing.tasks.model", fake)
    assert penjing.Model == "the class"


def test_the_real_folder_of_a_stage_is_callable():
    code = "import penjing, penjing.evaluate; from penjing.evaluate import linear; print(callable(penjing.evaluate))"
    root = Path(penjing.__file__).parents[1]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "True"


def test_a_dollar_sign_inside_a_value_is_only_a_dollar_sign():
    assert escaped({"columns": {"text": "$t"}, "train": ["$a", "b"], "n": 1}) == {
        "columns": {"text": "$$t"}, "train": ["$$a", "b"], "n": 1,
    }  # fmt: skip
