"""Files named by patterns inside a folder: only they count as inputs, and they are looked for before anything runs."""

import pytest
from toy_stages import place

from penjing.base.errors import PenjingError
from penjing.recipe.runner import plan, run_recipe
from penjing.recipe.stages import BUILT_IN

ROWS = "".join(f'{{"text": "message number {i} of many", "label": "{"ab"[i % 2]}"}}\n' for i in range(12))
CLEAN = "name: t\nstages:\n  clean:\n    train: in.jsonl\n    near_duplicates: false\n"


def test_only_matched_files_are_inputs(tmp_path):
    (tmp_path / "in.jsonl").write_text(ROWS)
    recipe = place(tmp_path, CLEAN)
    run = run_recipe(recipe, tmp_path / "runs")
    assert [entry["path"] for entry in run.manifests["clean"]["inputs"]] == [(tmp_path / "in.jsonl").as_posix()]
    (tmp_path / "other.jsonl").write_text(ROWS)
    assert plan(recipe, tmp_path / "runs").states == {"clean": "kept"}
    (tmp_path / "in.jsonl").write_text(ROWS * 2)
    assert plan(recipe, tmp_path / "runs").states == {"clean": "to make"}


def test_missing_files_are_told_with_their_line(tmp_path):
    (tmp_path / "in.jsonl").write_text(ROWS)
    recipe = place(tmp_path, CLEAN + "    valid: no.jsonl\n    test: ['no*.csv', in.jsonl]\n")
    with pytest.raises(PenjingError) as caught:
        plan(recipe, tmp_path / "runs")
    assert len(caught.value.others) == 1 and not (tmp_path / "runs").exists()


def test_the_folder_may_be_an_earlier_step(tmp_path):
    (tmp_path / "in.jsonl").write_text(ROWS)
    recipe = place(tmp_path, CLEAN + "  again:\n    do: clean\n    folder: $clean\n    train: train.jsonl\n")
    run = run_recipe(recipe, tmp_path / "runs", stages=BUILT_IN)
    assert [entry["step"] for entry in run.manifests["again"]["inputs"]] == ["clean"]
