"""Requests of mixed length that arrive over time: the scheduler against one after the other.

    python benchmarks/scheduler.py [--requests 16] [--rounds 3] [--threads 2]

A fresh Llama of 32M parameters (float32) answers the same requests both ways, greedily; the time runs from the first
arrival to the last token. One after the other, a request begins when it has arrived and the one before it has ended.
"""

from __future__ import annotations

import argparse
import random
import time

import torch

from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.generate.scheduler import Request, Scheduler
from penjing.model.config import ModelConfig
from penjing.model.transformer import Transformer


def network() -> Transformer:
    """32M parameters; values large enough that greedy texts do not run in circles at once."""
    config = ModelConfig(
        vocab_size=8192, width=512, heads=8, key_heads=4, mlp_width=1408, decoder_layers=9, max_tokens=512,
        position="rotary", norm="rms", norm_place="before", norm_eps=1e-6, final_norm=True, activation="silu",
        gated_mlp=True, mlp_bias=False, attention_bias=(False, False), tied_output=True, initial_std=0.05,
    )  # fmt: skip
    return Transformer.new(config, 0).eval()


def requests(count: int, seed: int = 0) -> list[tuple[float, Request]]:
    """Arrival, as a share of the time that all take one after the other, and request."""
    draw = random.Random(seed)
    made = []
    for _ in range(count):
        prompt = [draw.randrange(3, 8192) for _ in range(draw.randint(8, 128))]
        options = GenerateOptions(max_new_tokens=draw.randint(16, 128), temperature=0)
        made.append((draw.uniform(0, 0.25), Request(prompt, options)))
    return sorted(made, key=lambda pair: pair[0])


def one_by_one(made: Transformer, asked: list[tuple[float, Request]], whole: float) -> tuple[float, list[list[int]]]:
    begin, found = time.perf_counter(), []
    for share, request in asked:
        time.sleep(max(0.0, share * whole - (time.perf_counter() - begin)))
        found.append(complete(made, [request.prompt], request.options)[0][0].tokens)
    return time.perf_counter() - begin, found


def together(made: Transformer, asked: list[tuple[float, Request]], whole: float) -> tuple[float, list[list[int]]]:
    scheduler = Scheduler(made, rows=16, tokens=256)
    begin, handles, left = time.perf_counter(), [], list(asked)
    while left or not scheduler.idle:
        now = time.perf_counter() - begin
        if left and scheduler.idle:
            time.sleep(max(0.0, left[0][0] * whole - now))
        while left and left[0][0] * whole <= time.perf_counter() - begin:
            handles.append(scheduler.submit(left.pop(0)[1]))
        scheduler.step()
    return time.perf_counter() - begin, [handle.answer.tokens for handle in handles]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--requests", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    made, asked = network(), requests(given.requests)
    tokens = sum(request.options.max_new_tokens for _, request in asked)
    print(
        f"{sum(p.numel() for p in made.parameters()) / 1e6:.1f}M parameters, {given.requests} requests, {tokens} tokens"
    )
    complete(made, [asked[0][1].prompt], asked[0][1].options)
    whole = one_by_one(made, [(0.0, request) for _, request in asked], 0.0)[0]
    for _ in range(given.rounds):
        alone, expected = one_by_one(made, asked, whole)
        joined, found = together(made, asked, whole)
        same = sum(a == b for a, b in zip(expected, found, strict=True))
        print(
            f"one after the other {alone:.2f} s ({tokens / alone:.0f} tokens/s), scheduler {joined:.2f} s "
            f"({tokens / joined:.0f} tokens/s): ratio {joined / alone:.2f}; same texts: {same} of {len(found)}"
        )


if __name__ == "__main__":
    main()
