"""The states under the first block that is trained, computed once: an epoch then costs only what is above.

A row's states follow from its tokens and token types alone, as what is below is not trained and, here, has no dropout.
So they are kept by those, in a file that is read as memory: a row that training altered (hidden tokens, other words) is
not found, and its batch is computed as usual. The file is filled in one fixed order before the first step, and made
anew when a run goes on, so that it holds the same bits.

Shapes: B rows, T tokens, W width.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from penjing.base.errors import TrainError
from penjing.base.progress import tell
from penjing.model.transformer import Stack, Transformer
from penjing.tasks.batches import Batches

if TYPE_CHECKING:
    from penjing.model.batch import Batch
    from penjing.tasks.model import Model
    from penjing.tasks.pieces import Pieces

KeptType = Literal["float32", "float16"]


class Kept:
    """States by rows. `found` and `missed` count the batches of training."""

    def __init__(self, network: Any, block: int, room: np.ndarray):
        self.network, self.block, self.room = network, block, room
        self.places: dict[bytes, tuple[int, int]] = {}  # a row: where its states begin, and how many there are
        self.filled = self.found = self.missed = 0

    def __call__(self, batch: Batch) -> Batch:
        """The batch with the states under the first trained block."""
        places = [self.places.get(key) for key in keys(batch)]
        if None in places:
            self.missed += self.network.training
            return dataclasses.replace(batch, below=(self.block, self.computed(batch)))
        self.found += self.network.training
        states = torch.zeros(*batch.tokens.shape, self.room.shape[1])
        for row, (first, count) in enumerate(places):  # type: ignore[misc]
            real = slice(count) if batch.mask is None else batch.mask[row]
            states[row, real] = torch.from_numpy(self.room[first : first + count]).float()
        weight = self.network.embedding.weight  # of another type within `evaluate_loss`
        return dataclasses.replace(batch, below=(self.block, states.to(weight.dtype)))

    @torch.no_grad()
    def computed(self, batch: Batch) -> Tensor:
        """The states of a batch, without dropout."""
        was = self.network.training
        self.network.eval()
        try:
            return self.network.below(batch, self.block)
        finally:
            self.network.train(was)

    def close(self, file: Path, what: str) -> None:
        """Forget the file, and tell if it was of little use."""
        if self.missed:
            share = self.missed / (self.missed + self.found)
            tell("warning", what, f"{share:.0%} of the batches held altered rows: their states were computed anew")
        self.room = self.room[:0].copy()
        file.unlink(missing_ok=True)

    def fill(self, batch: Batch) -> None:
        """Keep the rows of a batch."""
        states = self.computed(batch)
        for row, key in enumerate(keys(batch)):
            real = states[row] if batch.mask is None else states[row][batch.mask[row]]
            if key not in self.places:
                self.room[self.filled : self.filled + len(real)] = real.numpy()
                self.places[key] = self.filled, len(real)
                self.filled += len(real)


def keys(batch: Batch) -> Iterator[bytes]:
    """What the states of each row follow from: its real tokens, and their types."""
    parts = [batch.tokens] if batch.segments is None else [batch.tokens, batch.segments]
    both = torch.stack(parts, 1)  # B 1|2 T
    for row, mask in zip(both, [None] * len(both) if batch.mask is None else batch.mask, strict=True):
        yield (row if mask is None else row[:, mask]).to(torch.int32).numpy().tobytes()


def keep_states(model: Model, training: Pieces, file: Path, dtype: KeptType, batch_tokens: int, what: str) -> Kept:
    """Compute the states under the first trained block for all rows, into a file. Raises P-TRAIN-050 to P-TRAIN-052."""
    block = first_trained(model)
    size, width = int(training.lengths.sum()), model.network.config.width
    needed = size * width * np.dtype(dtype).itemsize
    free = shutil.disk_usage(file.parent).free
    if needed > free:
        raise TrainError("P-TRAIN-052", file=file, given=f"{needed / 1e9:.1f} GB", most=f"{free / 1e9:.1f} GB")
    tell("note", what, f"states under block {block} are computed once: {needed / 1e6:,.0f} MB in {file.name}")
    kept = Kept(model.network, block, np.memmap(file, np.dtype(dtype), "w+", shape=(size, width)))
    task, batches = model.task.validating(), Batches(training.lengths, batch_tokens, 0, shuffle=False).epoch(0)
    for number, rows in enumerate(batches):
        kept.fill(task.collate(training, rows, model.tokenizer, np.random.default_rng([0, number])))
        tell("step", what, done=number + 1, total=len(batches))
    return kept


def first_trained(model: Model) -> int:
    """The lowest block in which something is trained, where nothing is below all blocks."""
    network = model.network
    stack = getattr(network, "single", None)
    if type(network) is not Transformer or type(stack) is not Stack:  # or edited as a whole, as by a prompt
        raise TrainError("P-TRAIN-050", given=model.family)
    above = {id(parameter) for block in stack.blocks for parameter in block.parameters()}
    above |= {id(p) for module in (stack.final_norm, network.output) if module is not None for p in module.parameters()}
    trained = [name for name, p in network.named_parameters() if p.requires_grad and id(p) not in above]
    first = next((number for number, block in enumerate(stack.blocks) if trains(block)), len(stack.blocks) - 1)
    if trained or first == 0:
        raise TrainError("P-TRAIN-051", given=trained[0] if trained else "block 0")
    return first


def trains(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
