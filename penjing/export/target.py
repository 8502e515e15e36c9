"""A target: how a model is written for another runtime, and how what was written is asked the same questions.

A subclass is a frozen dataclass of options in a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch

from penjing.base.files import read_json
from penjing.base.messages.message import Both
from penjing.export.runtime import PassedOn, Runtime
from penjing.model.decoding import read_generation
from penjing.tasks.likeness import Limits
from penjing.tasks.model import Model
from penjing.text.tokenizer import Tokenizer

EXACT = 1e-4  # distance that the order of sums in float32 may make
ROUNDINGS = 16  # how many roundings of a type may come together in a score
OTHERWISE = 0.005  # share of the answers that a narrower type may turn


@dataclass(frozen=True)
class Source:
    """What is exported: the folder it was read from, and the model with its changes."""

    folder: Path
    model: Model

    @cached_property
    def plain(self) -> Model:
        """The model with its changes folded in; what cannot be folded is an error that says why."""
        if not self.model.changes:
            return self.model
        model = Model.load(self.folder)
        model.changes.fuse()
        return model


class Target:
    """What every target says."""

    name: ClassVar[str]
    extras: ClassVar[Mapping[str, str]] = {}  # modules it needs, and the extra that brings each
    runtimes: ClassVar[str]  # what reads it, for the card
    changes: ClassVar[bool] = False  # whether it writes the changes themselves, not what they make of the weights

    def limits(self) -> Limits:
        """How far its answers may be from the model's."""
        return exactly()

    def hindrance(self, source: Source) -> Both | None:
        """Why it cannot hold this model, if it cannot."""
        return None

    def write(self, source: Source, folder: Path) -> None:
        """Fill an empty folder."""
        raise AssertionError(f"target {self.name} says nothing here")

    def read(self, folder: Path, source: Source) -> Model:
        """What was written, as a model that answers through its own runtime or from what its file holds."""
        raise AssertionError(f"target {self.name} says nothing here")

    def generation(self, folder: Path) -> Mapping[str, Any]:
        """How what was written wants to be asked, in the words of generation_config.json."""
        return read_generation(folder, read_json(folder / "config.json", dict))

    def lost(self, source: Source) -> list[Both]:
        """What of the model is not in it, or is not the same."""
        return []


def exactly() -> Limits:
    """The limits of float32: every choice and every answer stays."""
    return Limits(EXACT, 0.0, 0.0)


def rounded(step: float) -> Limits:
    """The limits of a type whose numbers are `step` apart, relatively."""
    return Limits(ROUNDINGS * step, OTHERWISE)


def standing_in(runtime: Runtime, source: Source, tokenizer: Tokenizer) -> Model:
    """A runtime in the place of the model's network: it answers as the model does, by the exported tokenizer."""
    model = source.plain
    head = None if model.head is None else PassedOn(model.head)
    return like(model, runtime, head, tokenizer)


def like(model: Model, network: Any, head: torch.nn.Module | None, tokenizer: Tokenizer) -> Model:
    """A model of the same task and manner on another network."""
    return Model(
        network, head, model.task, tokenizer, model.family, model.lineage, model.long_text, model.piece,
        model.generation, model.pairs,
    ).eval()  # fmt: skip
