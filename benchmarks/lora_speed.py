"""LoRA fine-tuning on real text of mixed length: samples a second and peak memory of Penjing and of Trainer with PEFT.

    python benchmarks/lora_speed.py --data DIR          # DIR holds train.jsonl.zst (text, label) of the IMDb reviews

Two cases: `encoder`, a BERT of MiniLM's size (6 layers, width 384, 12 heads) that classifies; `decoder`, a Llama of 30M
parameters (8 layers, width 512) that learns to write the texts. Random weights, rank 8 on queries and values, texts cut
at 384 tokens, no dropout. `--ours 4` has Penjing take the tokens of a step as four batches (`accumulate`), for less
memory; the peer gets the best of float32 and bfloat16, sdpa and eager attention, one batch or four a step in a trial,
with `torch_compile` if that way is faster still so, lengths grouped, fused AdamW. Each run is a process of its own, so
that its peak memory is its own; runs alternate. Counted are samples a second after a warm-up of a fifth of the steps.
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
import warnings
from itertools import islice, product
from pathlib import Path

import torch

WINDOW, ROWS, BATCH_TOKENS, VOCABULARY = 384, 16, 4096, 8192
PARTS = 4  # batches of one step that the peer may take
CASES = ("encoder", "decoder")
SIZES = {
    "encoder": dict(width=384, layers=6, heads=12, mlp_width=1536),
    "decoder": dict(width=512, layers=8, heads=8, mlp_width=1376),
}


def texts_of(data: Path, count: int) -> tuple[list[str], list[int]]:
    from penjing.base.records import read_records

    records = list(islice(read_records(data / "train.jsonl.zst"), count))
    names = sorted({str(record["label"]) for record in records})
    return [r["text"].replace("<br />", " ") for r in records], [names.index(str(r["label"])) for r in records]


def cutter(texts: list[str], folder: Path):
    """The tokenizer of both, trained once."""
    from penjing.text.tokenizer import Tokenizer
    from penjing.text.tokenizer_training import train_tokenizer

    if not (folder / "tokenizer.json").exists():
        train_tokenizer(texts, kind="wordpiece", size=VOCABULARY).save(folder)
    return Tokenizer.load(folder)


def our_run(case: str, data: Path, count: int, steps: int, folder: Path, parts: int) -> dict:
    """Penjing as a user runs it: arithmetic chosen by measurement, batches of a token budget."""
    from penjing.changes import changes_of
    from penjing.model.size import fresh_config
    from penjing.tasks import task_named
    from penjing.tasks.model import Model
    from penjing.tasks.pieces import InMemory, Pieces
    from penjing.train.fit import FitOptions, fit

    texts, labels = texts_of(data, count)
    tokenizer = cutter(texts, folder)
    family, task = (
        ("bert", task_named("classify", labels=["0", "1"])) if case == "encoder" else ("llama", task_named("causal"))
    )
    config = fresh_config(family, vocab_size=VOCABULARY, max_tokens=WINDOW, purpose=task.purpose, **SIZES[case])
    model = Model.new(config, family, task, tokenizer, 0).adapt(changes_of({"lora": {"rank": 8}}), 0)
    targets = torch.tensor(labels).numpy() if case == "encoder" else None
    pieces = Pieces(InMemory(tokenizer.encode_many(texts)), tokenizer, WINDOW, "head", targets=targets)
    options = FitOptions(steps=steps, batch_tokens=BATCH_TOKENS // parts, accumulate=parts, validate_times=0,
                         save_seconds=1e9, measure_seconds=12)  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        fit(model, pieces, None, options, Path(out), what="benchmark")
        lines = [json.loads(line) for line in (Path(out) / "log.jsonl").read_text().splitlines()]
        plan = json.loads((Path(out) / "plan.json").read_text())
    warm = lines[len(lines) // 5]
    tokens, seconds = lines[-1]["tokens"] - warm["tokens"], lines[-1]["seconds"] - warm["seconds"]
    mean = float(pieces.lengths.mean())  # samples have the same mean length on both sides
    return {"samples": tokens / mean / seconds, "parameters": plan["parameters"], "trained": plan["trained"],
            "way": plan["choice"]["dtype"]}  # fmt: skip


def their_run(
    case: str, data: Path, count: int, steps: int, folder: Path, bf16: bool, attention: str, parts: int, compiled: bool
) -> dict:
    """transformers' Trainer with PEFT on the same token ids."""
    import transformers
    from peft import LoraConfig, get_peft_model
    from transformers import Trainer, TrainerCallback, TrainingArguments

    texts, labels = texts_of(data, count)
    tokenizer, sizes = cutter(texts, folder), SIZES[case]
    shared = dict(vocab_size=VOCABULARY, hidden_size=sizes["width"], num_hidden_layers=sizes["layers"],
                  num_attention_heads=sizes["heads"], intermediate_size=sizes["mlp_width"],
                  max_position_embeddings=WINDOW, attn_implementation=attention)  # fmt: skip
    if case == "encoder":
        config = transformers.BertConfig(**shared, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
        model, where, kind = transformers.BertForSequenceClassification(config), ["query", "value"], "SEQ_CLS"
    else:
        model, where, kind = (
            transformers.LlamaForCausalLM(transformers.LlamaConfig(**shared)),
            ["q_proj", "v_proj"],
            "CAUSAL_LM",
        )
        model.config.use_cache = False
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules=where, task_type=kind))
    ends = len(tokenizer.build([]))
    rows = [tokenizer.build(list(tokens[: WINDOW - ends])) for tokens in tokenizer.encode_many(texts)]
    examples = [{"input_ids": row, "length": len(row), "label": label} for row, label in zip(rows, labels, strict=True)]
    counted = {"real": 0}

    def collate(some):
        width = max(len(one["input_ids"]) for one in some)
        ids = torch.full((len(some), width), tokenizer.pad or 0)
        mask = torch.zeros(len(some), width, dtype=torch.int64)
        for row, one in enumerate(some):
            ids[row, : len(one["input_ids"])] = torch.tensor(one["input_ids"])
            mask[row, : len(one["input_ids"])] = 1
        counted["real"] += int(mask.sum())
        wanted = torch.tensor([one["label"] for one in some]) if case == "encoder" else ids.masked_fill(mask == 0, -100)
        return {"input_ids": ids, "attention_mask": mask, "labels": wanted}

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **rest):
            if state.global_step == steps // 5:
                counted.update(began=time.perf_counter(), before=counted["real"])
            if state.global_step == steps:
                counted.update(ended=time.perf_counter(), after=counted["real"])

    with tempfile.TemporaryDirectory() as out:
        arguments = TrainingArguments(
            out, max_steps=steps, per_device_train_batch_size=ROWS // parts, gradient_accumulation_steps=parts,
            train_sampling_strategy="group_by_length",
            length_column_name="length", optim="adamw_torch_fused", bf16=bf16, use_cpu=True, torch_compile=compiled, report_to=[],
            save_strategy="no", logging_strategy="no", disable_tqdm=True, remove_unused_columns=False, learning_rate=1e-4,
        )  # fmt: skip
        Trainer(model, arguments, train_dataset=examples, data_collator=collate, callbacks=[Clock()]).train()
    speed = (counted["after"] - counted["before"]) / (counted["ended"] - counted["began"])
    mean = statistics.mean(len(row) for row in rows)
    return {"samples": speed / mean, "trained": sum(p.numel() for p in model.parameters() if p.requires_grad)}


