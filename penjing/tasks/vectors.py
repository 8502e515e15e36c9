"""Tasks whose answer is a vector for each text: what `embed` and `contrast` share.

A long text is read in windows; its vector is the mean of theirs, weighted by their tokens.
Shapes: N texts, B of a batch, W width.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import DataError, TaskError, raise_all
from penjing.model.batch import Batch
from penjing.model.pooling import Pooling, text_states
from penjing.tasks import task
from penjing.tasks.sentence_folders import write_sentence_folder
from penjing.tasks.task import Line, Record, padded, place_of

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.pieces import Pieces

PAIR, TRIPLET = ("text", "text_b"), ("text", "positive", "negative")
DIGITS = 7  # after the point: as fine as float32 near 1, and half as many bytes in JSON
SHOWN = 6  # numbers of a vector that are shown
BAR = 20  # characters of a cosine of 1


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class VectorTask(task.Task):
    """How a text becomes a vector."""

    pooling: Annotated[
        Pooling | None,
        Field(description="whose state is the text's; left out: as the given model has it, else mean (decoder: last)"),
    ] = None

    purpose: ClassVar[str] = "base"
    vocabulary: ClassVar[bool] = False
    two_texts: ClassVar[bool] = True
    long_texts: ClassVar[tuple[str, ...]] = ("windows", "head", "head_tail")

    @property
    def of_length_one(self) -> bool:
        """Are vectors divided by their lengths?"""
        return True

    # ---- vectors ----

    def pooling_of(self, model: Model) -> Pooling:
        """The pooling that a model is used with."""
        if model.network.encoder is not None and model.network.decoder is not None:
            raise TaskError("P-TASK-090", task=self.name, family=model.family)
        return self.pooling or ("mean" if model.network.encoder is not None else "last")

    def states(self, model: Model, batch: Batch) -> Tensor:
        """The texts' states B W, in float32, of any length."""
        return text_states(model.network, batch, self.pooling_of(model)).float()

    @torch.inference_mode()
    def vectors(self, model: Model, texts: Sequence[str], batch_tokens: int = 4096) -> np.ndarray:
        """The vectors N W (float32) of texts, whatever their company."""
        from penjing.tasks.batches import Batches

        model.eval()
        pieces = model.pieces(list(texts))
        total = np.zeros((len(texts), model.network.config.width), np.float64)
        weight = np.zeros(len(texts))
        for rows in Batches(pieces.lengths, batch_tokens, 0, shuffle=False).epoch(0):
            share = pieces.lengths[rows].astype(float)
            states = self.states(model, read(pieces, rows, model.tokenizer)).double().numpy()
            np.add.at(total, pieces.owner[rows], states * share[:, None])
            np.add.at(weight, pieces.owner[rows], share)
        found = total / np.maximum(weight, 1)[:, None]
        return (unit(found) if self.of_length_one else found).astype(np.float32)

    # ---- answers ----

    @classmethod
    def normal(cls, record: Record) -> Record:
        """The records of others: sentence1 and sentence2, anchor and positive, query and passage."""
        return renamed(record)

    def check(self, records: Sequence[Record], learn: bool) -> None:
        """Every text that is to be read is a text."""
        raise_all([problem for number, record in enumerate(records) for problem in untexted(record, number)])

    def answer(self, model: Model, records: Sequence[Record], batch_tokens: int = 4096) -> list[dict[str, Any]]:
        """For one text its `vector`; for more their `vectors`, and of the first to each other one the `cosines`."""
        groups = [texts_of(record) for record in records]
        numbers: dict[str, int] = {}
        places = [[numbers.setdefault(text, len(numbers)) for text in group] for group in groups]
        found = self.vectors(model, list(numbers), batch_tokens) if numbers else np.zeros((0, 1), np.float32)
        return [told(found[place]) for place in places]

    def item(self, texts: Sequence[str]) -> dict[str, Any]:
        """A record of one text, of a pair, or of several to be set side by side."""
        if len(texts) > 2:
            return {"texts": list(texts)}
        return dict(zip(PAIR, texts, strict=False))

    def lines(self, record: Record, answer: Mapping[str, Any]) -> Iterator[Line]:
        """A vector's first numbers; of several texts a table: the cosine of the first to each other one."""
        first, *others = texts_of(record)
        if not others:
            shown = " ".join(f"{value:+.3f}" for value in answer["vector"][:SHOWN])
            yield [(shown, "number"), (f" … {len(answer['vector'])} numbers  ", "dim"), (first, "")]
            return
        yield [(first, "strong")]
        for text, cosine in zip(others, answer["cosines"], strict=True):
            bar = "█" * round(BAR * max(0.0, cosine))
            yield [(f"{cosine:+.3f} ", "number"), (f"{bar:{BAR}} ", "dim"), (text, "")]

    # ---- models ----

    def following(self, other: task.Task) -> VectorTask:
        """This task on a network that was made for another one: what is left out is as it was there."""
        names = [field.name for field in dataclasses.fields(self) if field.name in ("pooling", "normalise")]
        left = {name: getattr(other, name, None) for name in names if getattr(self, name) is None}
        return dataclasses.replace(self, **left)

    def write(self, model: Model, folder: Path) -> None:
        """What sentence-transformers wants to know beside the checkpoint."""
        width = model.network.config.width
        write_sentence_folder(folder, self.pooling_of(model), self.of_length_one, width, model.window)


