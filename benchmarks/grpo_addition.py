"""GRPO teaches a tiny network two-digit addition, which it was shown only until it got some sums right.

    python benchmarks/grpo_addition.py [--steps 4000] [--out folder] [--json file] [--threads 2] [--seed 0]

A fresh Llama (2 layers, width 64, a token for each character) is taught sums as text, `47+86=` then `133`, by supervised
learning until it gets 12 to 18 % of held-out sums right (likeliest answer; one that is drawn is right half as often);
then the stage `reinforce` goes on with nothing but the reward `exact`: 1 for the right answer, 0 for any other. Its best
weights are chosen on 500 sums that it does not learn from, and it is measured on 500 others, which neither saw. The
folder of the run grows to some 300 MB: every answer is kept.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import tempfile
import time
from pathlib import Path

import numpy as np
import tokenizers
import torch

import penjing
from penjing.base.progress import listen
from penjing.model.size import fresh_config
from penjing.tasks import task_named
from penjing.tasks.batches import Position
from penjing.tasks.model import Model
from penjing.text.tokenizer import Tokenizer
from penjing.train.loop import LoopOptions, train
from penjing.train.optimizers import Optimizers
from penjing.train.rollouts import Asker, Rollout, answer_batch

SPECIAL = ("<pad>", "<begin>", "<end>")
LEAST, MOST = 0.12, 0.18  # share right where supervised learning ends
GOAL = 0.80
HELD = 500  # sums for choosing weights, and as many for the measurement
EACH = 100  # steps between validations
TOKENS = 4  # of an answer: three digits and the end


def characters() -> Tokenizer:
    """A token for each character."""
    words = {word: number for number, word in enumerate((*SPECIAL, *"0123456789+="))}
    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="<pad>"))
    inner.pre_tokenizer = tokenizers.pre_tokenizers.Split(tokenizers.Regex("."), "isolated")
    inner.decoder = tokenizers.decoders.Fuse()
    inner.add_special_tokens(list(SPECIAL))
    return Tokenizer(inner, {"pad_token": "<pad>", "bos_token": "<begin>", "eos_token": "<end>"})


def sums(seed: int) -> tuple[list[dict[str, str]], list[dict[str, str]], list[dict[str, str]]]:
    """All sums of two numbers of two digits, in three parts: to learn from, to choose by, to measure on."""
    found = [{"prompt": f"{a}+{b}=", "answer": str(a + b)} for a in range(10, 100) for b in range(10, 100)]
    random.Random(seed).shuffle(found)
    return found[2 * HELD :], found[:HELD], found[HELD : 2 * HELD]


def fresh(seed: int) -> Model:
    tokenizer = characters()
    config = fresh_config("llama", vocab_size=len(tokenizer), width=64, layers=2, heads=4, max_tokens=16,
                          purpose="causal", pad=tokenizer.pad)  # fmt: skip
    return Model.new(config, "llama", task_named("causal"), tokenizer, seed)


def share_right(model: Model, records: list[dict[str, str]]) -> float:
    """Share of sums whose likeliest answer is right."""
    asker = Asker(model.eval(), TOKENS)
    answers = asker.answers(asker.prompts(records), 1, 0.0, 0)
    return float(np.mean([one.text == record["answer"] for one, record in zip(answers, records, strict=True)]))


def supervised(model: Model, records: list[dict[str, str]], valid: list[dict[str, str]], seed: int, rate: float) -> int:
    """Teach sums until LEAST to MOST of the others are right; the number of steps."""
    asker, random_ = Asker(model, TOKENS), np.random.Generator(np.random.PCG64(seed))
    prompts, end = asker.prompts(records), model.tokenizer.end
    rows = [Rollout(prompt, [*model.tokenizer.encode(record["answer"]), end], "", "stop")
            for prompt, record in zip(prompts, records, strict=True)]  # fmt: skip

    def batches():
        while True:
            some = random_.integers(0, len(rows), 64)
            yield Position(), answer_batch([rows[row] for row in some], model.tokenizer.pad)

    optimizers = Optimizers(model, name="adamw", learning_rate=rate, weight_decay=0.01)
    options = LoopOptions(100_000, warmup=0.001, schedule="constant", seed=seed)
    taken, weights = 0, model.state_dict()
    for step in train(model, batches(), optimizers, options):
        if step.number % 5:
            continue
        right = share_right(model, valid)
        if right <= MOST:
            taken, weights = step.number, {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if right >= LEAST:
            break
    model.load_state_dict(weights)  # where five steps led past MOST, those before them
    return taken


def interval(right: float, count: int) -> str:
    """Wilson's interval of 95 %."""
    z = 1.96
    middle, wide = right + z * z / (2 * count), z * math.sqrt(right * (1 - right) / count + z * z / (4 * count * count))
    return f"{100 * (middle - wide) / (1 + z * z / count):.1f} to {100 * (middle + wide) / (1 + z * z / count):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--group", type=int, default=16)
    parser.add_argument("--rate", type=float, default=5e-4)
    parser.add_argument("--method", default="grpo")
    parser.add_argument("--kl", type=float, default=0.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder of the run, made anew; left out: a passing one")
    parser.add_argument("--json", type=Path)
    o = parser.parse_args()
    torch.set_num_threads(o.threads)
    folder = o.out or Path(tempfile.mkdtemp())
    learnt, valid, test = sums(o.seed)
    model, began = fresh(o.seed), time.perf_counter()
    steps = supervised(model, learnt, valid, o.seed, 1e-3)
    before, taught = share_right(model, test), time.perf_counter() - began
    print(f"supervised: {steps} steps, {taught:.0f} s, exact on held-out sums {100 * before:.1f} %", flush=True)
    for name, records in (("train", learnt), ("valid", valid)):
        (folder / "data").mkdir(parents=True, exist_ok=True)
        (folder / "data" / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in records), "utf-8")
    model.save(folder / "start")
    curve = taught_by_rewards(folder, o)
    after, seconds = share_right(Model.load(folder / "run" / "model"), test), curve[-1]["seconds"]
    reached = next((one for one in curve if one["right"] >= GOAL), None)
    found = {"parameters": sum(p.numel() for p in model.parameters()), "supervised_steps": steps,
             "supervised_seconds": taught, "before": before, "method": o.method, "steps": o.steps, "seconds": seconds,
             "after": after, "held_out": HELD, "threads": o.threads, "reached": reached, "curve": curve}  # fmt: skip
    print(f"\n| {found['parameters']} parameters | exact on {HELD} held-out sums | 95 % | time |\n|---|---|---|---|")
    print(f"| supervised, {steps} steps | {100 * before:.1f} % | {interval(before, HELD)} | {taught:.0f} s |")
    print(f"| {o.method}, {o.steps} steps | {100 * after:.1f} % | {interval(after, HELD)} | {seconds:.0f} s |")
    if reached:
        print(
            f"\n{GOAL:.0%} of the sums that weights are chosen by: after {reached['step']} steps, {reached['seconds']:.0f} s"
        )
    if o.json:
        o.json.write_text(json.dumps(found, indent=1), "utf-8")


