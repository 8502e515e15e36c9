"""What pruning a classifier costs, before and after healing, and how much faster what is left is.

python benchmarks/pruning.py --model STEP --data STEP [--epochs 5] [--rate 2e-4] [--rows 512] [--threads 2]: STEP is a
finetune step (or model folder) of a Transformer, and the clean step that it was taught by. For each way: numbers, bytes
and accuracy after `shrink` and after healing, which is distillation from the whole model as in `compress`, with intervals,
and documents a second in batches of 32 of like lengths, whole and small in turn, the best of five rounds. The last lines
are the table as JSON.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

WAYS = {
    "heads + neurons, half of each": ["heads", "neurons"],
    "heads + neurons, half of all": [{"heads": {"across": "network"}}, {"neurons": {"across": "network"}}],
    "blocks, a third": "layers",  # as many as a third of the model's
    "low rank, half of the numbers": "lowrank",
    "single weights, half": "magnitude",
}
ROUNDS, ROWS = 5, 32


def batches_of(model, texts):
    """Batches of like lengths."""
    from penjing.tasks.batches import Batches

    pieces = model.pieces(texts)
    plan = Batches(pieces.lengths, 10**9, 0, shuffle=False, largest=ROWS).epoch(0)
    return [model.task.collate(pieces, rows, model.tokenizer, None) for rows in plan]


@torch.inference_mode()
def seconds(model, batches) -> float:
    """One round over all batches."""
    began = time.perf_counter()
    for batch in batches:
        model.task.class_scores(model, batch)
    return time.perf_counter() - began


def speeds(whole, small, texts) -> tuple[float, float]:
    """Documents a second of both, in turn."""
    pairs = [(model.eval(), batches_of(model, texts)) for model in (whole, small)]
    for model, batches in pairs:
        seconds(model, batches[:4])
    spent = np.array([[seconds(*pair) for pair in pairs] for _ in range(ROUNDS)])
    return tuple(len(texts) / spent.min(0))


def said(change, blocks: int):
    return {"layers": {"number": max(1, round(blocks / 3))}} if change == "layers" else change


def measured(way: str, change, given: argparse.Namespace, folder: Path) -> dict:
    """One way: shrunk, timed, healed."""
    from penjing.evaluate.folding import metrics
    from penjing.recipe.compressing.healing import Healing
    from penjing.recipe.learning import folder_of
    from penjing.recipe.stages.shrink import shrink
    from penjing.tasks.model import Model
    from penjing.train.fit import FitOptions
    from penjing.train.prepare import records_of

    whole = Model.load(folder_of(given.model))
    stack = whole.network.encoder or whole.network.decoder
    (folder / "small").mkdir(parents=True)
    found = shrink(folder / "small", model=given.model, change=said(change, len(stack.blocks)), data=given.data)
    records = records_of(given.data, "test")
    texts = [record["text"] for record in records[: given.rows]]
    small = Model.load(folder / "small" / "model")
    before, after = speeds(whole, small, texts)
    options = FitOptions(
        epochs=given.epochs, learning_rate=given.rate, schedule="linear", warmup=0.1, batch_tokens=2048
    )
    healing = Healing(folder_of(given.model), whole.task, records_of(given.data, "train"), folder, options)
    healed = healing(small, folder / "healing")
    scores = {
        "whole": found["before"],
        "pruned": found["after"],
        "healed": metrics(healed, healed.answer(records), records),
    }
    accuracy = {name: one["accuracy"] for name, one in scores.items()}
    return {
        "way": way, "parameters": found["parameters"] / found["parameters_before"], "bytes": found["share"],
        "documents_per_second": [round(before), round(after)], "faster": after / before, "accuracy": accuracy,
    }  # fmt: skip


def line(found: dict) -> str:
    """A row of the table."""
    scores = [
        f"{100 * one['value']:.2f} [{100 * one['low']:.2f}, {100 * one['high']:.2f}]"
        for one in found["accuracy"].values()
    ]
    cells = [found["way"], f"{found['parameters']:.2f}", f"{found['bytes']:.2f}", f"{found['faster']:.2f} x", *scores]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--epochs", type=float, default=5)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--rows", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    print("| way | parameters | bytes | speed | whole | pruned | healed |\n|---|---|---|---|---|---|---|")
    every = []
    with tempfile.TemporaryDirectory() as folder:
        for number, (way, change) in enumerate(WAYS.items()):
            every.append(measured(way, change, given, Path(folder) / str(number)))
            print(line(every[-1]), flush=True)
    print(json.dumps(every))


if __name__ == "__main__":
    main()
