"""Done when: a training command killed at any moment and run again ends in the same bits as one that never stopped.

    python benchmarks/resume_kills.py [--kills 20] [--steps 150] [--tasks masked causal classify preference ...] [--seed 0]

For each task the command line trains a toy model on examples/support, once whole and then again and again: each run is
killed with SIGKILL at a random moment of the whole run's duration (start-up, training, saving, the end), and the same
command is run until it ends. The weights (SHA-256 of model.safetensors), the steps in log.jsonl and, of `reinforce`, the
bytes of rollouts.jsonl are compared with those of the whole run. Exits with 1 if any differ.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SUPPORT = ROOT / "examples" / "support"
TASKS = ("masked", "causal", "classify", "preference", "kto", "reward", "distil", "distil_chat", "reinforce")
WRITES = ("preference", "kto", "reward", "distil_chat", "reinforce")  # these begin from a network that writes
READS = {"preference": "pairs", "reward": "pairs", "kto": "judged", "distil_chat": "talks", "reinforce": "asked"}
SHARED = ["--save-seconds", "0", "--batch-tokens", "512", "--validate-times", "3"]
PLAIN = ["--measure-seconds", "0", "--threads", "1", "--dtype", "float32"]
FRESH = [*PLAIN, "--layers", "1", "--width", "32", "--max-tokens", "64"]


@dataclass
class Ended:
    """What a run left: its weights' hash and the steps of its log."""

    weights: str
    steps: list[tuple[int, bool]]  # (step, whether it is a validation)
    beside: str  # the hash of what else was made: rollouts, a teacher's answers


def command(task: str, place: Path, out: Path, steps: int) -> list[str]:
    """The command line of one task."""
    writer = ["--model", str(place / "writer")]
    tuned = ["finetune", *writer, *PLAIN, "--no-baselines", "--dropout", "0.1", "--learning-rate", "0.001"]
    own = {
        "masked": ["pretrain", "--task", "masked", "--family", "modernbert", "--optimizer", "muon", *FRESH,
                   "--tokenizer", str(place / "wordpiece")],
        "causal": ["pretrain", "--task", "causal", "--family", "llama", "--dropout", "0.1", *FRESH,
                   "--tokenizer", str(place / "bpe")],
        "classify": ["finetune", "--family", "bert", "--dropout", "0.1", "--no-baselines", *FRESH,
                     "--tokenizer", str(place / "wordpiece")],
        "preference": [*tuned, "--task", "preference", "--change", "lora"],
        "kto": [*tuned, "--task", "preference", "--task", "method=kto"],
        "reward": [*tuned, "--task", "reward"],
        "distil": ["finetune", "--family", "bert", "--dropout", "0.1", "--no-baselines", *PLAIN, "--layers", "1", "--width", "16",
                   "--max-tokens", "64", "--tokenizer", str(place / "wordpiece"), "--task", "distil", "--task", "task=classify",
                   "--task", f"teacher={place / 'teacher'}", "--task", "hidden={}"],
        "distil_chat": [*tuned, "--task", "distil", "--task", "task=chat", "--task", f"teacher={place / 'talker'}",
                        "--task", "targets=teacher", "--task", "on_policy=0.3"],
        "reinforce": ["reinforce", *writer, "--method", "grpo", "--method", "kl=0.05", "--reward", "regex",
                      "--reward", "pattern=[aeiou]{2}", "--prompts", "4", "--group", "4", "--max-new-tokens", "8",
                      "--learning-rate", "0.001"],
    }[task]  # fmt: skip
    paths = [
        "--data",
        str(place / READS.get(task, "data")),
        "--out",
        str(out),
        "--steps",
        str(steps),
    ]
    return [sys.executable, "-m", "penjing", *own, *paths, *SHARED]