def alone(options: argparse.Namespace, case: str, who: str, steps: int, folder: Path, *way: str) -> dict:
    """One run as a process of its own: what it found, and its peak memory in MB."""
    given = ["--data", options.data, "--texts", options.texts, "--steps", steps, "--case", case, "--folder", folder]
    command = [sys.executable, __file__, *map(str, given), "--one", who, *way]
    made = subprocess.run(command, capture_output=True, text=True)
    if made.returncode:
        raise SystemExit(made.stderr[-3000:])
    return json.loads(made.stdout.splitlines()[-1])


def best_way(options: argparse.Namespace, case: str, folder: Path) -> list[str]:
    """The options of the peer's fastest way: of eight by ten steps each, and of that one compiled by whole runs."""
    trials: dict[tuple[str, ...], float] = {}
    for way in product(("float32", "bfloat16"), ("sdpa", "eager"), ("1", str(PARTS))):
        trials[way] = alone(options, case, "theirs", 10, folder, *said(way))["samples"]
        print(f"{case}: trial, Trainer with PEFT, {' '.join(way)}: {trials[way]:.1f} samples/s", flush=True)
    best = said(max(trials, key=trials.__getitem__))
    plain, compiled = (
        alone(options, case, "theirs", options.steps, folder, *best, *more)["samples"] for more in ((), ("--compiled",))
    )
    print(f"{case}: trial, {' '.join(best)}: {plain:.1f} samples/s, compiled {compiled:.1f}", flush=True)
    return [*best, "--compiled"] if compiled > plain else best


def said(way: tuple[str, ...]) -> list[str]:
    """The peer's arithmetic, attention and batches of a step as options of this file."""
    return ["--dtype", way[0], "--attention", way[1], "--parts", way[2]]


def compare(options: argparse.Namespace, case: str, folder: Path) -> None:
    best = best_way(options, case, folder)
    speeds, memories = [], []
    for pair in range(options.pairs):
        ours = alone(options, case, "ours", options.steps, folder, "--parts", str(options.ours))
        theirs = alone(options, case, "theirs", options.steps, folder, *best)
        speeds.append(ours["samples"] / theirs["samples"])
        memories.append(ours["memory"] / theirs["memory"])
        print(
            f"{case}: pair {pair + 1}: penjing {ours['samples']:.1f} samples/s, {ours['memory']:.0f} MB ({ours['way']}) · "
            f"peer {theirs['samples']:.1f}, {theirs['memory']:.0f} MB · {speeds[-1]:.2f} x the speed, "
            f"{memories[-1]:.2f} x the memory",
            flush=True,
        )
    print(f"{case}: medians: {statistics.median(speeds):.2f} x the speed, {statistics.median(memories):.2f} x the memory; "
          f"{ours['trained']:,} of {ours['parameters']:,} parameters trained, {theirs['trained']:,} by the peer")  # fmt: skip


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train.jsonl.zst")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--texts", type=int, default=1500)
    parser.add_argument("--ours", type=int, default=1, help="batches that Penjing takes a step as")
    parser.add_argument("--case", choices=CASES, help="only this one")
    parser.add_argument("--one", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--dtype", default="float32", help=argparse.SUPPRESS)
    parser.add_argument("--attention", default="sdpa", help=argparse.SUPPRESS)
    parser.add_argument("--parts", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--compiled", action="store_true", help=argparse.SUPPRESS)
    o = parser.parse_args()
    if o.one:
        given = (o.case, o.data, o.texts, o.steps, o.folder)
        found = (
            our_run(*given, o.parts)
            if o.one == "ours"
            else their_run(*given, o.dtype == "bfloat16", o.attention, o.parts, o.compiled)
        )
        print(json.dumps(found | {"memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))
        return
    with tempfile.TemporaryDirectory() as folder:
        for case in [o.case] if o.case else CASES:
            compare(o, case, Path(folder))
    print(f"torch {torch.__version__} · threads {torch.get_num_threads()}")


if __name__ == "__main__":
    main()
