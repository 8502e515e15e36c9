"""Rules driven without a network: random scores, each row draws what it may."""

from __future__ import annotations

import functools
import json

import torch

from penjing.text.tokenizer import Tokenizer
from penjing.text.tokenizer_training import train_tokenizer

TEXTS = [
    json.dumps({"name": "Ann", "age": 31, "tags": ["red", "blue"], "city": "北京", "done": True, "note": None}),
    "roses are red, violets are blue; the light is in the night and the tree is by the sea.",
    "床前明月光，疑是地上霜。举头望明月，低头思故乡。",
    "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。",
] * 20


@functools.cache
def tokenizer(kind: str) -> Tokenizer:
    """A small tokenizer with all bytes (bpe, unigram) or without (wordpiece)."""
    more = {"unigram": {"byte_fallback": True}, "wordpiece": {"lowercase": False}}.get(kind, {})
    size = {"bpe": 400, "unigram": 420, "wordpiece": 200}[kind]
    return train_tokenizer(TEXTS, kind=kind, size=size, **more)


def play(rules, rows: int, steps: int, stop, size: int, seed: int = 0, spread: float = 3.0):
    """Rows of tokens: each step draws from random scores that the rules have edited. A row ends with a stop token."""
    generator = torch.Generator().manual_seed(seed)
    for rule in rules:
        rule.start([[] for _ in range(rows)])
    said, alive = [[] for _ in range(rows)], list(range(rows))
    for _ in range(steps):
        scores = torch.randn(len(alive), size, generator=generator) * spread
        for rule in rules:
            scores = rule.apply(scores)
        drawn = torch.multinomial(scores.softmax(-1), 1, generator=generator)[:, 0].tolist()
        for rule in rules:
            rule.accept(drawn)
        for row, token in zip(alive, drawn, strict=True):
            said[row].append(token)
        kept = [place for place, token in enumerate(drawn) if token not in stop]
        if len(kept) < len(alive):
            alive = [alive[place] for place in kept]
            for rule in rules:
                rule.select(kept)
        if not alive:
            break
    return said
