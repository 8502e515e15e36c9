"""Decoding with few bits: tokens a second beside transformers in float32 and llama.cpp, and what perplexity it costs.

    python benchmarks/quantized_decode.py [--sizes 33M,117M] [--rounds 3] [--ways float32,int8,...] [--new 128]
    python benchmarks/quantized_decode.py --perplexity DECODER --texts corpus.txt [--tokens 50000]

Networks of the Llama layout with random values, one prompt of 32 tokens, greedy, no stop token. Each round asks every way
once, so that all meet the same machine; the median and the best are told. llama.cpp (where llama-cpp-python and gguf are
installed) decodes the same weights as F32, Q8_0 and Q4_0, token by token through its C interface, and its likeliest
token is taken by numpy.

--perplexity: of a trained decoder in float32, int8, int4 (nearest, asymmetric, GPTQ), on the last tenth of the texts;
GPTQ looks at some of the others.
"""

from __future__ import annotations

import argparse
import copy
import ctypes
import dataclasses
import importlib.util
import json
import math
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

SIZES = {  # layers, width, heads, width of the MLP, vocabulary
    "33M": (8, 512, 8, 1376, 16_000),
    "117M": (12, 768, 12, 2304, 32_000),
}
PROMPT = 32
OURS = {"float32": None, "int8": "int8", "int4": "int4"}
CPP = {"llama.cpp F32": "F32", "llama.cpp Q8_0": "Q8_0", "llama.cpp Q4_0": "Q4_0"}
WAYS = (*OURS, "transformers", *CPP)
LOSSES = {
    "float32": None,
    "int8": "int8",
    "int8, activations none": {"int8": {"activations": "none"}},
    "int4": "int4",
    "int4, asymmetric": {"int4": {"asymmetric": True}},
    "int4, gptq": {"int4": {"method": "gptq"}},
    "int4, gptq, asymmetric": {"int4": {"method": "gptq", "asymmetric": True}},
    "int4, gptq, group 64": {"int4": {"method": "gptq", "group": 64}},
}
CALIBRATION = 64  # windows


def fresh(size: str):
    """A model of ours with random values, and transformers' of the same values."""
    import transformers

    from penjing.model.size import fresh_config
    from penjing.tasks import task_named
    from penjing.tasks.model import Model
    from penjing.text.tokenizer_training import train_tokenizer

    layers, width, heads, mlp, vocabulary = SIZES[size]
    tokenizer = train_tokenizer(["the parcel came late", "the box came today"] * 9, kind="bpe", size=300)
    task = task_named("causal")
    config = fresh_config(
        "llama", vocab_size=vocabulary, width=width, layers=layers, heads=heads, max_tokens=1024, purpose=task.purpose
    )
    config = dataclasses.replace(config, mlp_width=mlp)
    model = Model.new(config, "llama", task, tokenizer, 0).eval()
    with tempfile.TemporaryDirectory() as folder:
        model.save(folder)
        theirs = transformers.LlamaForCausalLM.from_pretrained(folder).eval()
    theirs.generation_config.eos_token_id = theirs.config.eos_token_id = None
    return model, theirs


def quantized(network, said):
    """A copy with a change."""
    from penjing.changes import changes_of
    from penjing.changes.change import Changes

    made = copy.deepcopy(network)
    if said is not None:
        Changes(made).adopt(changes_of(said), 0)
    return made


def ours(network, tokens, new: int) -> float:
    """Seconds a token after the first."""
    from penjing.generate.loop import generate
    from penjing.generate.options import GenerateOptions
    from penjing.model.batch import Batch

    began = None
    for _ in generate(network, Batch(tokens), GenerateOptions(max_new_tokens=new, temperature=0)):
        began = began or time.perf_counter()
    return (time.perf_counter() - began) / (new - 1)


def theirs_in(network, tokens, new: int) -> float:
    """The same of transformers: what so many tokens take more than one."""
    spent = []
    with torch.inference_mode():
        for count in (1, new):
            began = time.perf_counter()
            network.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=count, do_sample=False,
                             pad_token_id=0)  # fmt: skip
            spent.append(time.perf_counter() - began)
    return (spent[1] - spent[0]) / (new - 1)