def read(pieces: Pieces, rows: np.ndarray, tokenizer: Any) -> Batch:
    """Pieces as a batch without labels."""
    tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
    return Batch(tokens=tokens, mask=mask, records=pieces.records(rows))


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows divided by their lengths."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def directions(states: Tensor) -> Tensor:
    """The same for tensors."""
    return F.normalize(states, dim=-1, eps=1e-12)


def told(vectors: np.ndarray) -> dict[str, Any]:
    """The answer for one record's vectors."""
    exact = vectors.astype(np.float64)
    shown = exact.round(DIGITS).tolist()
    if len(vectors) == 1:
        return {"vector": shown[0]}
    rows = unit(exact)
    cosines = (rows[1:] @ rows[0]).clip(-1, 1).tolist()
    return {"cosine": cosines[0], "cosines": cosines, "vectors": shown}


def texts_of(record: Record) -> list[str]:
    """The texts of a record, in order."""
    if record.get("texts") is not None:
        return list(record["texts"])
    names = TRIPLET if record.get("positive") is not None else PAIR
    return [record[name] for name in names if record.get(name) is not None]


NAMES = {  # the names of others: ours
    "sentence1": "text", "sentence2": "text_b", "sentence_1": "text", "sentence_2": "text_b", "text1": "text",
    "text2": "text_b", "text_a": "text", "anchor": "text", "query": "text", "question": "text", "passage": "text_b",
    "answer": "text_b", "sentence": "text", "similarity_score": "score", "similarity": "score",
}  # fmt: skip


def renamed(record: Record) -> Record:
    """A record with our names; two texts of which the second is called positive are a pair."""
    found = dict(record)
    for theirs, ours in NAMES.items():
        if theirs in found and ours not in found:
            found[ours] = found.pop(theirs)
    if found.get("positive") is not None and found.get("negative") is None and found.get("text_b") is None:
        found["text_b"] = found.pop("positive")
    if found == dict(record):
        return record
    again = type(record)(found) if type(record) is dict else type(record)(found, record.file, record.line)  # type: ignore
    return again


def untexted(record: Record, number: int) -> list[DataError]:
    """The fields of a record that should hold a text and do not."""
    place = place_of(record, number)
    names = [name for name in (*TRIPLET, "text_b") if name in record and record[name] is not None]
    if "texts" in record:
        values = record["texts"] if isinstance(record["texts"], list) else [record["texts"]]
        return [] if values and all(isinstance(one, str) for one in values) else [lacking("texts", values, place)]
    wrong = [name for name in names if not isinstance(record[name], str)]
    absent = [] if "text" in names else ["text"]
    return [lacking(name, record.get(name, sorted(record)), place) for name in (*absent, *wrong)]


def lacking(name: str, given: Any, place: Mapping[str, Any]) -> DataError:
    return DataError("P-TASK-091", field=name, given=given, **place)
