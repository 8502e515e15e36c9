"""The protocol of a task: from records to rows of tokens, from hidden states to a loss, to answers and to scores.

What is measured is what is served: evaluation, the command line and a server all ask `Task.answer`.

B batch, T tokens, M asked places, W width, V vocabulary, N records, C labels, K statistics, R resamples
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from penjing.base.errors import DataError, EvaluateError, PenjingError, TaskError, raise_all
from penjing.model.batch import Batch
from penjing.tasks.batches import width_of

if TYPE_CHECKING:
    from penjing.model.config import ModelConfig
    from penjing.model.divergence import Divergence, Product
    from penjing.model.head import HeadStyle
    from penjing.tasks.model import Model
    from penjing.tasks.pieces import Documents, Pieces
    from penjing.text.tokenizer import Tokenizer

IGNORED = -100  # a label that carries no loss

Record = Mapping[str, Any]
Line = list[tuple[str, str]]  # parts of a line: text, and the style it is drawn in


class Task:
    """Base of all tasks: a frozen dataclass of options. Subclasses say how examples, loss and answers are made."""

    name: ClassVar[str]
    purpose: ClassVar[str]  # which checkpoint layout it is saved in: masked, causal, classify
    needs: ClassVar[tuple[str, ...]] = ("text",)  # fields of a record that is to be answered
    taught: ClassVar[tuple[str, ...]] = ()  # fields more of a record that is learnt from, or measured on
    typed: ClassVar[tuple[str, ...]] = ("text",)  # what a user types for one answer, as `item` takes it
    main_score: ClassVar[str] = "loss"
    lower: ClassVar[tuple[str, ...]] = ()  # scores of which less is better
    scale: ClassVar[float] = 100.0  # what a score of one is shown as; 100: in points of a hundred, 1: as it is
    baselines: ClassVar[tuple[str, ...]] = ()  # classical models it must beat: files of evaluate/classical/

    extras: ClassVar[Mapping[str, str]] = {}  # modules that its baselines need, and the extra that brings each
    vocabulary: ClassVar[bool] = True  # whether it asks for vocabulary scores

    # ---- from records to batches ----

    @classmethod
    def made(cls, records: Sequence[Record], **options: Any) -> Task:
        """The task that these training records teach. A subclass that finds something in them (labels) names, as
        keyword-only parameters with types, what a user may say; here all fields may be said."""
        return cls(**options)

    @classmethod
    def look(cls, records: Sequence[Record], options: Mapping[str, Any]) -> None:
        """Look at the first records before anything runs, and raise what is wrong with them; `options`: what was said."""
        from penjing.tasks import made_task

        found = [cls.normal(record) for record in records]
        made_task(cls.name, found, options).check(found, learn=True)

    def problems(self) -> list[PenjingError]:
        """What is wrong with the options together."""
        return []

    def suits(self, tokenizer: Tokenizer) -> None:
        """Raise what the tokenizer lacks for this task."""

    comparable: ClassVar[bool] = True  # whether the answers of several models can be scored together

    def subject(self, record: Record) -> str:
        """What a record asks, as one text: where these are near duplicates, one must not be learnt from when the other
        is to be answered."""
        values = [record.get(name) for name in (*self.needs, *(("text_b",) if self.two_texts else ()))]
        return "\n".join(
            " ".join(map(str, one)) if isinstance(one, list | tuple) else str(one) for one in values if one
        )

    @classmethod
    def normal(cls, record: Record) -> Record:
        """A record of one of the field's own forms in ours; it keeps its file and line."""
        return record

    def check(self, records: Sequence[Record], learn: bool) -> None:
        """All that is wrong with records, raised at once; here: fields that are not there."""
        wanted = self.needs + (self.taught if learn else ())
        absent = [(n, name) for n, record in enumerate(records) for name in wanted if record.get(name) is None]
        raise_all([DataError("P-TASK-009", field=name, given=sorted(records[n]), count=[a[1] for a in absent].count(name),
                             **place_of(records[n], n)) for n, name in absent[:1]])  # fmt: skip

    def prepared(self, tokenizer: Tokenizer, rows: int) -> Tokenizer:
        """The tokenizer as the task uses it; rows: tokens that the network has room for."""
        return tokenizer

    def head(self, config: ModelConfig, style: HeadStyle | None) -> nn.Module | None:
        """What stands on the network, if anything: built, not filled."""
        return None

    def companion(self, config: ModelConfig) -> nn.Module | None:
        """A network that is trained beside the model's and not saved with it, if there is one: built, not filled."""
        return None

    def targets(self, records: Sequence[Record]) -> np.ndarray | None:
        """What is to be learnt of each record as an array, or None where the text is its own label."""
        return None

    def pieces(self, model: Model, records: Sequence[Record], learn: bool) -> Pieces:
        """The rows of tokens that the network will read; `learn`: with what is to be learnt."""
        raise TaskError("P-TASK-006", task=self.name)

    word_starts = False  # whether raw text is kept with the places where its words start
    chinese_words = False  # whether these are Chinese words too
    dropout_needed: ClassVar[bool] = False  # whether there is nothing to learn without dropout
    two_texts: ClassVar[bool] = False  # whether a second text `text_b` is read with the first
    long_texts: ClassVar[tuple[str, ...]] = ()  # what may become of a text longer than the window, the usual first

    def raw_pieces(self, documents: Documents, tokenizer: Tokenizer, window: int, moving: int | None = None) -> Pieces:
        """Rows of raw text, of which the task makes its own questions; `moving`: a seed by which each epoch cuts anew."""
        from penjing.tasks.pieces import MovingPieces, Pieces

        if moving is not None:
            return MovingPieces(documents, tokenizer, window, empty=False, seed=moving)
        return Pieces(documents, tokenizer, window, empty=False)

    def collate(self, pieces: Pieces, rows: np.ndarray, tokenizer: Tokenizer, random: np.random.Generator) -> Batch:
        """A batch of the pieces `rows`. `random` is the only source of chance: corruption is drawn here alone."""
        raise AssertionError(f"task {self.name} says nothing here")

    def validating(self) -> Task:
        """The same task without what is done to examples only so that training generalises."""
        return self

    # ---- learning ----

    def kept_pieces(self, model: Model, records: Sequence[Record], file: Path) -> Pieces:
        """The rows to learn from; what is costly about them, and must stay the same when a run goes on, is kept in
        the file."""
        return self.pieces(model, records, True)

    def loss(self, model: Model, batch: Batch) -> Tensor:
        """The sum of the losses of the batch's labels."""
        return self.loss_of(model, self.says(model, batch), batch)

    def says(self, model: Model, batch: Batch) -> Tensor:
        """What the network makes of a batch, and the loss is made of: scores of the head, or the states asked for."""
        raise AssertionError(f"task {self.name} says nothing here")

    def loss_of(self, model: Model, said: Tensor, batch: Batch) -> Tensor:
        """The sum of the losses of the batch's labels, from what the network says."""
        raise AssertionError(f"task {self.name} says nothing here")

    def ready(self, model: Model) -> None:
        """Raise why this model cannot learn the task; asked before the first step."""

    # ---- learning from another network ----

    same_tokens: ClassVar[bool] = True  # whether a teacher must read the very tokens that this network reads

    def hears(self, teacher: Any, batch: Batch) -> Any:
        """What a teacher says of a batch, as `apart` takes it."""
        raise TaskError("P-TASK-137", task=self.name)

    def hears_once(self, teacher: Any, records: Sequence[Record]) -> np.ndarray:
        """The same of each record, read by the teacher's own tokenizer: N ... float32; of tasks without `same_tokens`."""
        raise AssertionError(f"task {self.name} says nothing here")

    def apart(self, model: Model, said: Tensor, theirs: Any, batch: Batch, divergence: Divergence) -> Tensor:
        """How far what the network says is from what a teacher says, summed over the batch's labels."""
        raise AssertionError(f"task {self.name} says nothing here")

    def unanswered(self, record: Record) -> Record:
        """A record as it is asked, without its answer."""
        return {name: value for name, value in record.items() if name not in self.taught}

    def answered_with(self, record: Record, answer: Mapping[str, Any]) -> Record | None:
        """A record with an answer in the place of its own, if there is something in it; of tasks that write."""
        raise AssertionError(f"task {self.name} says nothing here")

    @classmethod
    def around(cls, said: Mapping[str, Any], names: Sequence[str]) -> type[Task]:
        """The class of the task for what is said of it: of a task around a task that of one of `names` with it around."""
        return cls

    @classmethod
    def unheeded(cls, said: Mapping[str, Any], options: Mapping[str, Any]) -> list[PenjingError]:
        """Options of a stage that have no effect beside what is said of the task."""
        return []

    @classmethod
    def brings(cls, said: Mapping[str, Any]) -> bool:
        """Whether the task brings the model that training begins with."""
        return False

    def begun(self, seed: int, **more: Any) -> Model | None:
        """The model that training begins with, where the task brings it; `more` as `Model.with_task` takes it."""
        return None

    def watched(self, model: Model, records: Sequence[Record]) -> float | None:
        """The score of valid records by which training keeps its best weights, higher is better; None: by the loss."""
        return None

    def inherits(self, before: Task) -> bool:
        """Whether the head that a network was taught for `before` is where this task begins."""
        return False

    def settled(self, model: Model, records: Sequence[Record]) -> Task:
        """The task after training, with what is fitted on valid records, if there are any, such as a threshold."""
        return self

    # ---- answers and scores ----

    def answer(self, model: Model, records: Sequence[Record], batch_tokens: int = 4096) -> list[dict[str, Any]]:
        """What a user gets for each record; the same for any size of batches."""
        raise TaskError("P-TASK-006", task=self.name)

    def together(
        self, models: Sequence[Model], records: Sequence[Record], batch_tokens: int = 4096
    ) -> list[dict[str, Any]]:
        """What several models of this task answer as one, each answer with `disagreement`, a deviation."""
        raise EvaluateError("P-EVAL-044", task=self.name)

    def statistics(self, answers: Sequence[dict[str, Any]], records: Sequence[Record]) -> np.ndarray:
        """What each record adds to the sums that scores are made of: N K float64."""
        raise TaskError("P-TASK-006", task=self.name)

    def scores(self, sums: np.ndarray) -> dict[str, np.ndarray]:
        """Every score by name from sums ... K, each of shape ...; the main score first."""
        raise TaskError("P-TASK-006", task=self.name)

    def score(self, answers: Sequence[dict[str, Any]], records: Sequence[Record]) -> dict[str, float]:
        """Every score of these answers."""
        found = self.resampled(answers, records, np.ones((1, len(records))))
        return {name: float(values[0]) for name, values in found.items()}

    def resampled(
        self, answers: Sequence[dict[str, Any]], records: Sequence[Record], weights: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Every score of each resample, R; `weights` R N says how often a record is in it."""
        return self.scores(weights @ self.statistics(answers, records))

    def telling(
        self, answers: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]], records: Sequence[Record]
    ) -> int:
        """How many of the units that resamples draw, here records, tell the two apart: a handful may be chance."""
        return int((self.statistics(answers, records) != self.statistics(others, records)).any(1).sum())

    def notes(self, records: Sequence[Record]) -> dict[str, str]:
        """What a reader must know to compare the scores, such as a signature of how they were computed."""
        return {}

    def item(self, texts: Sequence[str]) -> dict[str, Any]:
        """A record of what a user typed: a text for each name in `typed`, which here are fields."""
        if len(texts) != len(self.typed):
            raise TaskError("P-TASK-110", task=self.name, fields=", ".join(self.typed), given=len(texts))
        return dict(zip(self.typed, texts, strict=True))

    def lines(self, record: Record, answer: dict[str, Any]) -> Iterator[Line]:
        """The record and its answer as a person reads them."""
        yield [(" · ".join(str(record.get(name, "")) for name in self.needs), "")]
        yield [("  ", ""), (str(answer), "strong")]

    def truth(self, record: Record) -> str:
        """What is known to be right of a record, as a person reads it beside the lines of an answer."""
        return " · ".join(str(record[name]) for name in self.taught if record.get(name) is not None)

    def following(self, other: Task) -> Task:
        """This task on a network that was made for another one, which may know what is left out here."""
        return self

    def config(self) -> dict[str, Any]:
        """What others must know of the saved network's head: entries of config.json."""
        return {}

    def generation(self, model: Model) -> dict[str, Any]:
        """How others must ask the saved network for the answers that the task gives: entries of generation_config.json;
        None takes one away."""
        return {}

    def write(self, model: Model, folder: Path) -> None:
        """What the task adds to a saved folder."""

    def record(self) -> dict[str, Any]:
        """The task as a checkpoint keeps it."""
        from dataclasses import asdict

        return {"task": self.name, **asdict(self)}  # type: ignore[call-overload]


def named(labels: Sequence[str]) -> dict[str, Any]:
    """The labels of a head as transformers' config keeps them."""
    return {
        "id2label": {str(i): label for i, label in enumerate(labels)},
        "label2id": {label: i for i, label in enumerate(labels)},
    }


def place_of(record: Record, number: int) -> dict[str, Any]:
    """Where a record stands, for messages: its file and line, else its number."""
    return {"file": getattr(record, "file", None), "line": getattr(record, "line", None) or number + 1}


def padded(rows: Sequence[np.ndarray], fill: int, width: int | None = None) -> tuple[Tensor, Tensor | None]:
    """Rows of tokens as one tensor B T (int64), and its mask (None if no row is shorter)."""
    lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
    width = width or width_of(int(lengths.max()))
    tokens = np.full((len(rows), width), fill, dtype=np.int64)
    for number, row in enumerate(rows):
        tokens[number, : len(row)] = row
    mask = None if int(lengths.min()) == width else torch.from_numpy(np.arange(width) < lengths[:, None])
    return torch.from_numpy(tokens), mask


def vocabulary_loss(model: Model, hidden: Tensor, labels: Tensor) -> Tensor:
    """Summed cross-entropy of the vocabulary scores where a label stands."""
    kept = labels != IGNORED
    return model.network.vocabulary_loss(hidden[kept], labels[kept])


def states_for(hidden: Tensor, batch: Batch) -> Tensor:
    """Of states B T W those N W where a label stands."""
    assert batch.labels is not None
    return hidden[batch.labels != IGNORED]


def labels_loss(model: Model, states: Tensor, batch: Batch, smoothing: float = 0.0) -> Tensor:
    """Summed cross-entropy of the vocabulary scores of states N W where a label stands."""
    assert batch.labels is not None
    return model.network.vocabulary_loss(states, batch.labels[batch.labels != IGNORED], smoothing)


class Vocabulary:
    """What tasks share whose network scores the vocabulary where labels stand: how they hear a teacher of the same tokens."""

    def hears(self, teacher: Any, batch: Batch) -> Product:
        """What the teacher's scores are the product of."""
        return product_of(teacher, self.says(teacher, batch))  # type: ignore[attr-defined]

    def apart(self, model: Model, said: Tensor, theirs: Product, batch: Batch, divergence: Divergence) -> Tensor:
        """The divergence of the next token's, or the hidden token's, probabilities."""
        from penjing.model.divergence import vocabulary_divergence

        return vocabulary_divergence(product_of(model, said), theirs, model.tokenizer.size, divergence)


def product_of(model: Model, states: Tensor) -> Product:
    """What the vocabulary scores of states N W are the product of."""
    network = model.network
    assert network.output is not None
    return network.output.product(states, network.embedding)


def row_losses(model: Model, hidden: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of the vocabulary scores where a label stands, summed by rows: B float32."""
    kept = labels != IGNORED
    losses = model.network.token_losses(hidden[kept], labels[kept])
    return losses.new_zeros(len(labels)).index_add(0, kept.nonzero()[:, 0], losses)
