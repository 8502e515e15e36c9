"""Running: step folders, what is kept, what is made again, what a failure leaves."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from toy_stages import TOYS, place

from penjing.base.errors import PenjingError
from penjing.base.progress import listen
from penjing.recipe import code
from penjing.recipe import folder as step_folder
from penjing.recipe.lock import locked
from penjing.recipe.runner import run_recipe

HERE = Path(__file__).parent


def go(tmp_path, **named):
    return run_recipe(tmp_path / "recipe.yaml", tmp_path / "out", stages=TOYS, **named)


def leftovers(tmp_path):
    return [p.name for p in (tmp_path / "out").rglob("*.part*")]


def test_a_run_fills_folders(tmp_path):
    place(tmp_path)
    events = []
    with listen(events.append):
        run = go(tmp_path)
    assert run.states == {"first": "made", "second": "made"}
    copied = tmp_path / "out" / "second" / "copy.txt"
    assert copied.read_text() == "hix0hix0upnull"
    assert (tmp_path / "out" / "second").is_symlink() and not leftovers(tmp_path)
    assert [e.done for e in events if e.what == "recipe" and e.kind == "step"] == [1, 2]


def test_the_manifest_says_all(tmp_path):
    place(tmp_path)
    manifest = go(tmp_path).manifests["second"]
    stored = json.loads((tmp_path / "out" / "second" / "manifest.json").read_text())
    assert stored == json.loads(json.dumps(manifest))
    assert stored["options"] == {"data": "$first/deep", "times": 2, "order": "up", "names": None, "loud": False}
    assert stored["result"] == {"times": 2} and stored["outputs"][0]["bytes"] == 14
    assert stored["inputs"][0]["step"] == "first" and len(stored["inputs"][0]["sha256"]) == 64
    assert stored["peak_memory_bytes"] > 1e6 and stored["seconds"] >= 0 and stored["start"] <= stored["end"]
    assert {"python", "torch", "platform", "code", "stage", "hash"} <= set(stored)
    first = json.loads((tmp_path / "out" / "first" / "manifest.json").read_text())
    assert first["seeds"] == {"seed": 0} and first["inputs"][0]["path"] == (tmp_path / "in.txt").as_posix()


def test_unchanged_steps_are_kept(tmp_path):
    place(tmp_path)
    go(tmp_path)
    assert set(go(tmp_path).states.values()) == {"kept"}
    assert go(tmp_path, sets=["second.times=3"]).states == {"first": "kept", "second": "made"}
    assert set(go(tmp_path).states.values()) == {"kept"}, "the former options find their folder again"
    assert go(tmp_path, sets=["first.text=ho"]).states == {"first": "made", "second": "made"}
    (tmp_path / "in.txt").write_text("y")
    assert go(tmp_path).states == {"first": "made", "second": "made"}


def test_moving_everything_keeps_everything(tmp_path):
    (tmp_path / "a").mkdir()
    place(tmp_path / "a")
    go(tmp_path / "a")
    (tmp_path / "a").rename(tmp_path / "b")
    assert set(go(tmp_path / "b").states.values()) == {"kept"}


def test_a_pattern_counts_only_its_files(tmp_path):
    place(tmp_path, "stages:\n  a:\n    do: picky\n")
    go(tmp_path)
    (tmp_path / "other.csv").write_text("no input")
    assert go(tmp_path).states == {"a": "kept"}
    (tmp_path / "other.txt").write_text("an input")
    assert go(tmp_path).states == {"a": "made"}


def test_code_counts(tmp_path, monkeypatch):
    place(tmp_path)
    go(tmp_path)
    monkeypatch.setattr("penjing.__version__", "9.9")
    assert set(go(tmp_path).states.values()) == {"made"}


def test_the_code_that_counts_is_what_imports_reach(tmp_path, monkeypatch):
    """Through folders, inside functions, over several lines; not what is only spoken of."""
    monkeypatch.setattr(code, "ROOT", tmp_path)
    files = {
        "stage.py": "from penjing.a.x import (\n    one,\n)\n",
        "a/x.py": "def f():\n    import penjing.b.y as y\n    return 'penjing.e.z'\n",
        "b/y.py": "from \\\n    penjing import (\n    c)\nfrom penjing.a.x import f\n",
        "c/z.py": '"""Of penjing.d there is only talk."""\nimport penjing\nimport e\n',
        "d/x.py": "",
        "e/z.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert code.reached(tmp_path / "stage.py") == ["a", "b", "c"]


def test_a_step_made_again_with_other_bytes_is_followed(tmp_path):
    place(tmp_path)
    run = go(tmp_path)
    first = run.folders["first"]
    manifest = json.loads((first / "manifest.json").read_text())
    (first / "deep" / "made.txt").write_text("other")
    manifest["outputs"] = step_folder.describe_outputs(first)
    (first / "manifest.json").write_text(json.dumps(manifest))
    assert go(tmp_path).states == {"first": "kept", "second": "made"}


def test_a_tampered_step_is_not_kept(tmp_path):
    place(tmp_path)
    go(tmp_path)
    (tmp_path / "out" / "first" / "deep" / "made.txt").write_text("tampered")
    with pytest.raises(PenjingError, match=r"P-RECIPE-012.*deep/made.txt \(changed\)"):
        go(tmp_path)


def test_only(tmp_path):
    place(tmp_path)
    go(tmp_path, only="first")
    run = go(tmp_path, only="second", sets=["second.times=7"])
    assert run.states == {"first": "kept", "second": "made"}
    with pytest.raises(PenjingError, match="P-RECIPE-011"):
        go(tmp_path, only="second", sets=["first.text=new"])
    assert go(tmp_path, only="first", sets=["second.times=8"]).states["second"] == "left out"


def test_lists_of_references_and_plain_dollars(tmp_path):
    place(
        tmp_path,
        "stages:\n  a:\n    do: make\n    source: in.txt\n    text: $$5\n  b:\n    do: copy\n    data: [$a, in.txt]\n",
    )
    go(tmp_path)
    assert (tmp_path / "out" / "b" / "copy.txt").read_text() == "$5x0xupnull"


def test_a_missing_place_inside_a_step(tmp_path):
    place(tmp_path, "stages:\n  a:\n    do: make\n    source: in.txt\n  b:\n    do: copy\n    data: $a/depe\n")
    with pytest.raises(PenjingError, match="P-RECIPE-010") as caught:
        go(tmp_path)
    assert caught.value.nearest == "deep" and not leftovers(tmp_path)


@pytest.mark.parametrize(
    "how, kind, code",
    [("full", PenjingError, "P-FILE-002"), ("forbidden", PenjingError, "P-FILE-003"), ("gone", OSError, "half|No such"),
     ("stop", KeyboardInterrupt, "half"), ("fault", ZeroDivisionError, "half")],
)  # fmt: skip
def test_a_failure_leaves_nothing_half(tmp_path, how, kind, code):
    place(tmp_path, f"stages:\n  a:\n    do: make\n    source: in.txt\n  b:\n    do: fail\n    how: {how}\n")
    with pytest.raises(kind, match=code):
        go(tmp_path)
    assert not leftovers(tmp_path) and not list((tmp_path / "out").glob("b*"))
    assert list(json.loads((tmp_path / "out" / "run.json").read_text())["steps"]) == ["a"]


def test_an_error_of_the_data_passes_through(tmp_path):
    place(tmp_path, "stages:\n  a:\n    do: broken\n")
    with pytest.raises(PenjingError, match="P-FILE-004"):
        go(tmp_path)


def test_a_full_disk_at_the_rename(tmp_path, monkeypatch):
    place(tmp_path)
    real = os.replace

    def full(source, target):
        if str(source).endswith(".part") and Path(source).is_dir():
            raise OSError(errno.ENOSPC, "full")
        real(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(PenjingError, match="P-FILE-002"):
        go(tmp_path)
    assert not leftovers(tmp_path)


def test_an_out_that_cannot_be_written(tmp_path):
    place(tmp_path)
    with pytest.raises(PenjingError, match="P-FILE-005"):
        run_recipe(tmp_path / "recipe.yaml", tmp_path / "in.txt" / "out", stages=TOYS)


def test_two_runs_do_not_collide(tmp_path):
    place(tmp_path)
    with (
        locked(tmp_path / "out" / ".lock", tmp_path / "out"),
        pytest.raises(PenjingError, match=f"{os.getpid()}") as caught,
    ):
        go(tmp_path)
    assert caught.value.code == "P-RECIPE-009"
    go(tmp_path)


def test_without_symbolic_links(tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "symlink", refuse)
    place(tmp_path)
    run = go(tmp_path)
    assert (tmp_path / "out" / "first").read_text() == run.folders["first"].name
    assert step_folder.followed(tmp_path / "out" / "first" / "deep") == run.folders["first"] / "deep"


SCRIPT = """
import sys; sys.path[:0] = [{here!r}]
from toy_stages import TOYS
from penjing.recipe.runner import run_recipe
print(run_recipe({recipe!r}, {out!r}, stages=TOYS).manifests["a"]["result"]["began"])
"""


def test_killed_and_run_again(tmp_path):
    kill = tmp_path / "kill"
    recipe = place(tmp_path, f"stages:\n  a:\n    do: grow\n    kill: {kill}\n")
    script = SCRIPT.format(here=str(HERE), recipe=str(recipe), out=str(tmp_path / "out"))
    kill.write_text("2")
    code = [sys.executable, "-c", script]
    environment = os.environ | {"PYTHONPATH": str(HERE.parents[1])}
    assert subprocess.run(code, env=environment, check=False).returncode == -9
    assert leftovers(tmp_path) and not (tmp_path / "out" / "a").exists()
    again = subprocess.run(code, env=environment, check=True, capture_output=True, text=True)
    assert again.stdout.strip() == "2", "it went on where it was killed"
    folder = tmp_path / "out" / "a"
    assert (folder / "lines.txt").read_text() == "0\n1\n2\n3\n"
    assert not (folder / "resume.json").exists() and not leftovers(tmp_path)


def test_what_a_kill_left_without_resume_is_removed(tmp_path):
    place(tmp_path)
    part = go(tmp_path, only="first").folders["second"].with_suffix(".part")
    part.mkdir()
    (part / "old.txt").write_text("half")
    go(tmp_path)
    assert [p.name for p in (tmp_path / "out" / "second").iterdir() if p.suffix == ".txt"] == ["copy.txt"]
