"""A linear-chain CRF on features of words, shapes, affixes and neighbours: the classical tagger (Lafferty et al. 2001).

Fitted with AdaGrad on batches of like length; the weights are the best on valid, or the last ones without.

N places of all texts, F features of a place, V features known, C tags
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from penjing.base.errors import EvaluateError
from penjing.base.files import read_json, whole_folder, write_json
from penjing.base.progress import tell
from penjing.evaluate.classical import saved_task
from penjing.evaluate.tag_features import features
from penjing.model import crf
from penjing.tasks.batches import Batches
from penjing.tasks.tag import best_sequences

KIND = "tag_linear"
LEAST = 2  # times that a feature must be met
LONGEST = 128  # places of one sequence in fitting; a longer text is cut there
BATCH = 2048  # places
RATE = 0.15
EPOCHS, BUDGET = 10, 12_000_000  # at most, and so many places are looked at in all; two epochs at least
PATIENCE = 2  # epochs without a better one on valid, then it ends
CHUNK = 20_000  # texts that are answered at once

Records = Sequence[Mapping[str, Any]]


class Baseline:
    """`keys` (V, ascending) are the features known; row 0 of `weights` (V + 1, C) is for all others."""

    def __init__(
        self, task: Any, keys: np.ndarray, weights: Tensor, chain: crf.CRF, facts: dict[str, Any] | None = None
    ):
        self.task, self.keys, self.weights, self.chain, self.facts = task, keys, weights, chain, facts or {}

    @classmethod
    def fit(cls, task: Any, train: Records, valid: Records | None = None, seed: int = 0) -> Baseline:
        """The tagger of the training records."""
        began = time.perf_counter()
        train = [task.normal(record) for record in train]
        found = features([record["tokens"] for record in train])
        if not len(found):
            raise EvaluateError("P-EVAL-001")
        keys, times = np.unique(found, return_counts=True)
        keys = keys[(times >= LEAST) & (keys != 0)]
        model = cls(task, keys, torch.zeros(len(keys) + 1, len(task.tags)), crf.CRF(len(task.tags)))
        sequences = Sequences(task, train, torch.from_numpy(model.numbered(found)))
        held = [task.normal(record) for record in valid or ()]
        epochs = int(np.clip(BUDGET // len(found), 2, EPOCHS))
        best = model.learn(sequences, held, epochs, seed)
        model.facts = {"features": len(keys), "epochs": best, "chosen_on": "valid" if held else "nothing",
                       "seconds": round(time.perf_counter() - began, 3)}  # fmt: skip
        return model

    def learn(self, sequences: Sequences, held: Records, epochs: int, seed: int) -> int:
        """Fit the weights; returns after how many epochs they were best."""
        weights = nn.Parameter(self.weights)
        words, steps = (
            torch.optim.Adagrad([weights], lr=RATE),
            torch.optim.Adagrad(self.chain.parameters(), lr=RATE / 4),
        )
        batches, top, kept = Batches(sequences.lengths, BATCH, seed), -1.0, (epochs, weights, self.chain.state_dict())
        for epoch in range(epochs):
            for rows in batches.epoch(epoch):
                for optimizer in (words, steps):
                    optimizer.zero_grad()
                (sequences.loss(rows, weights, self.chain) / len(rows)).backward()
                with torch.sparse.check_sparse_tensor_invariants(enable=False):
                    words.step()
                steps.step()
            self.weights = weights.detach()
            value = (
                float(self.task.scores(self.task.statistics(self.answer(held), held).sum(0))["f1"]) if held else None
            )
            tell("step", "baselines", f"{KIND}: {epoch + 1} of {epochs}", done=epoch + 1, total=epochs, f1=value)
            if value is None:
                continue
            if value > top:
                copied = {name: tensor.clone() for name, tensor in self.chain.state_dict().items()}
                top, kept = value, (epoch + 1, weights.detach().clone(), copied)
            elif epoch + 1 - kept[0] >= PATIENCE:
                break
        self.weights = kept[1].detach()
        self.chain.load_state_dict(kept[2])
        return kept[0]

    def numbered(self, found: np.ndarray) -> np.ndarray:
        """The rows of the weights for features N F."""
        if not len(self.keys):
            return np.zeros(found.shape, np.int64)
        at = np.searchsorted(self.keys, found).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == found, at + 1, 0)

    @torch.no_grad()
    def answer(self, records: Records) -> list[dict[str, Any]]:
        """Tags and entities, as the task answers."""
        found: list[dict[str, Any]] = []
        chain = self.chain.chain(self.task.rules)
        for start in range(0, len(records), CHUNK):
            part = [self.task.normal(record) for record in records[start : start + CHUNK]]
            rows = torch.from_numpy(self.numbered(features([record["tokens"] for record in part])))
            scores = emissions(rows, self.weights).split([len(record["tokens"]) for record in part])
            found += best_sequences(self.task, part, scores, chain, marginal=True)
        return found

    def save(self, folder: str | Path) -> None:
        """penjing.json and one file of arrays."""
        arrays = {name: tensor.detach().numpy() for name, tensor in self.chain.state_dict().items()}
        with whole_folder(folder) as place:
            np.savez_compressed(place / "tagger.npz", keys=self.keys, weights=self.weights.numpy(), **arrays)
            write_json(
                place / "penjing.json", {"kind": KIND, "format": 1, "task": self.task.record(), "facts": self.facts}
            )

    @classmethod
    def load(cls, folder: str | Path) -> Baseline:
        """The tagger that `save` wrote, with the same answers."""
        folder = Path(folder)
        about = read_json(folder / "penjing.json", dict)
        try:
            task = saved_task(about)
            with np.load(folder / "tagger.npz", allow_pickle=False) as file:
                arrays = {name: file[name] for name in file.files}
            chain = crf.CRF(len(task.tags))
            chain.load_state_dict({name: torch.from_numpy(arrays[name]) for name in chain.state_dict()})
            return cls(task, arrays["keys"], torch.from_numpy(arrays["weights"]), chain, about.get("facts"))
        except Exception as error:  # a broken archive may say anything
            raise EvaluateError("P-EVAL-003", file=folder, reason=error) from error


class Sequences:
    """The training texts in sequences of at most LONGEST places. rows: N F, of the weights."""

    def __init__(self, task: Any, records: Records, rows: Tensor):
        number = {tag: i for i, tag in enumerate(task.tags)}
        self.rows, self.rules = rows, task.rules
        self.labels = torch.tensor([number[tag] for record in records for tag in task.spelled(record)])
        starts, lengths, whole, place = [], [], [], 0
        for record in records:
            size = len(record["tokens"])
            for first in range(0, size, LONGEST):
                starts.append(place + first)
                lengths.append(min(LONGEST, size - first))
                whole.append((first == 0, first + LONGEST >= size))
            place += size
        self.starts, self.lengths, self.whole = np.asarray(starts), np.asarray(lengths), torch.tensor(whole)

    def loss(self, chosen: np.ndarray, weights: Tensor, chain: crf.CRF) -> Tensor:
        """Minus the log-probability of the tags of some sequences."""
        lengths = torch.from_numpy(self.lengths[chosen])
        at = torch.from_numpy(self.starts[chosen])[:, None] + torch.arange(int(lengths.max()))
        at = at.clamp(max=len(self.labels) - 1)
        scores = emissions(self.rows[at.flatten()], weights).view(*at.shape, -1)
        return crf.loss(scores, self.labels[at], lengths, chain.chain(self.rules), self.whole[chosen])


def emissions(rows: Tensor, weights: Tensor) -> Tensor:
    """Scores … C of places: the sum of the weights of their features N F."""
    return F.embedding_bag(rows, weights, mode="sum", sparse=True, padding_idx=0)
