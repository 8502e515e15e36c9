"""Toy texts, tokenizers and models: made in milliseconds, the same each time."""

import json
import random
from functools import cache

import numpy as np
import torch

from penjing.model.size import fresh_config
from penjing.tasks import task_named
from penjing.tasks.batches import Batches, Position
from penjing.tasks.model import Model
from penjing.tasks.pieces import InMemory, Pieces
from penjing.text.tokenizer_training import train_tokenizer
from penjing.train.loop import LoopOptions, train
from penjing.train.optimizers import Optimizers

ENCODERS = ("bert", "modernbert", "roberta", "distilbert", "electra")
KINDS = dict.fromkeys(ENCODERS, "wordpiece") | {"llama": "bpe", "gpt2": "bpe", "lstm": "wordpiece"}
KINDS |= {"t5": "unigram", "bart": "wordpiece", "mbart": "unigram", "marian": "unigram", "vaswani": "wordpiece"}
GOOD, BAD = ("good", "fine", "lovely", "满意", "😀"), ("bad", "broken", "awful", "退款", "😡")
REST = ("the", "parcel", "tree", "box", "was", "came", "today", "快递", "盆景", "and", "very", "late")
LABELS = ["bad", "good"]
LONG = "tree " * 10_000
STRANGE = ["", " ", "满意😀", "\ud800 half", LONG, "[SEP] [MASK] <pad>", "\n\n\t", "é" * 300]


def sentences(number, seed=0):
    """(text, label) pairs: what is good or bad stands somewhere among other words."""
    chance, found = random.Random(seed), []
    for row in range(number):
        words = chance.choices(REST, k=chance.randint(2, 12))
        words.insert(chance.randrange(len(words)), chance.choice((BAD, GOOD)[row % 2]))
        found.append((" ".join(words), LABELS[row % 2]))
    return found


TRAIN = sentences(64)
TEXTS = [text for text, _ in TRAIN]
RECORDS = [{"text": text, "label": label} for text, label in TRAIN]
SEVERAL = [{"text": text, "labels": [label] if row % 4 else ["bad", "good"]} for row, (text, label) in enumerate(TRAIN)]

WORDS = dict(the="快递", parcel="盆景", tree="was", box="very", came="and", today="good", late="bad")
PAIRS = [
    {"source": source, "target": " ".join(WORDS[word] for word in source.split())}
    for source in (" ".join(random.Random(row).choices(list(WORDS), k=1 + row % 3)) for row in range(16))
]


@cache
def tokenizer(kind="wordpiece"):
    sizes = {"wordpiece": 128, "bpe": 320, "unigram": 60}
    return train_tokenizer(TEXTS * 4, kind=kind, size=sizes[kind])


def toy_task(name, **options):
    if name == "several":
        return task_named("classify", labels=LABELS, several=True, **options)
    return task_named(name, **({"labels": LABELS} if name == "classify" else {}), **options)


def toy_model(
    name="classify", family="bert", *, seed=0, width=32, max_tokens=64, dropout=0.0, task=None, layers=1, **more
):
    task, cutter = task or toy_task(name), tokenizer(KINDS[family])
    config = fresh_config(
        family, vocab_size=cutter.size, width=width, layers=layers, heads=None if family == "lstm" else 2,
        max_tokens=max_tokens, dropout=dropout, purpose=task.purpose, pad=cutter.pad,
    )  # fmt: skip
    return Model.new(config, family, task, cutter, seed, **more)


def toy_pieces(model, records=None, **more):
    kind = "several" if getattr(model.task, "several", False) else model.task.name
    records = records or {"several": SEVERAL, "seq2seq": PAIRS}.get(kind, RECORDS)
    encoded = [model.tokenizer.word_starts(record[model.task.needs[0]]) for record in records]
    documents = InMemory([tokens for tokens, _ in encoded], [starts for _, starts in encoded])
    return Pieces(documents, model.tokenizer, model.window, targets=model.task.targets(records), **more)


def teach(model, steps=40, rate=1e-2, pieces=None, optimizers=None, **more):
    """Train without a folder; returns the losses."""
    pieces = pieces or toy_pieces(model)
    optimizers = optimizers or Optimizers(model, name="adamw", learning_rate=rate, weight_decay=0.0)

    def stream():
        for after, rows in Batches(pieces.lengths, 256, 0).from_position(Position()):
            chance = np.random.Generator(np.random.PCG64([1, after.epoch, after.batch]))
            yield after, model.task.collate(pieces, rows, model.tokenizer, chance)

    return [step.loss for step in train(model, stream(), optimizers, LoopOptions(steps, **more))]


def same_weights(one, other):
    """Whether all that is saved is the same."""
    ours, theirs = (
        {name: tensor for name, tensor in model.state_dict().items() if not name.startswith("companion.")}
        for model in (one, other)
    )
    return all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def write_jsonl(path, records):
    """Records as a file of JSON lines, in a folder that is made if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(dict(record), ensure_ascii=False) + "\n" for record in records), "utf-8")
