"""Masked pre-training of a small BERT: tokens a second of Penjing and of transformers' Trainer, in pairs, on equal terms.

    python benchmarks/pretrain_speed.py --data DIR          # DIR holds train.jsonl.zst of the IMDb reviews

Both train the same network (4 layers, width 256, 8k vocabulary, no dropout) on the same token ids of the same reviews,
cut at 512, 15 % of the tokens masked. The Trainer gets its best settings: fused AdamW, lengths grouped, float32 or
bfloat16 and eager or fused attention, whichever of the four is fastest in a trial. Counted are real tokens, without
padding, a second, after a warm-up; runs alternate.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np
import torch

WINDOW, BATCH_TOKENS, ROWS = 512, 4096, 16


def corpus(data: Path, count: int):
    """Token ids of the first reviews, without special tokens, and the tokenizer."""
    from itertools import islice

    from penjing.base.records import read_records
    from penjing.text.tokenizer_training import train_tokenizer

    texts = [r["text"].replace("<br />", " ") for r in islice(read_records(data / "train.jsonl.zst"), count)]
    tokenizer = train_tokenizer(texts, kind="wordpiece", size=8192)
    return tokenizer, tokenizer.encode_many(texts)


def our_run(tokenizer, documents, steps: int) -> dict[str, float]:
    """Penjing as a user runs it: arithmetic chosen by measurement, token-budget batches."""
    from penjing.model.size import fresh_config
    from penjing.tasks import task_named
    from penjing.tasks.model import Model
    from penjing.tasks.pieces import InMemory, Pieces
    from penjing.train.fit import FitOptions, fit

    config = fresh_config("bert", vocab_size=8192, width=256, layers=4, max_tokens=WINDOW)
    model = Model.new(config, "bert", task_named("masked"), tokenizer, 0)
    pieces = Pieces(InMemory(documents), tokenizer, WINDOW, "head")
    options = FitOptions(steps=steps, batch_tokens=BATCH_TOKENS, validate_times=0, save_seconds=1e9, measure_seconds=12)
    with tempfile.TemporaryDirectory() as folder:
        fit(model, pieces, None, options, Path(folder), what="benchmark")
        lines = [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]
        choice = json.loads((Path(folder) / "plan.json").read_text())["choice"]
    warm = lines[len(lines) // 5]
    tokens, seconds = lines[-1]["tokens"] - warm["tokens"], lines[-1]["seconds"] - warm["seconds"]
    padding = statistics.mean(line["padding"] for line in lines)
    return {"tokens_per_second": tokens / seconds, "padding": padding, "dtype": choice["dtype"]}


def their_run(tokenizer, documents, steps: int, bf16: bool, attention: str, folder: str) -> dict[str, float]:
    """transformers' Trainer on the same ids, with grouped lengths and fused AdamW."""
    from transformers import (
        AutoTokenizer,
        BertConfig,
        BertForMaskedLM,
        DataCollatorForLanguageModeling,
        Trainer,
        TrainerCallback,
        TrainingArguments,
    )  # fmt: skip

    tokenizer.save(folder)
    config = BertConfig(
        vocab_size=8192, hidden_size=256, num_hidden_layers=4, num_attention_heads=4, intermediate_size=1024,
        max_position_embeddings=WINDOW, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0,
        attn_implementation=attention,
    )  # fmt: skip
    rows = [{"input_ids": tokenizer.build(list(d[: WINDOW - 2]))} for d in documents]
    rows = [row | {"length": len(row["input_ids"])} for row in rows]
    collator = DataCollatorForLanguageModeling(AutoTokenizer.from_pretrained(folder), mlm_probability=0.15)
    counted = {"real": 0, "cells": 0}

    def collate(examples):
        batch = collator([{"input_ids": e["input_ids"]} for e in examples])
        counted["real"] += int(batch["attention_mask"].sum())
        counted["cells"] += batch["attention_mask"].numel()
        return batch

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **rest):
            if state.global_step == steps // 5:
                counted.update(began=time.perf_counter(), before=counted["real"])
            if state.global_step == steps:
                counted.update(ended=time.perf_counter(), after=counted["real"])

    arguments = TrainingArguments(
        folder + "/out", max_steps=steps, per_device_train_batch_size=ROWS, train_sampling_strategy="group_by_length",
        length_column_name="length", optim="adamw_torch_fused", bf16=bf16, use_cpu=True, report_to=[],
        save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False, learning_rate=1e-3,
    )  # fmt: skip
    trainer = Trainer(
        BertForMaskedLM(config), arguments, train_dataset=rows, data_collator=collate, callbacks=[Clock()]
    )
    trainer.train()
    speed = (counted["after"] - counted["before"]) / (counted["ended"] - counted["began"])
    return {"tokens_per_second": speed, "padding": 1 - counted["real"] / counted["cells"]}


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.jsonl.zst")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--reviews", type=int, default=4000)
    options = parser.parse_args()
    tokenizer, documents = corpus(options.data, options.reviews)
    order = np.random.default_rng(0).permutation(len(documents))
    documents = [documents[i] for i in order]
    with tempfile.TemporaryDirectory() as folder:
        ways = [(bf16, attention) for bf16 in (False, True) for attention in ("sdpa", "eager")]
        trials = {way: their_run(tokenizer, documents, 15, *way, folder)["tokens_per_second"] for way in ways}
        best = max(trials, key=trials.__getitem__)
        for (bf16, attention), speed in trials.items():
            print(f"trial  transformers bf16={bf16} {attention}: {speed:,.0f} tokens/s", flush=True)
        ratios = []
        for pair in range(options.pairs):
            ours = our_run(tokenizer, documents, options.steps)
            theirs = their_run(tokenizer, documents, options.steps, *best, folder)
            ratios.append(ours["tokens_per_second"] / theirs["tokens_per_second"])
            print(
                f"pair {pair + 1}: penjing {ours['tokens_per_second']:,.0f} tokens/s ({ours['dtype']}, padding "
                f"{ours['padding']:.1%}) · transformers {theirs['tokens_per_second']:,.0f} (padding "
                f"{theirs['padding']:.1%}) · ratio {ratios[-1]:.2f}",
                flush=True,
            )
    print(
        f"median ratio {statistics.median(ratios):.2f} · torch {torch.__version__} · threads {torch.get_num_threads()}"
    )


if __name__ == "__main__":
    main()
