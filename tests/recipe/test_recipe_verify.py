"""`verify` sees every changed, missing and added file."""

import json

import pytest
from toy_stages import TOYS, place

from penjing.base.errors import PenjingError
from penjing.recipe.runner import run_recipe
from penjing.recipe.verify import verify


@pytest.fixture
def run(tmp_path):
    return run_recipe(place(tmp_path), tmp_path / "out", stages=TOYS)


def codes(path):
    return sorted(problem.code for problem in verify(path).problems)


def test_sound(run):
    verdict = verify(run.out)
    assert verdict.sound and verdict.steps == {"first": 1, "second": 1} and not verdict.gone
    assert verify(run.out / "second").sound


def test_changed_missing_added(run):
    (run.out / "second" / "copy.txt").write_text("hix0hix0upnulk")
    assert codes(run.out) == ["P-RECIPE-015"]
    (run.out / "second" / "copy.txt").unlink()
    assert codes(run.out) == ["P-RECIPE-016"]
    (run.out / "second" / "new.txt").write_text("")
    assert codes(run.out) == ["P-RECIPE-016", "P-RECIPE-017"]


def test_broken_and_missing_manifests(run):
    (run.out / "first" / "manifest.json").write_text('{"outputs": ')
    assert codes(run.out) == ["P-RECIPE-018"]
    (run.out / "first" / "manifest.json").unlink()
    assert codes(run.out) == ["P-RECIPE-016"]


def test_inputs(run, tmp_path):
    (tmp_path / "in.txt").write_text("new")
    assert codes(run.out) == ["P-RECIPE-019"]
    (tmp_path / "in.txt").unlink()
    verdict = verify(run.out)
    assert verdict.sound and verdict.gone == [tmp_path / "in.txt"]


def test_a_changed_step_is_also_a_changed_input(run):
    (run.out / "first" / "deep" / "made.txt").write_text("other")
    assert codes(run.out) == ["P-RECIPE-015", "P-RECIPE-019"]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"steps": 1}', '{"steps": {"a": {}}}'])
def test_not_a_run(tmp_path, text):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(PenjingError, match="P-RECIPE-014"):
        verify(tmp_path)


def test_a_whole_step_folder_gone(run):
    said = json.loads((run.out / "run.json").read_text())
    said["steps"]["first"]["folder"] = "first-0000000000"
    (run.out / "run.json").write_text(json.dumps(said))
    assert "P-RECIPE-016" in codes(run.out)


def test_a_changed_manifest_is_seen_also_after_another_run(run, tmp_path):
    path = run.out / "first" / "manifest.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"result": {"accuracy": 1.0}}))
    assert codes(run.out) == ["P-RECIPE-015"]
    run_recipe(tmp_path / "recipe.yaml", tmp_path / "out", stages=TOYS)
    assert codes(run.out) == ["P-RECIPE-015"]


@pytest.mark.parametrize(
    "wrong", [{"outputs": [1]}, {"outputs": [{"path": 1}]}, {"inputs": None}, {"inputs": [{"sha256": "x"}]}]
)
def test_a_manifest_of_another_shape_is_broken(run, wrong):
    path = run.out / "first" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | wrong))
    assert codes(run.out) == ["P-RECIPE-018"]


@pytest.mark.parametrize("target", [".", "nowhere"])
def test_an_added_link_is_seen(run, tmp_path, target):
    (run.out / "second" / "link").symlink_to(tmp_path / target)
    assert codes(run.out) == ["P-RECIPE-017"]
