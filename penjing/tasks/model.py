"""A model: network, head, task and tokenizer in one, saved as a Hugging Face folder plus `penjing.json`.

Model.load("runs/quickstart/finetune/model").answer(["Where is my parcel?"])
"""

from __future__ import annotations

import copy
import dataclasses
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from penjing.base.errors import DataError, ModelError, TaskError
from penjing.base.files import whole_folder, write_json
from penjing.base.hub import local_folder
from penjing.base.progress import tell
from penjing.base.texts import Item, Two, check_list, two_texts
from penjing.changes.beside import Beside, Spoken, Texts
from penjing.changes.change import Batches, Change, Changes
from penjing.changes.edits import base_tensors, is_edits
from penjing.changes.files import Replay, lone_card, write_changes
from penjing.model.batch import Batch
from penjing.model.config import ModelConfig
from penjing.model.families import family_of
from penjing.model.head import HeadStyle
from penjing.model.initial import initialize
from penjing.model.transformer import Network
from penjing.tasks import check_family, task_named
from penjing.tasks.folders import KIND, about_model, foreign_model
from penjing.tasks.pairs import pair_pieces
from penjing.tasks.pieces import InMemory, LongText, Pieces
from penjing.tasks.seen import Seen
from penjing.tasks.task import Task
from penjing.text.tokenizer import Tokenizer

TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
DType = Literal["float32", "bfloat16", "auto"]
CUT = {"windows": "read in several windows", "head": "cut at the end", "head_tail": "cut in the middle"}


