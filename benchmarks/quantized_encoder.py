"""An encoder of few bits: documents a second beside onnxruntime's int8 of the same model and transformers' pipeline.

    python benchmarks/quantized_encoder.py --model MINILM --texts texts.txt [--documents 600] [--rounds 3] [--batch 1024]

MINILM: a Hugging Face folder of a BERT (all-MiniLM-L6-v2). Texts one a line, or a file of records with `text`; cut at 128
tokens. Ours and onnxruntime's get the same batches of texts of like length (at most so many tokens each) and are timed
from tokens to states; "whole" is timed from texts to mean vectors. The pipeline gets the texts, in batches of 1 and 32.
Each round asks every way once. At the end: where the time of the int8 network goes.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
import warnings
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

LONGEST = 128


def texts_of(file: Path, count: int) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines if line] if file.suffix == ".jsonl" else lines
    return [text for text in texts if text.strip()][:count]


def batches_of(model, texts: list[str], budget: int):
    """Batches of like length, padded, of at most so many tokens."""
    from penjing.model.batch import Batch
    from penjing.tasks.task import padded

    rows = [model.tokenizer.build(row[: LONGEST - 2]) for row in model.tokenizer.encode_many(texts)]
    rows.sort(key=len)
    found, first = [], 0
    while first < len(rows):
        last = first + 1
        while last < len(rows) and len(rows[last]) * (last + 1 - first) <= budget:
            last += 1
        found.append(Batch(*padded([np.asarray(row) for row in rows[first:last]], model.tokenizer.pad)))
        first = last
    return found


@torch.inference_mode()
def states(network, batches) -> list[torch.Tensor]:
    return [network(batch) for batch in batches]


@torch.inference_mode()
def whole(model, network, texts: list[str], budget: int) -> None:
    """From texts to mean vectors."""
    for batch in batches_of(model, texts, budget):
        found = network(batch)
        mask = torch.ones_like(batch.tokens) if batch.mask is None else batch.mask
        (found * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)


def onnx_session(model, folder: Path, threads: int):
    import onnxruntime

    from penjing.export.onnx_int8 import Target
    from penjing.export.target import Source

    Target(rounding="whole").write(Source(folder, model), folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(next(folder.glob("*.onnx"))), options, providers=["CPUExecutionProvider"])


def onnx_states(session, batches) -> list[np.ndarray]:
    found = []
    for batch in batches:
        mask = torch.ones_like(batch.tokens) if batch.mask is None else batch.mask.long()
        given = {"input_ids": batch.tokens, "attention_mask": mask, "token_type_ids": torch.zeros_like(batch.tokens)}
        named = {one.name for one in session.get_inputs()}
        found.append(session.run(None, {name: one.numpy() for name, one in given.items() if name in named})[0])
    return found


def breakdown(network, batches) -> None:
    """Where the time goes: functions are replaced by ones that count."""
    from penjing.model import compiled, layers, quantized

    spent: dict[str, float] = defaultdict(float)

    def around(kind: str, function: Callable) -> Callable:
        def call(*given, **named):
            began = time.perf_counter()
            found = function(*given, **named)
            spent[kind] += time.perf_counter() - began
            return found

        return call

    compiled.feed = around("MLP", compiled.feed)
    compiled.attention = around("attention", compiled.attention)
    quantized.plainly = around("other products", quantized.plainly)
    layers.mix = around("attention", layers.mix)
    F.layer_norm = around("norms", F.layer_norm)
    states(network, batches)
    spent.clear()
    began = time.perf_counter()
    states(network, batches)
    total = time.perf_counter() - began
    spent["rest"] = total - sum(spent.values())
    shares = ", ".join(f"{kind} {seconds / total:.0%}" for kind, seconds in spent.items())
    print(f"  where the time of int8 goes: {shares} of {total:.3f} s")


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--documents", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=1024)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--no-pipeline", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    from penjing.changes import changes_of
    from penjing.changes.change import Changes
    from penjing.tasks.model import Model

    model = Model.load(asked.model).eval()
    texts = texts_of(asked.texts, asked.documents)
    batches = batches_of(model, texts, asked.batch)
    few = copy.deepcopy(model.network)
    Changes(few).adopt(changes_of("int8"), 0)
    with tempfile.TemporaryDirectory() as folder:
        session = onnx_session(model, Path(folder), asked.threads)
    calls: dict[str, Callable[[], object]] = {
        "int8": lambda: states(few, batches),
        "float32": lambda: states(model.network, batches),
        "onnxruntime int8": lambda: onnx_states(session, batches),
        "int8, whole": lambda: whole(model, few, texts, asked.batch),
    }
    if not asked.no_pipeline:
        import transformers

        ask = transformers.pipeline("feature-extraction", model=str(asked.model), device="cpu")
        more = {"truncation": True, "max_length": LONGEST}
        for rows in (1, 32):
            calls[f"pipeline float32, {rows}"] = lambda rows=rows: ask(texts, batch_size=rows, tokenize_kwargs=more)
    near(few, model.network, session, batches)
    spent = {name: [] for name in calls}
    for turn in range(asked.rounds + 1):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            spent[name] += [time.perf_counter() - began] if turn else []
    tokens = sum(int(batch.tokens.numel()) for batch in batches)
    print(f"{len(texts)} documents, {tokens:,} tokens with padding, {len(batches)} batches, {asked.threads} threads")
    for name, seconds in spent.items():
        middle = statistics.median(seconds)
        print(
            f"  {name:22} {len(texts) / middle:8,.0f} documents/s (best {len(texts) / min(seconds):,.0f})", flush=True
        )
    breakdown(few, batches)


def near(few, exact, session, batches) -> None:
    """How far both ways of eight bits are from float32."""
    wanted, ours = states(exact, batches), states(few, batches)
    theirs = [torch.from_numpy(one) for one in onnx_states(session, batches)]
    for name, found in (("int8", ours), ("onnxruntime int8", theirs)):
        if found[0].shape == wanted[0].shape:
            far = [float((a - b).norm() / b.norm()) for a, b in zip(found, wanted, strict=True)]
            print(f"  {name}: {statistics.mean(far):.4f} from float32, relative")


if __name__ == "__main__":
    main()
