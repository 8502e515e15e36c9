"""What an epoch of training the top of a frozen encoder costs, with the states under it kept and without.

python benchmarks/frozen_bottom.py [--layers 12] [--threads 2]: a BERT of MiniLM's width (384, 12 heads), random weights,
texts of mixed length, the last two blocks and the head trained. Prints the seconds of each epoch and the losses of both.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch


def model_of(layers: int):
    from penjing.changes import changes_of
    from penjing.model.size import fresh_config
    from penjing.tasks import task_named
    from penjing.tasks.model import Model
    from penjing.text.tokenizer import Tokenizer
    from penjing.text.tokenizer_training import train_tokenizer

    texts = [" ".join(f"w{i * 7 % 977} w{i % 31}" for i in range(start, start + 40)) for start in range(200)]
    tokenizer: Tokenizer = train_tokenizer(texts, kind="wordpiece", size=1200)
    config = fresh_config(
        "bert", vocab_size=tokenizer.size, width=384, layers=layers, heads=12, mlp_width=1536, max_tokens=256,
        purpose="classify", pad=tokenizer.pad,
    )  # fmt: skip
    model = Model.new(config, "bert", task_named("classify", labels=["a", "b"]), tokenizer, 0)
    return model.adapt(changes_of({"freeze": {"top": 2}}), 0)


def pieces_of(model, count: int):
    from penjing.tasks.pieces import InMemory, Pieces

    random = np.random.default_rng(0)
    lengths = np.clip(random.lognormal(3.8, 0.7, count), 5, 250).astype(int)
    rows = [random.integers(10, model.tokenizer.size, n) for n in lengths]
    return Pieces(InMemory(rows), model.tokenizer, 256, targets=random.integers(0, 2, count))


def epochs(layers: int, count: int, kept: str | None, times: int) -> tuple[list[float], list[float], float]:
    """Seconds of each epoch, losses of all steps, seconds before the first step."""
    from penjing.tasks.batches import Batches
    from penjing.train.kept import keep_states
    from penjing.train.loop import LoopOptions, train
    from penjing.train.optimizers import Optimizers

    model = model_of(layers)
    pieces = pieces_of(model, count)
    batches = Batches(pieces.lengths, 2048, 0)
    optimizers = Optimizers(model, name="adamw", learning_rate=1e-4, weight_decay=0.01)
    steps = len(batches.epoch(0))
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        if kept:
            model.kept = keep_states(model, pieces, Path(folder) / "states.bin", kept, 2048, "benchmark")
        before, seconds, losses = time.perf_counter() - began, [], []
        from penjing.tasks.batches import Position

        def stream():
            for after, rows in batches.from_position(Position()):
                yield after, model.task.collate(pieces, rows, model.tokenizer, np.random.default_rng(0))

        last = time.perf_counter()
        for step in train(model, stream(), optimizers, LoopOptions(steps * times)):
            losses.append(step.loss)
            if step.position.batch == 0:
                seconds.append(time.perf_counter() - last)
                last = time.perf_counter()
    return seconds, losses, before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--texts", type=int, default=400)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    found = {}
    for kept in (None, "float32", "float16"):
        seconds, losses, before = epochs(options.layers, options.texts, kept, options.epochs)
        found[kept or "no"] = {"epochs": seconds, "before": before, "losses": losses}
        print(f"kept: {kept or 'no':8} before {before:6.1f} s, epochs " + ", ".join(f"{s:.2f} s" for s in seconds))
    plain = found["no"]
    for kept in ("float32", "float16"):
        ratio = found[kept]["epochs"][-1] / plain["epochs"][-1]
        apart = max(abs(a - b) for a, b in zip(found[kept]["losses"], plain["losses"], strict=True))
        print(f"{kept}: the last epoch costs {ratio:.2f} of the uncached one; losses differ by at most {apart:.1e}")
    print(json.dumps({name: {k: v for k, v in one.items() if k != "losses"} for name, one in found.items()}))


if __name__ == "__main__":
    main()