def prepare(place: Path, tasks: list[str]) -> None:
    """In `place` a small clean step (every eighth record), two tokenizers, and what `reinforce` begins with."""
    for folder in ("data", *set(READS.values())):
        (place / folder).mkdir()
    for name in ("train", "valid"):
        lines = (SUPPORT / f"{name}.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[::8]
        (place / "data" / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
        for folder in set(READS.values()):
            told = "".join(
                json.dumps(record_of(folder, json.loads(line), n)) + "\n" for n, line in enumerate(lines[:40])
            )
            (place / folder / f"{name}.jsonl").write_text(told, encoding="utf-8")
    for kind in ("wordpiece", "bpe"):
        words = [
            "tokenizer",
            "--kind",
            kind,
            "--size",
            "800",
            "--data",
            str(place / "data"),
            "--out",
            str(place / kind),
        ]
        to_the_end([sys.executable, "-m", "penjing", *words], place)
    if set(WRITES) & set(tasks):
        to_the_end(command("causal", place, place / "writer", 30), place)
    if "distil" in tasks:
        to_the_end(command("classify", place, place / "teacher", 30), place)
    if "distil_chat" in tasks:
        words = ["finetune", "--model", str(place / "writer"), "--task", "chat", "--no-baselines", *PLAIN, *SHARED]
        words += ["--steps", "30", "--data", str(place / "talks"), "--out", str(place / "talker")]
        to_the_end([sys.executable, "-m", "penjing", *words], place)


def record_of(folder: str, support: dict, number: int) -> dict:
    """A request to the shop as a record that prefers, judges, answers or asks."""
    asked, good = support["text"][:12], support["label"].replace("_", " ")
    return {
        "asked": {"prompt": asked},
        "talks": {"prompt": asked, "completion": good},
        "pairs": {"prompt": asked, "chosen": good, "rejected": good[::-1]},
        "judged": {"prompt": asked, "completion": good if number % 2 else good[::-1], "label": bool(number % 2)},
    }[folder]


def start(words: list[str], place: Path) -> subprocess.Popen:
    """The command in a process of its own; what it says goes into a file."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PENJING_LANG": "en"}
    with open(place / "said.txt", "wb") as said:
        return subprocess.Popen(words, env=environment, cwd=place, stdout=said, stderr=said)


def to_the_end(words: list[str], place: Path) -> float:
    """Run the command until it ends well; returns the seconds."""
    began = time.perf_counter()
    if start(words, place).wait() != 0:
        raise SystemExit((place / "said.txt").read_text(encoding="utf-8", errors="replace")[-3000:])
    return time.perf_counter() - began


def ended(out: Path) -> Ended:
    """Read what a run left."""
    lines = [json.loads(line) for line in (out / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    weights, beside = (
        hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        for files in (sorted((out / "model").glob("*.safetensors")),
                      [one for one in (out / "rollouts.jsonl", out / "train.teacher.jsonl") if one.exists()])
    )  # fmt: skip
    return Ended(weights, [(line["step"], "valid_loss" in line or "valid_score" in line) for line in lines], beside)


def killed(words: list[str], place: Path, out: Path, moment: float) -> str | None:
    """Kill the command after `moment` seconds; returns how far it had come, or None if it had ended before."""
    process = start(words, place)
    try:
        process.wait(moment)
        return None
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
    if out.exists():
        return "all done, exiting"
    for part in place.glob(f"{out.name}*.part"):
        index = part / "resume.json"
        if index.exists():
            return f"state of step {json.loads(index.read_text(encoding='utf-8'))['state']['step']}"
        return "before the first state"
    return "before any file"


def one_task(task: str, place: Path, options: argparse.Namespace, chance: random.Random) -> int:
    """All runs of one task; returns how many differ."""
    out = place / task
    words = command(task, place, out, options.steps)
    seconds = to_the_end(words, place)
    whole = ended(out)
    print(f"{task}: the whole run takes {seconds:.1f} s, weights {whole.weights[:16]}", flush=True)
    wrong = number = 0
    while number < options.kills:
        shutil.rmtree(out, ignore_errors=True)
        moment = chance.uniform(0, seconds)
        reached = killed(words, place, out, moment)
        if reached is None:
            continue
        number += 1
        again = to_the_end(words, place)
        found = ended(out)
        same = found == whole
        wrong += not same
        print(f"  {number:3d}  killed at {moment:5.2f} s  {reached:24s}  resumed in {again:5.1f} s  "
              f"{'same bits' if same else 'DIFFERENT'}", flush=True)  # fmt: skip
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=20, help="killed runs of each task")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--tasks", nargs="+", default=TASKS, choices=TASKS)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    chance, wrong = random.Random(options.seed), {}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        prepare(place, options.tasks)
        for task in options.tasks:
            wrong[task] = one_task(task, place, options, chance)
    print("\ntask       killed  different")
    for task, count in wrong.items():
        print(f"{task:9s}  {options.kills:6d}  {count:9d}")
    return 1 if any(wrong.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
