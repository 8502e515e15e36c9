"""Toy documents of several sentences, and models of the objectives that learn from raw text."""

import random
from functools import cache

import numpy as np
from toys import KINDS, REST, tokenizer

from penjing.model.size import fresh_config
from penjing.tasks import task_named
from penjing.tasks.model import Model
from penjing.tasks.pieces import InMemory
from penjing.text.tokenizer_training import train_tokenizer

PURPOSES = [("next_sentence", "bert"), ("denoise", "t5"), ("denoise", "bart"), ("replaced", "electra")]
GIVEN = {("denoise", "bart"): {"style": "bart"}}


def documents(number=12, seed=0):
    """Texts in which every sentence has a word of its own, so that order and strangers can be told."""
    chance, found = random.Random(seed), []
    for row in range(number):
        chosen = chance.sample(REST, 4)
        found.append(" ".join(" ".join(chance.choices(chosen, k=4)) + " ." for _ in range(2 + row % 4)))
    return found


TEXTS = documents()


@cache
def cutter(kind):
    """A tokenizer with what the objectives need."""
    if kind != "unigram":
        return train_tokenizer(TEXTS * 4, kind=kind, size=128) if kind == "wordpiece" else tokenizer(kind)
    return train_tokenizer(TEXTS * 4, kind="unigram", size=90, extra_ids=20)


def objective_model(name, family, *, seed=0, width=32, max_tokens=32, dropout=0.0, **options):
    task, own = task_named(name, **(GIVEN.get((name, family), {}) | options)), cutter(KINDS[family])
    config = fresh_config(family, vocab_size=own.size, width=width, layers=1, heads=2, max_tokens=max_tokens,
                          dropout=dropout, purpose=task.purpose, pad=own.pad)  # fmt: skip
    return Model.new(config, family, task, own, seed)


def raw(model, texts=TEXTS):
    """Texts as the objective's pieces."""
    found = [model.tokenizer.word_starts(text) for text in texts]
    held = InMemory([tokens for tokens, _ in found], [starts for _, starts in found])
    return model.task.raw_pieces(held, model.tokenizer, model.window)


def asked(model, rows=range(8), pieces=None, seed=0):
    """A batch of some rows."""
    chance = np.random.Generator(np.random.PCG64(seed))
    return model.task.collate(pieces or raw(model), np.asarray(rows), model.tokenizer, chance)