class Model(Spoken, nn.Module):
    """What is trained, saved, measured and served."""

    def __init__(
        self, network: Network, head: nn.Module | None, task: Task, tokenizer: Tokenizer, family: str,
        lineage: dict[str, Any] | None = None, long_text: LongText = "windows", window: int | None = None,
        generation: dict[str, Any] | None = None, pairs: bool | None = None,
    ):  # fmt: skip
        super().__init__()
        tokenizer = task.prepared(tokenizer, network.config.vocab_size)
        self.network, self.head, self.task, self.family = network, head, task, family
        self.beside = Beside(tokenizer, generation or {}, head)
        self.lineage, self.long_text = lineage or {}, long_text
        self.companion: nn.Module | None = None  # what is trained beside it and not saved
        self.pairs = pairs  # whether it was trained on two texts each; None: unknown, or on both kinds
        self.changes, self.seen = Changes(network, self.beside), Seen()
        self.piece = min(window or network.config.max_tokens, network.config.max_tokens)
        self.kept: Callable[[Batch], Batch] | None = None  # in training: gives a batch the states that it knows
        if tokenizer.size > network.config.vocab_size:
            raise ModelError("P-TASK-004", tokens=tokenizer.size, rows=network.config.vocab_size)

    @classmethod
    def new(
        cls, config: ModelConfig, family: str, task: Task, tokenizer: Tokenizer, seed: int, *, head_dropout: float = 0.0,
        **more: Any,
    ) -> Model:  # fmt: skip
        """A model with fresh weights that follow from the seed."""
        check_family(task.name, family)
        config = started(config, family, tokenizer)
        network = family_of(family).network.new(config, seed, vocabulary=task.vocabulary)
        style = fresh_style(family, task.purpose, head_dropout, tokenizer)
        model = cls(network, task.head(config, style), task, tokenizer, family, **more)
        if model.head is not None:
            model.head.initialize(seed + 1, config.initial_std)
        model.companion = filled_companion(task, config, seed + 2)
        return model

    def with_task(
        self, task: Task, seed: int, *, dropout: float | None = None, head_dropout: float = 0.0, **more: Any
    ) -> Model:
        """The same network under another task, with a fresh head unless the task goes on from the one that is there.

        `dropout` replaces the network's own.
        """
        check_family(task.name, self.family)
        network = self.network
        config = network.config if dropout is None else dataclasses.replace(network.config, dropout=dropout)
        task = task.following(self.task)
        family_of(self.family).architecture(family_of(self.family).type_of(config), task.purpose)  # an error, if none
        config = config if task.vocabulary else started(config, self.family, self.tokenizer)
        fresh = family_of(self.family).network.new(config, seed, vocabulary=task.vocabulary)
        head = task.head(config, fresh_style(self.family, task.purpose, head_dropout, self.tokenizer))
        if head is not None:
            head.initialize(seed + 1, config.initial_std)
            head.load_state_dict(self.dense_for(task.purpose), strict=False)
        if head is not None and self.head is not None and task.inherits(self.task):
            head.load_state_dict(self.head.state_dict())
        model = Model(
            fresh, head, task, self.tokenizer, self.family, self.lineage, **{"generation": self.generation, **more}
        )
        model.companion = filled_companion(task, config, seed + 2)
        model.changes.repeat(self.changes)
        kept = {
            name: t for name, t in base_tensors(network).items() if task.vocabulary or not name.startswith("output.")
        }
        lacking, strange = fresh.load_state_dict(kept, strict=False)
        if strange or any(not is_edits(name) and (network.output or not of_vocabulary(name)) for name in lacking):
            raise AssertionError(f"{lacking} and {strange} of two networks that are the same")
        model.changes.fill(
            {name: t for name, t in self.changes.tensors().items() if task.vocabulary or not of_vocabulary(name)}
        )
        return model

    def adapt(
        self, changes: Sequence[Change], seed: int = 0, batches: Batches = None, *, labelled: bool = False
    ) -> Model:
        """The same model with changes of its network more; those that adapt it are alone trained from here on, beside
        the head.

        `batches`: calibration data, for changes that look at them; `labelled`: with what its task is to learn of them.
        """
        if changes:
            batches = batches.of(self) if isinstance(batches, Texts) else batches
            self.changes.adopt(changes, seed, batches, self.forward if labelled else None)
        if not any(parameter.requires_grad for parameter in self.parameters()):
            raise ModelError("P-CHANGE-001")
        return self

    def rate_of(self, name: str) -> float:
        """The factor on the learning rate of a parameter."""
        return self.changes.rate(name.removeprefix("network.")) if name.startswith("network.") else 1.0

    def turn_of(self, name: str) -> float:
        """The share of the steps after which a parameter begins to be trained."""
        return self.changes.turn(name.removeprefix("network.")) if name.startswith("network.") else 0.0

    def dense_for(self, purpose: str) -> dict[str, Tensor]:
        """The part of this model's head that one for another purpose has too: BERT's pooler."""
        if self.head is None or purpose == self.task.purpose:
            return {}
        names = family_of(self.family).names
        both = [names(self.network.config, one).get("head.dense") for one in (self.task.purpose, purpose)]
        return {
            name: t for name, t in self.head.state_dict().items() if name.startswith("dense.") and both[0] == both[1]
        }

    def forward(self, batch: Batch) -> Tensor:
        """The sum of the losses of a batch: what training minimises."""
        return self.task.loss(self, batch if self.kept is None else self.kept(batch))

    # ---- folders ----

    def save(self, folder: str | Path, card: str | None = None) -> None:
        """Write the folder whole: config, weights, tokenizer, task, and a card if one is given."""
        from penjing.model.checkpoint import write_checkpoint

        with whole_folder(folder) as part:
            self.tokenizer.save(part, typed=self.typed)
            extra = self.task.config() | self.token_config()
            write_checkpoint(
                part, self.network, family=self.family, purpose=self.task.purpose, head=self.head, extra=extra,
                generation=self.generation | self.task.generation(self), tensors=base_tensors(self.network),
                whole=not self.changes.standing, own=self.changes.shortened,
            )  # fmt: skip
            write_changes(part, self.changes)
            more = {"kind": "model", "task": self.task.record(), "lineage": self.lineage}
            write_json(part / KIND, more | {"long_text": self.long_text, "window": self.piece}
                       | ({} if self.pairs is None else {"pairs": self.pairs})
                       | ({"changes": self.changes.records()} if self.changes else {}))  # fmt: skip
            self.task.write(self, part)
            card = lone_card(self.changes) if card is None and self.changes.standing else card
            if card is not None:
                (part / "README.md").write_text(card, encoding="utf-8")

    def token_config(self) -> dict[str, Any]:
        """The special tokens' numbers: the same in config, generation config and tokenizer."""
        t = self.tokenizer
        ids = {"pad_token_id": t.pad, "bos_token_id": t.begin, "eos_token_id": t.end}
        return {key: value for key, value in ids.items() if value is not None}

    @classmethod
    def load(cls, folder: str | Path, dtype: DType = "float32", revision: str | None = None) -> Model:
        """Read what `save` wrote, or a foreign folder (or model on the hub) whose labels and family are known, or an
        adapter in PEFT's form on the base that it names.

        Several models that answer as one come back as a `Committee`, which answers as a model does.

        dtype: the arithmetic of the answers. bfloat16 moves probabilities by about 0.01; `auto` takes it where a
        measurement of a few milliseconds shows that this machine is faster with it.
        """
        from penjing.model.checkpoint import read_checkpoint
        from penjing.tasks.adapters import is_adapter, model_of_adapter

        folder = local_folder(folder, revision)
        if is_adapter(folder):
            return model_of_adapter(folder).eval().in_arithmetic(dtype)
        own = about_model(folder) if (folder / KIND).exists() else None
        if own and own.get("kind") == "committee":
            from penjing.tasks.committee import Committee

            return Committee.load(folder, dtype)  # type: ignore[return-value]
        replay = Replay(folder, own["changes"]) if own and own.get("changes") else None
        found = read_checkpoint(folder, alter=replay)
        about = own or foreign_model(folder, found)
        options = dict(about["task"])
        task = task_named(options.pop("task"), **options)
        if task.purpose != found.purpose:
            raise ModelError("P-TASK-005", file=folder, task=task.name, given=found.purpose)
        model = cls(
            found.transformer(), found.head(), task, Tokenizer.load(folder), found.family,
            about.get("lineage"), about.get("long_text", "windows"), about.get("window"), found.generation,
            about.get("pairs"),
        )  # fmt: skip
        if replay is not None:
            model.changes = replay.filled(model.network, model.beside)
        return model.eval().in_arithmetic(dtype)

    @property
    def window(self) -> int:
        """Tokens of a text that it reads at once: as was asked for, and no more than its network now has room for."""
        return min(self.piece, self.network.max_tokens)

    @property
    def decoder_start(self) -> int | None:
        """What the decoder of an encoder-decoder reads first: as the config says, else the last token of an answer."""
        start = self.network.config.decoder_start
        return self.tokenizer.build([])[-1] if start is None and self.tokenizer.suffix else start

    def in_arithmetic(self, dtype: DType) -> Model:
        """The same model with its weights in another type."""
        if dtype == "auto":
            dtype = faster_type(self)
        return self.to(TYPES[dtype])

    # ---- answers ----

    @property
    def typed(self) -> bool:
        """Whether the second of two texts is told by token types: tokenizer and network have them."""
        return self.tokenizer.typed and getattr(self.network.config, "segments", 0) > 1

    def pieces(self, items: Sequence[Item], what: str = "answer") -> Pieces:
        """Texts, or pairs of texts, as the network will see them; what is too long is told."""
        texts = whole_texts(items)
        pairs = any(second is not None for _, second in texts)
        pieces, way = self.cut(texts, pairs), "the longer text is cut first" if pairs else CUT[self.long_text]
        if pieces.cut:
            share = 100 * pieces.cut / len(items)
            text = f"{pieces.cut} texts ({share:.1f} %) are longer than {pieces.room} tokens: {way}"
            tell("warning", what, text, cut=pieces.cut)
        return pieces

    def cut(self, texts: Sequence[Two], pairs: bool) -> Pieces:
        """The pieces of texts; `pairs`: some of them have a second one."""
        if pairs:
            return pair_pieces(texts, self.tokenizer, self.window, self.typed)
        tokens = InMemory(self.tokenizer.encode_many([text for text, _ in texts]))
        return Pieces(tokens, self.tokenizer, self.window, self.long_text)

    @torch.inference_mode()
    def scored(self, pieces: Pieces, batch_tokens: int = 4096) -> Iterator[tuple[np.ndarray, Tensor]]:
        """Class scores of all pieces, in batches of like lengths: (rows, scores)."""
        from penjing.tasks.batches import Batches

        self.eval()
        for rows in Batches(pieces.lengths, batch_tokens, 0, shuffle=False).epoch(0):
            batch = self.task.collate(pieces, rows, self.tokenizer, None)  # type: ignore[arg-type]
            yield rows, self.task.class_scores(self, batch)  # type: ignore[attr-defined]

    def averaged(
        self, records: Sequence[Item], columns: int, of: Callable[[Tensor], Tensor], tokens: int
    ) -> np.ndarray:
        """What `of` makes of the scores of texts, pairs or records: N `columns` (float64), in batches of `tokens`."""
        check_list(records)
        found = np.zeros((len(records), columns))
        if not len(records):
            return found
        check_texts(records, self.pairs)
        second = np.asarray([two_texts(record)[1] is not None for record in records])
        for kind in (False, True):  # a long text by itself is read in windows, a pair is not
            if (numbers := np.flatnonzero(second == kind)).size:
                pieces = self.pieces([records[number] for number in numbers])
                found[numbers] = self.averaged_pieces(pieces, columns, of, tokens)
        return found

    def averaged_pieces(
        self, pieces: Pieces, columns: int, of: Callable[[Tensor], Tensor], tokens: int = 4096
    ) -> np.ndarray:
        """The same of pieces: the windows of one document are averaged, weighted by their tokens."""
        total = np.zeros((len(pieces.documents.lengths), columns))
        weight = np.zeros(len(total))
        for rows, scores in self.scored(pieces, tokens):
            share = pieces.lengths[rows].astype(float)
            np.add.at(total, pieces.owner[rows], of(scores).double().numpy() * share[:, None])
            np.add.at(weight, pieces.owner[rows], share)
        return total / weight[:, None]

    def probabilities(self, records: Sequence[Item], batch_tokens: int = 4096) -> np.ndarray:
        """Probabilities N C (float64) of texts, pairs of texts, or records."""
        if not hasattr(self.task, "probabilities"):
            raise TaskError("P-TASK-006", task=self.task.name)
        return self.averaged(records, len(self.task.labels), self.task.probabilities, batch_tokens)  # type: ignore[attr-defined]

    def answer(self, records: Sequence[Item], batch_tokens: int = 4096) -> list[dict[str, Any]]:
        """What the task answers for records, texts, or tuples of texts, in their order, whatever the batches' size."""
        asked = self.checked(records)
        return self.task.answer(self, asked, batch_tokens) if asked else []

    def checked(self, records: Sequence[Item]) -> list[Mapping[str, Any]]:
        """Records, texts, or tuples of texts as sound records of the task."""
        check_list(records)
        asked = [self.task.normal(self.asked(item)) for item in records]
        if asked:
            self.task.check(asked, learn=False)
        return asked

    def asked(self, item: Item) -> Mapping[str, Any]:
        """An item as a record of the task."""
        if isinstance(item, Mapping):
            return item
        if not isinstance(item, str | list | tuple):
            raise DataError("P-TASK-009", field=self.task.typed[0], given=type(item).__name__, count=1)
        return self.task.item([item] if isinstance(item, str) else [text for text in item if text is not None])


