"""Each bad input gives one clear coded message in both languages, the right exit code, and leaves nothing half-written."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bad_inputs import CASES, finished_run, perform, prepare

from penjing.model.tensors import write_file
from penjing.train.resume import State, load_state, save_state

ROOT = Path(__file__).parents[2]
CHINESE = re.compile(r"[\u4e00-\u9fff]")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A whole run of the toy recipe."""
    return finished_run(tmp_path_factory.mktemp("good"))


@pytest.mark.parametrize("one", CASES, ids=[one.name for one in CASES])
def test_bad_input(one, finished, tmp_path):
    for language in ("en", "zh"):
        place = tmp_path / language
        place.mkdir()
        outcome = perform(one, place, language, finished)
        assert outcome.exit == one.exit, outcome
        assert "Traceback" not in outcome.error
        assert all(word in outcome.message for word in one.says), outcome.message
        if one.code:
            assert outcome.codes and outcome.codes[0].startswith(one.code), outcome.message
            assert len(outcome.codes) == 1 or one.exit == 1, outcome.message
            assert bool(CHINESE.search(outcome.message.replace("真不错", ""))) == (language == "zh"), outcome.message
        if one.exit != 130:  # a run that was stopped keeps what it goes on from
            assert not outcome.left, outcome


def test_a_text_longer_than_the_window_is_said(finished, tmp_path):
    long = next(one for one in CASES if one.name == "a text longer than the window")
    outcome = perform(long, tmp_path, "en", finished)
    assert "longer than" in outcome.error and "windows" in outcome.error


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("words", [["run", "nothing.yaml"], ["clean", "--out", "o", "--train", "empty.csv"]])
def test_as_a_process(words, language, tmp_path):
    prepare(tmp_path)
    (tmp_path / "empty.csv").touch()
    done = process(words, tmp_path, language).communicate(timeout=120)
    assert not done[0] and done[1].count("P-") == 1 and "Traceback" not in done[1]
    assert bool(CHINESE.search(done[1])) == (language == "zh") and not (tmp_path / "o").exists()


def process(words, place, language):
    """The command line in a process of its own."""
    environment = os.environ | {"PENJING_LANG": language, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "penjing", *words], cwd=place, env=environment, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )  # fmt: skip


def test_a_stopped_run_goes_on(tmp_path):
    prepare(tmp_path)
    words = ["run", "recipe.yaml", "--set", "finetune.steps=100000"]
    run = process(words, tmp_path, "en")
    for _ in range(2400):
        if any(log.stat().st_size for log in tmp_path.glob("runs/toy/*.part/log.jsonl")):
            break
        time.sleep(0.05)
    run.send_signal(signal.SIGTERM)
    _, error = run.communicate(timeout=120)
    assert run.returncode == 130 and "P-TRAIN-002" in error and "SIGTERM" in error
    plan = process([*words, "--dry-run"], tmp_path, "en").communicate(timeout=120)[0]
    assert "to continue" in plan


def test_a_state_is_whole_or_not_there(tmp_path):
    import torch

    tensors = {"a": torch.arange(5), "b": torch.ones(2, 3).t(), "c": torch.ones(3, dtype=torch.uint8)}
    save_state(tmp_path, State(step=3), tensors)
    state, found = load_state(tmp_path)
    assert state.step == 3 and all(torch.equal(found[name], tensors[name]) for name in tensors)
    write_file(tmp_path / "empty.safetensors", {})
    assert not list(tmp_path.glob("*.part"))
