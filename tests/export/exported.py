"""Toy models of all families whose every number matters, and exports of them."""

import dataclasses
import sys
from functools import cache
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from toys import LABELS, RECORDS, TEXTS, tokenizer

from penjing.evaluate.folding import metrics
from penjing.export import targets_of
from penjing.export.certificate import export, said
from penjing.export.target import Source
from penjing.model.rotary import Scaling
from penjing.model.size import fresh_config
from penjing.tasks import task_named
from penjing.tasks.model import Model
from penjing.text.tokenizer import Tokenizer

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{{ eos_token }}{% endfor %}"
BYTES = ("llama", "mistral", "qwen2", "qwen3", "gpt2", "gpt_neox", "bloom")
WINDOW = {"window": 5, "window_layers": (1,)}
LLAMA3 = Scaling("llama3", factor=8.0, trained=8, fast=2.0, slow=0.5)
CASES = {  # name: task, family, fields that are not the fresh config's
    "bert": ("classify", "bert", {}), "roberta": ("masked", "roberta", {}), "distilbert": ("tag", "distilbert", {}),
    "electra": ("classify", "electra", {"embedding_width": 16}), "modernbert": ("masked", "modernbert", WINDOW),
    "bert-embed": ("embed", "bert", {}), "bert-span": ("span", "bert", {}), "modernbert-mean": ("classify", "modernbert", {}),
    "gpt2": ("causal", "gpt2", {}), "llama": ("causal", "llama", {"key_heads": 2, "rotary_scaling": LLAMA3}),
    "mistral": ("causal", "mistral", {"window": 5, "window_layers": (0, 1)}), "qwen2": ("causal", "qwen2", {"key_heads": 1}),
    "qwen3": ("causal", "qwen3", {"head_width": 16}), "gpt_neox": ("causal", "gpt_neox", {}),
    "bloom": ("causal", "bloom", {}), "llama-classify": ("classify", "llama", {}),
    "t5": ("seq2seq", "t5", {}), "mt5": ("seq2seq", "mt5", {}), "bart": ("seq2seq", "bart", {}),
    "mbart": ("seq2seq", "mbart", {}), "vaswani": ("seq2seq", "vaswani", {}), "marian": ("seq2seq", "marian", {}),
    "bart-classify": ("classify", "bart", {}), "t5-classify": ("classify", "t5", {}), "lstm": ("causal", "lstm", {}),
}  # fmt: skip
OPTIONS = {"classify": {"labels": LABELS}, "tag": {"tags": ["O", "B-X", "I-X"]}, "span": {}}


def pieces_of(family):
    """The tokenizer that a family is used with."""
    return tokenizer(
        "bpe" if family in BYTES else "unigram" if family in ("t5", "mt5", "mbart", "marian") else "wordpiece"
    )


@cache
def toy(name):
    """A model of two layers; no bias is 0, no norm is 1."""
    kind, family, fields = CASES[name]
    cutter, task = pieces_of(family), task_named(kind, **OPTIONS.get(kind, {}))
    config = fresh_config(
        family, vocab_size=cutter.size + 3, width=32, layers=2, heads=None if family == "lstm" else 4, max_tokens=24,
        purpose=task.purpose, pad=cutter.pad,
    )  # fmt: skip
    model = Model.new(dataclasses.replace(config, **fields), family, task, cutter, seed=1)
    random = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=random))
    return model.eval()


def talking(name="qwen2"):
    """A decoder whose tokenizer has a chat template."""
    model = toy(name)
    cutter = Tokenizer(model.tokenizer.inner, model.tokenizer.config | {"chat_template": {"default": TEMPLATE}})
    return Model(model.network, None, model.task, cutter, model.family).eval()


def exported(place, model, to, records=()):
    """The certificate of one export."""
    source = Source(place.parent / "nowhere", model)
    (target,) = targets_of(to)
    return export(place, target, source, said(model, model.generation, records, metrics), records, metrics)


__all__ = ["CASES", "RECORDS", "TEXTS", "exported", "talking", "toy"]