def taught_by_rewards(folder: Path, o: argparse.Namespace) -> list[dict[str, float]]:
    """Run the stage on `folder`; its validations: step, seconds, share right."""
    began, curve, rewards = time.perf_counter(), [], []

    def look(event):
        if event.kind == "step" and "reward" in event.values:
            rewards.append(event.values)
        elif event.kind == "note" and "valid_score" in event.values:
            curve.append(
                {"step": event.done, "seconds": time.perf_counter() - began, "right": event.values["valid_score"]}
            )
            told = {name: np.mean([one[name] for one in rewards[-EACH:]]) for name in ("reward", "silent") if rewards}
            print(f"step {event.done:5.0f}  {curve[-1]['seconds']:6.0f} s  right {curve[-1]['right']:.3f}  "
                  + "  ".join(f"{name} {value:.3f}" for name, value in told.items()), flush=True)  # fmt: skip

    with listen(look):
        penjing.reinforce(
            folder / "run", data=folder / "data", model=folder / "start", reward="exact",
            method={o.method: {"kl": o.kl}}, steps=o.steps, prompts=o.prompts, group=o.group, max_new_tokens=TOKENS,
            batch_tokens=16384, learning_rate=o.rate, schedule="linear", validate_times=max(1, o.steps // EACH), seed=o.seed,
        )  # fmt: skip
    return curve


if __name__ == "__main__":
    main()
