"""Decoding: tokens a second of Penjing and of transformers' `generate`, in pairs, and beside the products alone.

    python benchmarks/generate_speed.py [--pairs 5] [--only NAME] [--threads 2]

A Llama of 33M parameters (8 layers, width 512, 16k vocabulary), greedy, one prompt and sixteen; a network of the size of
T5-small (61M), beam 4. Random values, float32, no stop token: both make the same number of tokens. transformers gets
its fastest cache and attention of a trial. The bound is the time of the matrix products of one step and nothing else:
torch's plain product, and the fastest way of five (plain, columns, two halves, halves bound to their buffers, packed).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable

import torch
import torch.nn.functional as F

CASES = {  # prompts, tokens of each, new tokens, beams
    "llama-1": ("llama", 1, 32, 128, 1),
    "llama-16": ("llama", 16, 32, 128, 1),
    "t5-beam-4": ("t5", 1, 32, 64, 4),
    "t5-8-beam-4": ("t5", 8, 32, 64, 4),
}


def fresh(family: str):
    """Theirs, and ours with the same values."""
    import transformers

    from penjing.model.checkpoint import read_checkpoint

    torch.manual_seed(0)
    if family == "llama":
        config = transformers.LlamaConfig(
            vocab_size=16_000, hidden_size=512, intermediate_size=1376, num_hidden_layers=8, num_attention_heads=8,
            max_position_embeddings=1024, tie_word_embeddings=True, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        theirs = transformers.LlamaForCausalLM(config).eval()
    else:
        config = transformers.T5Config(vocab_size=32_128, decoder_start_token_id=0, eos_token_id=None)
        theirs = transformers.T5ForConditionalGeneration(config).eval()
    with tempfile.TemporaryDirectory() as folder:
        theirs.save_pretrained(folder)
        return read_checkpoint(folder).transformer().eval(), theirs


def ours_once(network, tokens, new: int, beams: int) -> tuple[float, float]:
    """Seconds of a whole generation, and of one step after the first (without beams, where columns come one by one)."""
    from penjing.generate.loop import generate
    from penjing.generate.options import GenerateOptions
    from penjing.model.batch import Batch

    options = GenerateOptions(
        max_new_tokens=new, temperature=0 if beams == 1 else 1, beams=beams,
        decoder_start=0 if network.encoder is not None else None,
    )  # fmt: skip
    began, first = time.perf_counter(), None
    for _ in generate(network, Batch(tokens), options):
        first = first or time.perf_counter()
    ended = time.perf_counter()
    return ended - began, (ended - first) / (new - 1)


def theirs_once(network, tokens, new: int, beams: int, attention: str, cache: str) -> float:
    """Seconds of a whole generation."""
    network.set_attn_implementation(attention)
    more = {"cache_implementation": cache, "disable_compile": True} if cache == "static" else {}
    began = time.perf_counter()
    with torch.inference_mode():
        made = network.generate(
            tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=new, min_new_tokens=None, do_sample=False,
            num_beams=beams, pad_token_id=0, **more,
        )  # fmt: skip
    assert made.shape[1] - (1 if network.config.is_encoder_decoder else tokens.shape[1]) == new
    return time.perf_counter() - began


def products(weights, rows: int, repeats: int = 15) -> dict[str, float]:
    """Seconds of the matrix products of one step, each way; the fastest of several runs."""
    from penjing.model.operations import Product, halves
    from penjing.model.step_native import native_product

    inputs = [torch.randn(rows, w.shape[1]) for w in weights]
    ways: dict[str, tuple[Callable, list]] = {
        "plain": (lambda x, w: F.linear(x, w), weights),
        "columns": (lambda x, w: torch.mm(w, x.t()), weights),
        "halves": (lambda x, w: torch.bmm(w.view(2, len(w) // 2, -1), x.t().expand(2, -1, -1)), weights),
        "bound": (
            lambda x, bound: torch.bmm(*bound[:2], out=bound[2]),
            [halves(w, x, torch.empty(len(w))) for w, x in zip(weights, inputs, strict=True)] if rows == 1 else [],
        ),
        "packed": (
            lambda x, w: torch.ops.mkldnn._linear_pointwise(x, w, None, "none", [], ""),
            [torch.ops.mkldnn._reorder_linear_weight(w, rows) for w in weights],
        ),
        "compiled": (
            lambda x, run: run(),
            [run for w, x in zip(weights, inputs, strict=True) if (run := native_product(Product(w, None, x[0], x)))]
            if rows == 1
            else [],
        ),
    }
    ways = {name: way for name, way in ways.items() if way[1]}
    best = dict.fromkeys(ways, float("inf"))
    with torch.inference_mode():
        for _ in range(repeats):
            for name, (way, given) in ways.items():
                began = time.perf_counter()
                for x, weight in zip(inputs, given, strict=True):
                    way(x, weight)
                best[name] = min(best[name], time.perf_counter() - began)
    return best


def measure(name: str, pairs: int) -> None:
    family, rows, length, new, beams = CASES[name]
    ours, theirs = fresh(family)
    tokens = torch.randint(3, 16_000, (rows, length), generator=torch.Generator().manual_seed(1))
    settings = [("sdpa", "dynamic"), ("sdpa", "static"), ("eager", "dynamic")]
    ours_once(ours, tokens, new, beams)
    trials = {way: min(theirs_once(theirs, tokens, new // 4, beams, *way) for _ in range(2)) for way in settings}
    best = min(trials, key=trials.__getitem__)
    weights = [torch.cat(weights).detach() for _, weights, _ in ours.products()]
    size = sum(w.numel() * w.element_size() for w in weights)
    print(f"{name}: {rows} x {length} tokens, {new} new, beams {beams}; transformers at its best: {' '.join(best)}")
    ratios, steps = [], []
    for pair in range(pairs):
        whole, step = ours_once(ours, tokens, new, beams)
        other = theirs_once(theirs, tokens, new, beams, *best)
        ratios.append(other / whole)
        steps.append(step if beams == 1 else whole / new)
        speeds = f"penjing {rows * new / whole:,.0f} tokens/s, transformers {rows * new / other:,.0f}"
        print(f"  pair {pair + 1}: {speeds}, ratio {ratios[-1]:.2f}", flush=True)
    alone = products(weights, rows * beams)
    library = {way: seconds for way, seconds in alone.items() if way != "compiled"}
    fastest = min(library, key=library.__getitem__)
    step = statistics.median(steps)
    print(
        f"  median ratio {statistics.median(ratios):.2f}; a step takes {step * 1e3:.2f} ms (best {min(steps) * 1e3:.2f}) "
        f"and reads {size / 1e6:.0f} MB of weights: {size / step / 1e9:.1f} GB/s\n"
        f"  products alone: " + ", ".join(f"{way} {t * 1e3:.2f} ms" for way, t in alone.items()) + "; our share: "
        f"{alone['plain'] / step:.0%} of the plain ones, {alone[fastest] / step:.0%} of the library's fastest ({fastest})"
        + (f", {alone['compiled'] / step:.0%} of our own" if "compiled" in alone else ""),
        flush=True,
    )


def main() -> None:
    warnings.filterwarnings("ignore")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=CASES)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for name in [options.only] if options.only else CASES:
        measure(name, options.pairs)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads")


if __name__ == "__main__":
    main()
