"""A plain folder in the Hugging Face layout: what is in it beside the weights, and reading it without penjing.json."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

from penjing.base.messages.message import Both
from penjing.export.target import Source, like
from penjing.model.checkpoint import foreign_config, read_checkpoint, write_checkpoint, write_configs
from penjing.model.decoding import generation_config
from penjing.model.families import family_of
from penjing.model.transformer import Network
from penjing.tasks.model import Model
from penjing.text.tokenizer import Tokenizer

CHAINED = Both("a head that scores the steps from label to label (crf), which others do not compute",
               "带有标签转移分数的输出头（crf），其他工具不会计算")  # fmt: skip
FORGOTTEN = Both(
    "options of the answers that only penjing.json says: {names}", "只写在 penjing.json 中的回答选项：{names}"
)
ANSWERING = ("stride", "longest", "candidates", "unanswerable", "threshold")  # options that no config.json says


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


def chained(source: Source) -> Both | None:
    """Whether who reads the plain folder would answer otherwise, since only Penjing looks for the best chain of tags."""
    head = source.model.head
    return CHAINED if head is not None and head.crf is not None else None


def forgotten(source: Source) -> list[Both]:
    """What the folder does not say of how a text is answered, where it is not the usual."""
    model = source.model
    usual = {one.name: one.default for one in dataclasses.fields(model.task)}  # type: ignore[arg-type]
    names = [name for name in ANSWERING if name in usual and getattr(model.task, name) != usual[name]]
    if model.task.purpose in ("classify", "base"):
        names += ["long_text"] if model.long_text != ("head" if model.task.purpose == "base" else "windows") else []
    return [Both(*(text.format(names=", ".join(names)) for text in FORGOTTEN))] if names else []