def of_vocabulary(name: str) -> bool:
    """Whether a tensor of the changes is of the vocabulary head, which a network without one lacks."""
    return re.match(r"(before\.\d+\.)?output\.", name) is not None


def whole(text: str) -> str:
    """A text without half surrogate pairs, which no tokenizer takes."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def whole_texts(items: Sequence[Item]) -> list[Two]:
    """The text, or both texts, of each item, whole."""
    return [tuple(text and whole(text) for text in two_texts(item)) for item in items]  # type: ignore[misc]


def check_texts(items: Sequence[Item], pairs: bool | None) -> None:
    """Every item has a text, and a second one where the model was trained on two, and only there."""
    texts = [two_texts(item) for item in items]
    lacking = [i for i, (text, _) in enumerate(texts) if not isinstance(text, str)]
    if lacking:
        given = sorted(items[lacking[0]]) if isinstance(items[lacking[0]], dict) else type(items[lacking[0]]).__name__
        raise DataError("P-TASK-009", field="text", given=given, count=len(lacking), line=lacking[0] + 1)
    odd = [i for i, (_, second) in enumerate(texts) if second is not None and not isinstance(second, str)]
    if odd:
        raise DataError("P-DATA-021", field="text_b", given=texts[odd[0]][1], line=odd[0] + 1)
    wrong = [] if pairs is None else [i for i, (_, second) in enumerate(texts) if (second is not None) != pairs]
    if wrong:
        raise DataError("P-TASK-031" if pairs else "P-TASK-032", field="text_b", count=len(wrong), line=wrong[0] + 1)


@torch.inference_mode()
def faster_type(model: Model, rows: int = 8, tokens: int = 256) -> str:
    """float32 or bfloat16, whichever reads a batch faster here."""
    ids = torch.zeros(rows, min(tokens, model.window), dtype=torch.int64)
    twins = {"float32": model.network, "bfloat16": copy.deepcopy(model.network).bfloat16()}
    spent = dict.fromkeys(twins, math.inf)
    for name in list(twins) * 4:
        began = time.perf_counter()
        twins[name](Batch(tokens=ids, target=ids if model.network.decoder is not None else None))
        spent[name] = min(spent[name], time.perf_counter() - began)
    return min(spent, key=spent.__getitem__)


def started(config: Any, family: str, tokenizer: Tokenizer) -> Any:
    """The config with the token that an encoder-decoder's decoder begins with, as the family has it."""
    if not (config.encoder_layers and config.decoder_layers):
        return config
    name = family_of(family).start
    return dataclasses.replace(config, decoder_start=None if name is None else getattr(tokenizer, name))


def filled_companion(task: Task, config: ModelConfig, seed: int) -> nn.Module | None:
    """The network that a task trains beside the model's, with fresh weights that follow from the seed."""
    found = task.companion(config)
    if found is not None:
        initialize(found, config, torch.Generator().manual_seed(seed))
    return found


def fresh_style(family: str, purpose: str, dropout: float, tokenizer: Tokenizer) -> HeadStyle:
    """The head for a purpose that a family puts on a network made here."""
    found = family_of(family)
    style = dataclasses.replace(found.style_of(purpose, found.whole(dict(found.fresh))), dropout=dropout)
    return style if style.end is None else dataclasses.replace(style, end=tokenizer.end)
