"""Toy runs in a folder, whole or cut off."""

import json
from dataclasses import replace

from toys import toy_model, toy_pieces

from penjing.base.progress import listen
from penjing.changes import changes_of
from penjing.tasks.pieces import Pieces
from penjing.train.fit import FitOptions, fit

OPTIONS = FitOptions(
    steps=8, batch_tokens=128, measure_seconds=0, threads=1, dtype="float32", save_seconds=0, validate_times=2,
    learning_rate=5e-3,
)  # fmt: skip
TASKS = [("masked", "bert"), ("causal", "llama"), ("classify", "modernbert"), ("causal", "lstm")]


class CutError(Exception):
    """As sudden as a kill: nothing is saved on the way out."""


def halves(model):
    """Training and validation pieces."""
    whole = toy_pieces(model)

    class Half:
        def __init__(self, numbers):
            self.numbers, self.lengths = numbers, whole.documents.lengths[numbers]

        def document(self, number):
            return whole.documents.document(self.numbers[number])

        def fingerprint(self):
            return whole.documents.fingerprint() + str(self.numbers)

    parts = [slice(0, 48), slice(48, 64)]
    targets = [None if whole.targets is None else whole.targets[part] for part in parts]
    return [
        Pieces(Half(list(range(64))[part]), model.tokenizer, model.window, targets=own)
        for part, own in zip(parts, targets, strict=True)
    ]


def run(
    folder, name="classify", family="bert", *, cut=None, watch=None, score=None, valid=True, changes=None, **options
):
    """Train a toy in `folder`; `cut` ends it at that step as a kill would. Returns (model, outcome)."""
    folder.mkdir(parents=True, exist_ok=True)
    model = toy_model(name, family, dropout=0.1).adapt(changes_of(changes), 4)
    training, validation = halves(model)

    def look(event):
        if event.kind == "step" and event.done == cut:
            raise CutError
        if watch is not None:
            watch(event)

    with listen(look):
        outcome = fit(
            model, training, validation if valid else None, replace(OPTIONS, **options), folder, what="toy", score=score
        )
    return model, outcome


def steps_in(folder):
    """The steps in the log, in order, validations apart."""
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    return [line["step"] for line in lines if "loss" in line], [line["step"] for line in lines if "valid_loss" in line]
