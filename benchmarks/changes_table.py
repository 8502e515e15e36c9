"""Every way to train part of an encoder, in one table: trained parameters, time, memory, accuracy over seeds.

    python benchmarks/changes_table.py --data DIR --model FOLDER [--search] [--json FILE]

DIR holds train.*, valid.* and test.* with text and label (the Stanford sentiment treebank, say), FOLDER an encoder
(all-MiniLM-L6-v2, say). All ways see the same records as often, in the same order for the same seed, in float32; each run
is a process of its own, so that its peak memory is its own (beside it, in brackets, what comes on top of torch and the
weights). `--search` first tries RATES times each way's own rate on valid, with a seed of its own and a third of the
epochs; otherwise the rates below are taken. Intervals: Student's over the seeds; the test records are the same. At the end the
table is printed for docs/results.md, and the lines for TRIALS in penjing/recipe/advice_evidence.py, by which advice is given.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from scipy.stats import t as student

WAYS: dict[str, tuple[object, float]] = {  # what is changed, and the learning rate
    "full": (None, 1e-4),
    "freeze, top 2 blocks": ({"freeze": {"top": 2}}, 3e-4),
    "head alone": ({"freeze": {"top": 0}}, 3e-3),
    "lora": ({"lora": {"rank": 8}}, 1e-3),
    "adapter": ({"adapter": {"kind": "houlsby"}}, 1e-3),
    "prefix": ({"prefix": {"length": 16}}, 1e-2),
    "prompt": ({"prompt": {"length": 16}}, 1e-2),
    "ia3": ("ia3", 1e-2),
    "bitfit": ("bitfit", 3e-3),
}
RATES = (1 / 3, 1.0, 3.0)
SEARCHING = 1000  # the search's seed


def write_part(source: Path, folder: Path, part: str, count: int | None) -> None:
    """The first records of a split."""
    from penjing.train.prepare import records_of

    chosen = islice(records_of(source, part), count)
    lines = [json.dumps({"text": record["text"], "label": str(record["label"])}) for record in chosen]
    (folder / f"{part}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def one(options: argparse.Namespace) -> dict:
    """One run: what it trained, its time, its memory, its accuracy on a split."""
    from penjing import finetune
    from penjing.model.checkpoint import read_checkpoint
    from penjing.tasks.model import Model
    from penjing.train.prepare import records_of

    change = WAYS[options.one][0]
    read_checkpoint(options.model)  # what any way needs: torch, the weights
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with tempfile.TemporaryDirectory() as place:
        began, worked = time.perf_counter(), time.process_time()
        found = finetune(
            Path(place) / "run", data=options.data, model=options.model, change=change, learning_rate=options.rate,
            epochs=options.epochs, batch_tokens=options.batch_tokens, validate_times=1, seed=options.seed, dtype="float32",
            measure_seconds=0.0, threads=options.threads, baselines=False, save_seconds=1e9,
        )  # fmt: skip
        seconds, worked = time.perf_counter() - began, time.process_time() - worked
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        model = Model.load(Path(place) / "run" / "model")
        records = list(records_of(options.data, options.split))
        answers = model.answer(records)
    right = [str(answer["label"]) == str(record["label"]) for answer, record in zip(answers, records, strict=True)]
    return {"accuracy": statistics.mean(right), "seconds": seconds, "processor": worked, "memory": memory / 1024,
            "before": before / 1024, "trained": found.get("trained"), "parameters": found.get("parameters")}  # fmt: skip


def alone(options: argparse.Namespace, way: str, rate: float, seed: int, epochs: float, split: str, data: Path) -> dict:
    """The same as a process."""
    said = {"--data": data, "--model": options.model, "--rate": rate, "--seed": seed, "--epochs": epochs, "--split": split,
            "--batch-tokens": options.batch_tokens, "--threads": options.threads, "--one": way}  # fmt: skip
    command = [sys.executable, __file__, *(str(word) for pair in said.items() for word in pair)]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise SystemExit(made.stderr[-3000:])
    return json.loads(made.stdout.splitlines()[-1])


def best_rate(options: argparse.Namespace, way: str, data: Path) -> float:
    """The best of three rates on valid."""
    usual = WAYS[way][1]
    tried = {usual * factor: alone(options, way, usual * factor, SEARCHING, options.epochs / 3, "valid", data)["accuracy"]
             for factor in RATES}  # fmt: skip
    print(f"{way}: on valid " + ", ".join(f"{rate:.2g}: {score:.4f}" for rate, score in tried.items()), flush=True)
    return max(tried, key=tried.__getitem__)


def row(options: argparse.Namespace, way: str, data: Path) -> dict:
    """One way over all seeds."""
    rate = best_rate(options, way, data) if options.search else WAYS[way][1]
    runs = [alone(options, way, rate, seed, options.epochs, "test", data) for seed in range(options.seeds)]
    scores = [run["accuracy"] for run in runs]
    half = (
        student.ppf(0.975, len(scores) - 1) * statistics.stdev(scores) / len(scores) ** 0.5 if len(scores) > 1 else 0.0
    )
    seconds, worked, memory = (
        statistics.median(run[key] for run in runs) for key in ("seconds", "processor", "memory")
    )
    print(
        f"{way:22} rate {rate:.2g}  trained {runs[0]['trained']:>11,}  {seconds:6.1f} s ({worked:.1f} of a processor)  "
        f"{memory:6.0f} MB "
        f"(+{memory - runs[0]['before']:.0f})  accuracy {statistics.mean(scores):.4f} ± {half:.4f}  "
        f"{' '.join(f'{score:.4f}' for score in scores)}",
        flush=True,
    )
    return {"way": way, "rate": rate, "runs": runs, "accuracy": statistics.mean(scores), "half": half}


def lines(rows: list[dict]) -> list[str]:
    """The rows as a table for docs/results.md, and as `TRIALS` of penjing/recipe/advice_evidence.py holds them."""
    from dataclasses import astuple

    from penjing.recipe.advice_evidence import Trial

    trials = []
    for row in rows:
        seconds, memory = (statistics.median(run[key] for run in row["runs"]) for key in ("seconds", "memory"))
        scores = round(row["accuracy"], 4), round(float(row["half"]), 4)
        trained, rate = row["runs"][0]["trained"], float(f"{row['rate']:.2g}")
        trials.append(Trial(row["way"], trained, round(seconds / 60, 2), round(memory), *scores, rate))
    table = ["| way | trained parameters | time | memory | accuracy |", "|---|---|---|---|---|"]
    table += ["| " + " | ".join(one.cells()) + " |" for one in trials]
    return [*table, "", *(f"    Trial({', '.join(map(repr, astuple(one)))})," for one in trials)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--show", type=Path, help="only print the table of an earlier --json file")
    needed = "--show" not in sys.argv
    parser.add_argument("--data", type=Path, required=needed)
    parser.add_argument("--model", type=Path, required=needed)
    parser.add_argument("--records", type=int, default=2000, help="training records")
    parser.add_argument("--epochs", type=float, default=3.0)
    parser.add_argument("--batch-tokens", type=int, default=1024)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--ways", nargs="*", choices=list(WAYS), default=list(WAYS))
    parser.add_argument("--search", action="store_true", help="choose each way's rate on valid first")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=list(WAYS), help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--split", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.show:
        print("\n".join(lines(json.loads(options.show.read_text(encoding="utf-8")))))
        return
    if options.one:
        print(json.dumps(one(options)))
        return
    with tempfile.TemporaryDirectory() as place:
        for part, count in (("train", options.records), ("valid", None), ("test", None)):
            write_part(options.data, Path(place), part, count)
        rows = [row(options, way, Path(place)) for way in options.ways]
    print("\n".join(["", *lines(rows)]))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
