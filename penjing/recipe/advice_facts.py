"""What advice is built on beside the data: the machine, a checkpoint at hand, how n-grams learn from more records."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from penjing.base.errors import PenjingError
from penjing.recipe.advice_evidence import TRIALS, Trial
from penjing.recipe.looking import LOOKED, Data

SECONDS, SIDE = 1.0, 1024  # of the measured matrix products
TRAINED = 16  # bytes of a parameter in training: itself, its gradient, two means of the optimizer, each float32
ADAPTED = 0.25  # share of these that stay where adapters alone are trained
OPERATIONS = 6  # of a parameter for each token learnt (Kaplan et al. 2020)
REACHED = 0.5  # share of the measured rate that a training step is counted with
FEW = 10  # records of a label, too few to learn it from
ALIEN = 0.02  # share of unknown tokens from which a vocabulary does not know the texts
SHARES = (0.25, 0.5, 1.0)  # of the training records
MOST_RECORDS, MOST_CHARACTERS = 6_000, 4_000_000  # that a learning curve reads
HELD_OUT, MOST_HELD_OUT = 0.2, 1_000
STRENGTH = 30.0  # of the n-grams' regularisation, in the middle of those that a certificate tries


@dataclass(frozen=True)
class Machine:
    """What there is to compute with; `rate` in 10^9 operations a second, 0 where it was not measured."""

    cores: int
    memory: float  # GB
    gpu: str = ""
    rate: float = 0.0


@dataclass(frozen=True)
class Given:
    """A pre-trained checkpoint at hand, held against the data."""

    folder: Path
    family: str
    able: bool  # the task can be taught to its family
    parameters: int
    working: int  # those that compute for each token: not the rows of the vocabulary
    window: int | None  # tokens that it reads at once
    per_token: float  # characters of these texts in one of its tokens
    unknown: float  # share of their tokens that it does not know
    writes: bool = False  # it was made to write, so that examples can be shown to it
    talks: bool = False  # it has a chat template: it was made to answer


@dataclass(frozen=True)
class Curve:
    """What n-grams score on held-out records after so many training records."""

    records: tuple[int, ...]
    scores: tuple[float, ...]
    score: str  # accuracy, or F1 of several labels

    @property
    def gain(self) -> float:
        """Points of a hundred that the last doubling of the records brought."""
        return 100 * (self.scores[-1] - self.scores[-2])


@dataclass(frozen=True)
class Facts:
    """All that the rules look at."""

    data: Data
    machine: Machine
    minutes: float | None = None  # that the user grants
    given: Given | None = None
    curve: Curve | None = None
    changes: tuple[str, ...] = ()  # edits of a network that can be trained alone, such as lora
    trials: tuple[Trial, ...] = TRIALS  # what ways to train part of an encoder came to

    @property
    def obstacle(self) -> str:
        """Why the given checkpoint is not taken: none, task, vocabulary, memory; "" where it is."""
        if self.given is None:
            return "none"
        if not self.given.able:
            return "task"
        if self.given.unknown > ALIEN:
            return "vocabulary"
        adapted = "lora" in self.changes  # then only the parameters themselves are held
        return "memory" if self.need * (ADAPTED if adapted else 1) > self.machine.memory else ""

    @property
    def start(self) -> Given | None:
        """The checkpoint that is begun from."""
        return None if self.obstacle else self.given

    @property
    def prompted(self) -> bool:
        """Are a few examples in a prompt the way?"""
        able = self.data.task == "classify" and not self.data.several and self.each < FEW
        return able and self.start is not None and self.start.writes

    @property
    def need(self) -> float:
        """GB that training the whole checkpoint takes, texts apart."""
        return TRAINED * self.given.parameters / 1e9 if self.given else 0.0

    @property
    def each(self) -> float:
        """Records for each label."""
        return self.data.records / max(1, len(self.data.labels))

    @property
    def epoch_minutes(self) -> float | None:
        """An estimate for the checkpoint and one time through the records; None where the machine was not measured."""
        if not self.machine.rate or self.given is None:
            return None
        tokens = (self.data.characters - self.data.unlabelled) / self.given.per_token
        return OPERATIONS * self.given.working * tokens / (REACHED * self.machine.rate * 1e9) / 60


def measured_machine(seconds: float = SECONDS) -> Machine:
    """Cores, memory, GPU, and for about so many seconds the rate of matrix products; 0: not measured."""
    import torch

    from penjing.train.measure import cores

    pages = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    memory = os.sysconf(pages[0]) * os.sysconf(pages[1]) / 1e9 if hasattr(os, "sysconf") else 0.0
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else ""
    return Machine(cores(), round(memory, 1), gpu, rate_of_products(seconds) if seconds else 0.0)


def rate_of_products(seconds: float) -> float:
    """10^9 operations a second in products of float32 matrices, the best of those that fit."""
    import torch

    left, best, end = torch.ones(SIDE, SIDE), 0.0, time.perf_counter() + seconds
    while not best or time.perf_counter() < end:
        began = time.perf_counter()
        left @ left
        best = max(best, 2e-9 * SIDE**3 / max(time.perf_counter() - began, 1e-9))
    return round(best, 1)


def checkpoint_at(path: str | Path, data: Data) -> Given:
    """A checkpoint by its config and tokenizer; its weights are not read. Raises P-RECIPE-020 where there is none."""
    from penjing.base.files import read_json
    from penjing.model.families import family_of
    from penjing.model.size import parameters
    from penjing.recipe.models import model_folder
    from penjing.tasks import check_family
    from penjing.text.tokenizer import Tokenizer

    folder = model_folder(path, ("finetune", "pretrain"))
    file = folder / "config.json"
    foreign = read_json(file, dict)
    family = family_of(str(foreign.get("model_type")), file)
    config = family.config(foreign, file)
    try:
        check_family("chat" if data.task == "reinforce" else data.task, family.name)
        able = True
    except PenjingError:
        able = False
    tokenizer = Tokenizer.load(folder)
    rows = [row.ids for row in tokenizer.inner.encode_batch(list(data.sample), add_special_tokens=False)]
    count = sum(map(len, rows))
    unknown = (
        sum(row.count(tokenizer.unknown) for row in rows) / max(1, count) if tokenizer.unknown is not None else 0.0
    )
    writes = family.purpose(foreign, file) == "causal"
    rows_of_words = config.vocab_size * config.width
    working = max(1, parameters(config, vocabulary=False) - rows_of_words)
    return Given(folder, family.name, able, parameters(config), working, getattr(config, "max_tokens", None),
                 sum(map(len, data.sample)) / max(1, count), unknown, writes, bool(tokenizer.templates))  # fmt: skip


def changes_here() -> tuple[str, ...]:
    """The changes that this installation has and that `finetune` can be told to train."""
    from importlib import import_module
    from importlib.util import find_spec

    from penjing.base.options import options_of
    from penjing.recipe.stages import BUILT_IN

    if "change" not in options_of(BUILT_IN["finetune"].function) or find_spec("penjing.changes") is None:
        return ()
    return tuple(import_module("penjing.changes").CHANGES)


# ---- how n-grams learn from more records ----


def learning_curve(data: Data, seed: int = 0) -> Curve | None:
    """Scores of TF-IDF n-grams after a quarter, half and all of the records; None where there is nothing to measure."""
    from importlib.util import find_spec

    records = labelled(data, seed) if data.task == "classify" and data.header and find_spec("sklearn") else []
    if len(records) < 40 or len(data.labels) < 2:
        return None
    apart = min(MOST_HELD_OUT, round(HELD_OUT * len(records)))
    held, train = records[:apart], records[apart:]
    parts = [train[: round(share * len(train))] for share in SHARES]
    if any(len({str(one["labels"]) for one in part}) < 2 for part in parts):
        return None
    scores = tuple(score_of(part, held, data.several) for part in parts)
    return Curve(tuple(map(len, parts)), scores, "F1" if data.several else "accuracy")


def labelled(data: Data, seed: int) -> list[dict[str, Any]]:
    """Different texts with their labels, as many as a few seconds allow."""
    from penjing.base.records import read_records
    from penjing.recipe.columns import labels_in
    from penjing.recipe.looking import whole

    source = data.path / data.files["train"] if data.files else data.path
    fields = {"text": data.text, "second": data.second}
    found: dict[str, dict[str, Any]] = {}
    for record in islice(read_records(source), LOOKED):
        text, labels = whole(record, data.task, fields), labels_in(record.get(data.label))
        if text and (labels or data.several):
            found.setdefault(text, {"text": text, "labels": labels})
    return drawn(list(found.values()), seed)


def drawn(records: list[dict[str, Any]], seed: int) -> list[dict[str, Any]]:
    """So many of the records, in an order drawn by chance: files are often sorted by label."""
    import numpy as np

    order = np.random.Generator(np.random.PCG64([seed, 19])).permutation(len(records))[:MOST_RECORDS]
    ends = np.cumsum([len(records[i]["text"]) for i in order])
    return [records[i] for i in order[: max(40, int(np.searchsorted(ends, MOST_CHARACTERS)))]]


def score_of(train: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]], several: bool) -> float:
    """Accuracy of n-grams fitted on `train`; of several labels F1 over all of them."""
    from penjing.evaluate.fitting import fit_linear
    from penjing.evaluate.targets import targets_of

    names = sorted({label for record in train for label in record["labels"]})
    made = train if several else [{"text": one["text"], "label": one["labels"][0]} for one in train]
    targets = targets_of(made, names, several)
    model = fit_linear("tfidf", [one["text"] for one in train], targets, names, strength=STRENGTH)
    answers = model.answer([one["text"] for one in held])
    given = [set(one["labels"]) if several else {one["label"]} for one in answers]
    truth = [set(one["labels"]) for one in held]
    hits = sum(len(a & b) for a, b in zip(given, truth, strict=True))
    return 2 * hits / max(1, sum(map(len, given)) + sum(map(len, truth)))
