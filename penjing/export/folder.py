"""A plain folder in the Hugging Face layout: what is in it beside the weights, and reading it without penjing.json."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from penjing.export.target import Source, like
from penjing.model.checkpoint import foreign_config, read_checkpoint, write_checkpoint, write_configs
from penjing.model.decoding import generation_config
from penjing.model.families import family_of
from penjing.model.transformer import Network
from penjing.tasks.model import Model
from penjing.text.tokenizer import Tokenizer


def write_folder(source: Source, folder: Path, network: Network | None = None, head: nn.Module | None = None) -> None:
    """Weights, configs, tokenizer and templates; `network` and `head` stand for the model's."""
    model = source.plain
    network, head = network or model.network, head or model.head
    model.tokenizer.save(folder, typed=model.typed)
    write_checkpoint(
        folder, network, family=model.family, purpose=model.task.purpose, head=head,
        extra=model.task.config() | model.token_config(), generation=asked_as(model),
    )  # fmt: skip
    model.task.write(model, folder)


def write_beside(source: Source, folder: Path) -> None:
    """All of such a folder but the weights."""
    model = source.plain
    model.tokenizer.save(folder, typed=model.typed)
    extra = model.task.config() | model.token_config()
    foreign = foreign_config(family_of(model.family), model.network, model.task.purpose, model.head, extra)
    write_configs(folder, foreign, model.task.purpose, asked_as(model))


def asked_as(model: Model) -> dict[str, Any]:
    """How a model wants to be asked."""
    return model.generation | model.task.generation(model)


def generation_of(model: Model) -> dict[str, Any]:
    """generation_config.json of a folder that has no config.json in this layout."""
    return generation_config(model.token_config(), asked_as(model))


def read_folder(folder: Path, source: Source) -> Model:
    """Such a folder as a model of the same task."""
    found = read_checkpoint(folder)
    return like(source.model, found.transformer(), found.head(), Tokenizer.load(folder))
