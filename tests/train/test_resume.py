"""Stopped, killed, poisoned: a run that goes on ends in the same bits, with the same log."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from runs import OPTIONS, TASKS, CutError, halves, run, steps_in
from toys import same_weights, toy_model

from penjing.base.errors import TrainError
from penjing.train import resume as resuming
from penjing.train.prove import prove_resume
from penjing.train.resume import INDEX, drop_state, load_state
from penjing.train.stopping import StoppedError

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("name", "family"), TASKS)
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_killed_at_a_random_step_and_resumed(name, family, optimizer, tmp_path):
    options = {"optimizer": optimizer, "accumulate": 2}
    whole, _ = run(tmp_path / "whole", name, family, **options)
    chance = random.Random(f"{name}{optimizer}")
    first = chance.randint(2, 4)
    for cut in (first, chance.randint(first + 1, 7)):
        with pytest.raises(CutError):
            run(tmp_path / "cut", name, family, cut=cut, **options)
        assert load_state(tmp_path / "cut")[0].step == cut - 1
    again, outcome = run(tmp_path / "cut", name, family, **options)
    assert same_weights(whole, again) and outcome["steps"] == 8
    assert steps_in(tmp_path / "cut") == steps_in(tmp_path / "whole") == (list(range(1, 9)), [4, 8])
    lines = [
        [(line.get("loss"), line.get("valid_loss"), line.get("gradient_norm")) for line in map(json.loads, text)]
        for text in ((tmp_path / place / "log.jsonl").read_text("utf-8").splitlines() for place in ("whole", "cut"))
    ]
    assert lines[0] == lines[1]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_save_and_exit(number, tmp_path):
    whole, _ = run(tmp_path / "whole", save_seconds=9e9)

    def stop(event):
        if event.kind == "step" and event.done == 3:
            os.kill(os.getpid(), number)

    before = signal.getsignal(number)
    with pytest.raises(StoppedError, match="P-TRAIN-002") as caught:
        run(tmp_path / "cut", watch=stop, save_seconds=9e9)
    assert caught.value.exit_code == 130 and signal.getsignal(number) == before
    assert load_state(tmp_path / "cut")[0].step == 3
    again, _ = run(tmp_path / "cut", save_seconds=9e9)
    assert same_weights(whole, again) and steps_in(tmp_path / "cut")[0] == list(range(1, 9))


def test_a_second_signal_ends_at_once(tmp_path):
    def stop(event):
        if event.kind == "step" and event.done == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, watch=stop)


@pytest.mark.parametrize("changes", [None, "lora"])
def test_kill_9(changes, tmp_path):
    whole, _ = run(tmp_path / "whole", changes=changes)
    program = (
        "import os, signal, sys; from pathlib import Path; import torch; torch.set_num_threads(1); from runs import run\n"
        "def kill(event):\n"
        "    if event.kind == 'step' and event.done == 5: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"run(Path(sys.argv[1]), watch=kill, changes={changes!r})"
    )
    paths = [str(ROOT), str(ROOT / "tests" / "train"), str(ROOT / "tests" / "tasks")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "cut")], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL and load_state(tmp_path / "cut")[0].step == 4
    again, _ = run(tmp_path / "cut", changes=changes)
    assert same_weights(whole, again) and steps_in(tmp_path / "cut")[0] == list(range(1, 9))


def test_killed_between_the_state_and_its_index(tmp_path, monkeypatch):
    whole, _ = run(tmp_path / "whole")
    calls = []

    def write(path, value):
        calls.append(path)
        if len(calls) == 4:
            raise CutError
        return plain(path, value)

    plain = sys.modules["penjing.train.resume"].write_json
    with monkeypatch.context() as patch:
        patch.setattr("penjing.train.resume.write_json", write)
        with pytest.raises(CutError):
            run(tmp_path / "cut")
    assert len(list((tmp_path / "cut").glob("state-*.safetensors"))) == 2
    assert load_state(tmp_path / "cut")[0].step == 3
    again, _ = run(tmp_path / "cut")
    assert same_weights(whole, again)
    drop_state(tmp_path / "cut")
    assert not list((tmp_path / "cut").glob("state-*")) and not (tmp_path / "cut" / INDEX).exists()


def test_a_poisoned_batch_leaves_the_last_state(tmp_path, monkeypatch):
    whole, _ = run(tmp_path / "whole", validate_times=0)
    task = type(toy_model("classify").task)
    plain, calls = task.loss, []

    def loss(task, model, batch):
        calls.append(1)
        return plain(task, model, batch) * (torch.nan if len(calls) == 5 else 1.0)  # the first call counts memory

    with monkeypatch.context() as patch:
        patch.setattr(task, "loss", loss)
        with pytest.raises(TrainError, match="P-TRAIN-001"):
            run(tmp_path / "cut", validate_times=0)
    assert load_state(tmp_path / "cut")[0].step == 3
    again, _ = run(tmp_path / "cut", validate_times=0)
    assert same_weights(whole, again)


def proven(folder, steps=6, **options):
    from dataclasses import replace

    model = toy_model("classify", dropout=0.1)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    training, validation = halves(model)
    chosen = replace(OPTIONS, steps=steps, **options)
    proof = prove_resume(model, training, validation, chosen, folder, what="toy")
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    return proof


@pytest.mark.parametrize("steps", [1, 2, 6])
def test_the_resume_certificate(steps, tmp_path):
    proof = proven(tmp_path, steps, patience=1, validate_times=4)
    assert proof["identical"] and proof["resumed_from"] <= proof["stopped_after"] <= steps == proof["steps"]
    assert json.loads((tmp_path / "resume_certificate.json").read_text("utf-8"))["whole"] == proof["resumed"]


def test_a_resume_that_changes_bits_is_told(tmp_path, monkeypatch):
    def careless(folder):
        found = load_state(folder)
        if found:
            found[1]["model/head.output.weight"] += 1e-3
        return found

    monkeypatch.setattr(resuming, "load_state", careless)
    with pytest.raises(TrainError, match="P-TRAIN-006"):
        proven(tmp_path)
    assert not json.loads((tmp_path / "resume_certificate.json").read_text("utf-8"))["identical"]


def test_a_proof_is_about_the_arithmetic_of_the_run(tmp_path):
    proven(tmp_path, dtype="bfloat16")
    assert json.loads((tmp_path / "plan.json").read_text("utf-8"))["choice"]["dtype"] == "bfloat16"
