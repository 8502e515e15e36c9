"""Classifying 2,000 reviews of mixed length: Penjing's `Model.answer` and transformers' pipeline at its best batch size.

    python benchmarks/classify_speed.py --data DIR          # DIR holds test.jsonl.zst of the IMDb reviews

The same saved folder (BERT, 4 layers, width 256, random weights, 512 tokens) is opened by both; the pipeline is tried
with batches of 1, 8, 32 and 64, in float32 and bfloat16, and with texts as they come and sorted by length by the caller.
Runs alternate; the answers are compared.
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

        trials = {}
        ways = [(k, s, o) for k in pipelines for s in (1, 8, 32, 64) for o in ((False,) if s == 1 else (False, True))]
        for way in ways:
            part = slice(None, None, 6)  # every sixth text is enough to choose
            trials[way] = timed(lambda way=way, part=part: theirs(*way, part))[0]
            print(f"trial  pipeline {way}: {len(texts[part]) / trials[way]:,.0f} texts/s", flush=True)
        best = min(trials, key=trials.__getitem__)
        ratios = []
        ours.answer(texts[:50])
        for pair in range(options.pairs):
            mine, answers = timed(lambda: ours.answer(texts))
            other, _ = timed(lambda: theirs(*best))
            ratios.append(other / mine)
            print(f"pair {pair + 1}: penjing {len(texts) / mine:,.0f} texts/s · pipeline {best} "
                  f"{len(texts) / other:,.0f} texts/s · ratio {ratios[-1]:.2f}", flush=True)  # fmt: skip
        reference = theirs(torch.float32, 1, False)
        same = sum(a["label"] == b["label"] for a, b in zip(answers, reference, strict=True))
        far = max(abs(a["probability"] - b["score"]) for a, b in zip(answers, reference, strict=True))
    print(
        f"median ratio {statistics.median(ratios):.2f} · same labels {same} of {len(texts)} · largest difference {far:.1e}"
    )


if __name__ == "__main__":
    main()