class Cpp:
    """llama.cpp with one file."""

    def __init__(self, model, kind: str, threads: int, folder: Path):
        import llama_cpp

        from penjing.export.gguf import FILE, Target
        from penjing.export.target import Source

        folder.mkdir()
        Target(type=kind).write(Source(folder, model), folder)
        self.cpp = llama_cpp
        self.silent = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self.silent, ctypes.c_void_p())
        self.model = llama_cpp.llama_load_model_from_file(
            str(folder / FILE).encode(), llama_cpp.llama_model_default_params()
        )
        options = llama_cpp.llama_context_default_params()
        options.n_ctx, options.n_threads, options.n_threads_batch = 512, threads, threads
        self.context = llama_cpp.llama_new_context_with_model(self.model, options)
        self.rows = model.network.config.vocab_size

    def read(self, tokens: list[int]) -> int:
        """The likeliest token after these."""
        held = (self.cpp.llama_token * len(tokens))(*tokens)  # the batch only points to it
        batch = self.cpp.llama_batch_get_one(held, len(tokens))
        assert self.cpp.llama_decode(self.context, batch) == 0
        scores = np.ctypeslib.as_array(self.cpp.llama_get_logits_ith(self.context, -1), shape=(self.rows,))
        return int(scores.argmax())

    def __call__(self, tokens, new: int) -> float:
        self.cpp.llama_memory_clear(self.cpp.llama_get_memory(self.context), True)
        token = self.read(tokens[0].tolist())
        began = time.perf_counter()
        for _ in range(new - 1):
            token = self.read([token])
        return (time.perf_counter() - began) / (new - 1)


def speeds(size: str, asked: argparse.Namespace) -> None:
    model, theirs = fresh(size)
    tokens = torch.randint(3, 300, (1, PROMPT), generator=torch.Generator().manual_seed(1))
    calls: dict[str, Callable[[], float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for way in asked.ways:
            if way in OURS:
                calls[way] = lambda network=quantized(model.network, OURS[way]): ours(network, tokens, asked.new)
            elif way == "transformers":
                calls[way] = lambda: theirs_in(theirs, tokens, asked.new)
            elif all(map(importlib.util.find_spec, ("llama_cpp", "gguf"))):
                runner = Cpp(model, CPP[way], asked.threads, Path(folder) / CPP[way])
                calls[way] = lambda runner=runner: runner(tokens, asked.new)
        spent = {way: [] for way in calls}
        for turn in range(asked.rounds + 1):
            for way, call in calls.items():
                spent[way] += [call()] if turn else [call()][:0]
    numbers = sum(p.numel() for p in model.network.parameters())
    print(f"{size}: {numbers / 1e6:.1f}M numbers, {asked.threads} threads, {asked.new} tokens, {asked.rounds} rounds")
    for way, seconds in spent.items():
        middle, best = statistics.median(seconds), min(seconds)
        print(
            f"  {way:16} {1 / middle:8,.0f} tokens/s (best {1 / best:,.0f}), {middle * 1e3:.3f} ms a token", flush=True
        )


def perplexities(asked: argparse.Namespace) -> None:
    from penjing.changes import changes_of
    from penjing.model.batch import Batch
    from penjing.recipe.models import model_folder
    from penjing.tasks.model import Model

    model = Model.load(model_folder(asked.perplexity))
    tokens = torch.tensor(model.tokenizer.encode_many(["\n".join(texts_of(asked.texts))])[0])
    length = min(model.window, 256)
    windows = tokens[: len(tokens) // length * length].view(-1, length)
    border = len(windows) * 9 // 10
    measured = windows[border:][: max(1, asked.tokens // length)]
    seen = windows[torch.linspace(0, max(0, border - 1), min(CALIBRATION, border)).long()]
    numbers = sum(p.numel() for p in model.parameters())
    print(f"{asked.perplexity}: {numbers / 1e6:.2f}M numbers; {measured.numel():,} tokens in windows of {length}")
    plain = None
    for name, said in LOSSES.items():
        made = Model.load(model_folder(asked.perplexity))
        began = time.perf_counter()
        made.changes.adopt(changes_of(said), 0, [Batch(some) for some in seen.split(8)])
        spent = time.perf_counter() - began
        with torch.inference_mode():
            total = sum(losses(made.network, some) for some in measured.split(8)) / (measured.numel() - len(measured))
        plain = plain or total
        more = math.expm1(total - plain)
        print(f"  {name:24} perplexity {math.exp(total):.4f} ({more:+.2%}), made in {spent:.1f} s", flush=True)


def losses(network, windows: torch.Tensor) -> float:
    from penjing.model.batch import Batch

    hidden = network(Batch(windows[:, :-1]))
    return float(network.token_losses(hidden.flatten(0, 1), windows[:, 1:].flatten()).sum())


def texts_of(file: Path) -> list[str]:
    """The texts of a file of records, or of plain text."""
    text = file.read_text(encoding="utf-8")
    return [json.loads(line)["text"] for line in text.splitlines() if line] if file.suffix == ".jsonl" else [text]


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=lambda text: text.split(","), default=list(SIZES))
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--new", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--perplexity", type=Path)
    parser.add_argument("--texts", type=Path)
    parser.add_argument("--tokens", type=int, default=50_000)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    if asked.perplexity:
        perplexities(asked)
    else:
        for size in asked.sizes:
            speeds(size, asked)


if __name__ == "__main__":
    main()
