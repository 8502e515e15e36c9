"""Classifying 2,000 reviews of mixed length: Penjing's `Model.answer` and transformers' pipeline at its best batch size.

    python benchmarks/classify_speed.py --data DIR          # DIR holds test.jsonl.zst of the IMDb reviews

The same saved folder (BERT, 4 layers, width 256, random weights, 512 tokens) is opened by both. The pipeline is tried
with batches of 1, 8, 32 and 64 in float32 and bfloat16: once given the texts as they come, as its users do, and once
sorted by length, a help that its caller must think of. The best of each kind runs in turn with ours; answers are compared.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from itertools import islice
from pathlib import Path

import torch


def build(data: Path, folder: str):
    """A saved classifier and 2,000 texts."""
    from penjing.base.records import read_records
    from penjing.model.size import fresh_config
    from penjing.tasks import task_named
    from penjing.tasks.model import Model
    from penjing.text.tokenizer_training import train_tokenizer

    texts = [r["text"].replace("<br />", " ") for r in islice(read_records(data / "test.jsonl.zst"), 0, 25000, 12)][
        :2000
    ]
    tokenizer = train_tokenizer(texts, kind="wordpiece", size=8192)
    config = fresh_config("bert", vocab_size=8192, width=256, layers=4, max_tokens=512)
    task = task_named("classify", labels=["neg", "pos"])
    Model.new(config, "bert", task, tokenizer, 0, long_text="head").save(folder)
    return texts


def timed(work) -> tuple[float, list]:
    began = time.perf_counter()
    answers = work()
    return time.perf_counter() - began, answers


def named(way) -> str:
    """One way to call the pipeline, in words."""
    kind, size, ordered = way
    return f"pipeline, {str(kind).removeprefix('torch.')}, batch size {size}, texts {'sorted' if ordered else 'as they come'}"


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with test.jsonl.zst")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--dtype", choices=("float32", "bfloat16", "auto"), default="auto", help="ours")
    options = parser.parse_args()
    from transformers import pipeline

    from penjing.tasks.model import Model

    with tempfile.TemporaryDirectory() as folder:
        texts = build(options.data, folder)
        ours = Model.load(folder, options.dtype)
        pipelines = {
            kind: pipeline("text-classification", model=folder, tokenizer=folder, dtype=kind, device="cpu")
            for kind in (torch.float32, torch.bfloat16)
        }
        by_length = sorted(texts, key=len)

        def theirs(kind, size, ordered, part=slice(None)):
            chosen = by_length[part] if ordered else texts[part]
            return list(pipelines[kind](chosen, batch_size=size, truncation=True, max_length=512))

        def trial(way):
            part = slice(None, None, 6)  # every sixth text is enough to choose
            spent = timed(lambda: theirs(*way, part))[0]
            print(f"trial  {named(way)}: {len(texts[part]) / spent:,.0f} texts/s", flush=True)
            return spent

        kinds = [torch.float32] if options.dtype == "float32" else list(pipelines)
        best = [
            min([(k, s, ordered) for k in kinds for s in (1, 8, 32, 64) if s > 1 or not ordered], key=trial)
            for ordered in (False, True)
        ]
        ratios = {way: [] for way in best}
        ours.answer(texts[:50])
        for pair in range(options.pairs):
            for way in best:
                mine, answers = timed(lambda: ours.answer(texts))
                other, _ = timed(lambda way=way: theirs(*way))
                ratios[way].append(other / mine)
                print(f"pair {pair + 1}: penjing {len(texts) / mine:,.0f} texts/s · {named(way)} "
                      f"{len(texts) / other:,.0f} texts/s · ratio {ratios[way][-1]:.2f}", flush=True)  # fmt: skip
        reference = theirs(torch.float32, 1, False)
        same = sum(a["label"] == b["label"] for a, b in zip(answers, reference, strict=True))
        far = max(abs(a["probability"] - b["score"]) for a, b in zip(answers, reference, strict=True))
    for way in best:
        print(f"median ratio beside the {named(way)}: {statistics.median(ratios[way]):.2f}")
    print(f"same labels {same} of {len(texts)} · largest difference {far:.1e}")


if __name__ == "__main__":
    main()
