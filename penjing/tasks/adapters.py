"""Adapters of a model: saved apart in PEFT's form, read onto their base, several on one base and one of them in use."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from penjing.base.errors import ModelError, known
from penjing.base.files import existing, read_json
from penjing.changes.applied import Lifted
from penjing.changes.peft import CONFIG, Layout, hindrances, read_adapter, write_adapter
from penjing.model.families import family_of
from penjing.model.grown import grown
from penjing.tasks import task_named
from penjing.tasks.folders import KIND
from penjing.text.tokenizer import Tokenizer
from penjing.text.tokenizer_templates import template_files

if TYPE_CHECKING:
    from penjing.tasks.model import Model


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no model."""
    return (folder / CONFIG).exists() and not (folder / "config.json").exists()


def save_adapter(model: Model, folder: str | Path, base: str | Path | None = None) -> None:
    """Write the model's only change and its head as PEFT does; `base` is the folder or hub id of the model without.

    penjing.json beside them says the task, so that `Model.load` finds all again.
    """
    about = {"kind": "adapter", "task": model.task.record(), "lineage": model.lineage, "long_text": model.long_text,
             "window": model.window, "pairs": model.pairs}  # fmt: skip
    family = family_of(model.family)
    told = None if base is None else str(base)
    write_adapter(folder, model.changes, family, model.task.purpose, model.head, told, {KIND: about})


def portable(model: Model) -> bool:
    """Whether PEFT's form can hold the model's changes."""
    return not hindrances(
        model.changes, Layout(model.changes.network, family_of(model.family), model.task.purpose, model.head)
    )


def load_adapter(model: Model, folder: str | Path) -> Model:
    """Put an adapter in PEFT's form around the model's network, and its head in the place of the model's."""
    read_adapter(existing(folder), model.changes, family_of(model.family), model.task.purpose, model.head)
    return model


def base_of(folder: Path) -> Path | str:
    """The base that an adapter names: a hub id, or a path that counts from the adapter's folder, or from here."""
    base = read_json(folder / CONFIG, dict).get("base_model_name_or_path")
    if not base:
        raise ModelError("P-CHANGE-019", file=folder / CONFIG)
    return next((path.resolve() for path in (folder / base, Path(base)) if path.exists()), base)


def model_of_adapter(folder: Path) -> Model:
    """The base that an adapter names, under the adapter's task, with the adapter."""
    from penjing.tasks.model import Model

    model = Model.load(base_of(folder))
    tokenizer, rows = tokenizer_beside(folder, model), model.network.config.vocab_size
    model = with_tokens(model, tokenizer)
    if (folder / KIND).exists():
        about = read_json(folder / KIND, dict)
        options: dict[str, Any] = dict(about["task"])
        task = task_named(options.pop("task"), **options)
        if task != model.task:
            more = {name: about[name] for name in ("long_text", "window", "pairs")}
            model = model.with_task(task, 0, **more)
    model = load_adapter(model, folder)
    if (
        tokenizer.size > rows and "embedding.weight" not in model.changes[-1].before
    ):  # nobody says what the new rows are
        raise ModelError("P-TASK-004", tokens=tokenizer.size, rows=rows)
    return model


def with_tokens(model: Model, tokenizer: Tokenizer) -> Model:
    """The base of an adapter that learnt new tokens, under its tokenizer: with rows for them, which the adapter fills."""
    from penjing.tasks.model import Model

    if tokenizer.size <= model.network.config.vocab_size:
        model.tokenizer = tokenizer
        return model
    if model.changes:
        raise ModelError("P-TASK-004", tokens=tokenizer.size, rows=model.network.config.vocab_size)
    network = grown(model.network, model.family, tokenizer.size)
    return Model(network, model.head, model.task, tokenizer, model.family, model.lineage, model.long_text, model.piece,
                 model.generation, model.pairs)  # fmt: skip


def tokenizer_beside(folder: Path, model: Model) -> Tokenizer:
    """The tokenizer that lies in an adapter's folder, or the base's, with the chat templates that lie there."""
    if any((folder / name).is_file() for name in ("tokenizer.json", "vocab.txt", "vocab.json")):
        tokenizer = Tokenizer.load(folder)
        return model.task.prepared(tokenizer, max(tokenizer.size, model.network.config.vocab_size))
    tokenizer = copy.copy(model.tokenizer)
    if templates := template_files(folder):
        tokenizer.config = tokenizer.config | {"chat_template": templates}
    return tokenizer


class Adapters:
    """Several adapters on one model, by name; one of them is in use, or none. The base is there once."""

    def __init__(self, model: Model):
        self.model, self.first = model, len(model.changes)  # earlier changes are the base's
        self.kept: dict[str, tuple[list[Lifted], dict[str, Tensor]]] = {}
        self.own_head = self.head()
        self.name: str | None = None

    def head(self) -> dict[str, Tensor]:
        """The head's values now."""
        head = self.model.head
        return {} if head is None else {name: tensor.clone() for name, tensor in head.state_dict().items()}

    def load(self, name: str, folder: str | Path) -> None:
        """One adapter more, which is then in use."""
        self.use(None)
        load_adapter(self.model, folder)
        self.name = name

    def use(self, name: str | None) -> Model:
        """The model with this adapter, or as its base; takes the time of exchanging some references."""
        if name is not None and name != self.name:
            known(name, self.names, "adapter")
        if name == self.name:
            return self.model
        if self.name is not None:
            self.kept[self.name] = self.model.changes.lift(self.first), self.head()
        lifted, head = ([], self.own_head) if name is None else self.kept.pop(name)
        self.model.changes.lay(lifted)
        if self.model.head is not None:
            self.model.head.load_state_dict(head)
        self.name = name
        return self.model

    @property
    def names(self) -> list[str]:
        """All adapters."""
        return sorted({*self.kept, *([] if self.name is None else [self.name])})
