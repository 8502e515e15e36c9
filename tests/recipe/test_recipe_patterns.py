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


JOINED = """
name: t
stages:
  more: {do: clean, train: more.jsonl, valid_share: 0, near_duplicates: false}
  clean: {train: in.jsonl, test: in.jsonl, join: $more, valid_share: 0, across_splits: equal, near_threshold: 1}
"""


def test_the_training_records_of_another_step_join_but_for_those_in_test(tmp_path):
    (tmp_path / "in.jsonl").write_text(ROWS)
    first = ROWS[: ROWS.index("\n") + 1]
    (tmp_path / "more.jsonl").write_text(ROWS.replace("message", "letter") + first)
    run = run_recipe(place(tmp_path, JOINED), tmp_path / "runs", stages=BUILT_IN)
    made = run.manifests["clean"]["result"]
    assert made["read"] == {"test": 12, "train": 12, "joined": 13} and made["kept"] == {"test": 12, "train": 12}
    assert made["duplicates"] == {"exact test train": 12, "exact test joined": 1}
    assert [entry.get("step") for entry in run.manifests["clean"]["inputs"]] == ["more", None]


def test_the_splits_of_a_folder_are_found_where_none_is_named(tmp_path):
    for split in ("train", "test"):
        (tmp_path / f"{split}.jsonl").write_text(ROWS.replace("message", split))
    recipe = place(tmp_path, "name: t\nstages:\n  clean:\n    near_duplicates: false\n    valid_share: 0\n")
    run = run_recipe(recipe, tmp_path / "runs", stages=BUILT_IN)
    assert run.manifests["clean"]["result"]["kept"] == {"test": 12, "train": 12}
    (tmp_path / "valid.jsonl").write_text(ROWS.replace("message", "third"))
    assert plan(recipe, tmp_path / "runs").states == {"clean": "to make"}
