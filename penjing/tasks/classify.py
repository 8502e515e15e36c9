"""Text classification: one label of several, or several labels at once.

B batch, T tokens, W width, C labels, N documents
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import DataError, TaskError, raise_all
from penjing.base.texts import two_texts
from penjing.model.batch import Batch
from penjing.model.head import ClassHead
from penjing.tasks import task
from penjing.tasks.task import Line, Record, padded, place_of


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(task.Task):
    """Options of classification. `weights` holds one factor per label, as `balanced` finds them."""

    labels: Annotated[list[str], Field(min_length=2, description="the label names, in order")]
    several: Annotated[bool, Field(description="a record may carry several labels, or none")] = False
    weights: Annotated[list[float] | None, Field(description="factor on the loss of each label")] = None
    smoothing: Annotated[float, Field(ge=0, lt=1, description="label smoothing (Szegedy et al. 2016)")] = 0.0
    token_dropout: Annotated[float, Field(ge=0, lt=1, description="share of tokens hidden in training")] = 0.0

    name: ClassVar[str] = "classify"
    purpose: ClassVar[str] = "classify"
    vocabulary: ClassVar[bool] = False
    main_score: ClassVar[str] = "accuracy"
    two_texts: ClassVar[bool] = True
    long_texts: ClassVar[tuple[str, ...]] = ("windows", "head", "head_tail")
    baselines: ClassVar[tuple[str, ...]] = ("majority", "tfidf", "nb_ngrams")
    extras: ClassVar[Mapping[str, str]] = {"sklearn": "evaluate"}

    @classmethod
    def made(
        cls, records: Sequence[Record], *,
        several: Annotated[bool, Field(description="a record may carry several labels, in a field `labels`")] = False,
        weights: Annotated[Literal["none", "balanced"], Field(description="balanced: rare labels weigh more")] = "none",
        smoothing: Annotated[float, Field(ge=0, lt=1, description="label smoothing (Szegedy et al. 2016)")] = 0.0,
        token_dropout: Annotated[float, Field(ge=0, lt=1, description="share of tokens hidden in training")] = 0.0,
    ) -> Task:  # fmt: skip
        """The labels are those of the records."""
        labels = labels_in(records, several)
        plain = cls(labels, several, smoothing=smoothing, token_dropout=token_dropout)
        if weights == "none":
            return plain
        return dataclasses.replace(plain, weights=balanced(plain.targets(records), len(labels)))

    @classmethod
    def look(cls, records, options):
        """The first records may all have one label, so only the fields are looked at."""
        label_lists(records, bool(options.get("several")))

    def check(self, records, learn):
        lacking = [(n, record) for n, record in enumerate(records) if record.get("text") is None]
        raise_all([DataError("P-TASK-009", field="text", given=sorted(record), count=len(lacking), **place_of(record, n))
                   for n, record in lacking[:1]])  # fmt: skip
        if learn:
            self.targets(records)

    def pieces(self, model, records, learn):
        found = model.pieces(records, "finetune" if learn else "answer")
        found.targets = self.targets(records) if learn else None
        return found

    def head(self, config, style):
        return ClassHead(config.width, len(self.labels), style)

    def targets(self, records: Sequence[dict[str, Any]]) -> np.ndarray:
        """Class numbers N (int64), or for several labels indicators N C (float32). Unknown labels are told at once."""
        number = {label: i for i, label in enumerate(self.labels)}
        lists = label_lists(records, self.several)
        unknown = Counter(label for labels in lists for label in labels if label not in number)
        raise_all(
            [DataError("P-TASK-002", given=label, count=count, known=self.labels) for label, count in unknown.items()]
        )
        if not self.several:
            return np.asarray([number[labels[0]] for labels in lists], dtype=np.int64)
        indicators = np.zeros((len(lists), len(self.labels)), dtype=np.float32)
        for row, labels in enumerate(lists):
            indicators[row, [number[label] for label in labels]] = 1.0
        return indicators

    def collate(self, pieces, rows, tokenizer, random):
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        if self.token_dropout and random is not None:
            self.drop_tokens(tokens, tokenizer, random)
        labels = None if pieces.targets is None else torch.from_numpy(pieces.targets[pieces.owner[rows]])
        types = padded([pieces.types(int(row)) for row in rows], 0)[0] if pieces.typed else None
        return Batch(tokens=tokens, mask=mask, segments=types, labels=labels, records=pieces.records(rows))

    def validating(self):
        return dataclasses.replace(self, token_dropout=0.0)

    def drop_tokens(self, tokens: torch.Tensor, tokenizer, random: np.random.Generator) -> None:
        """Hide some tokens, special ones excepted, behind the mask token or, without one, the unknown token."""
        hidden = tokenizer.mask if tokenizer.mask is not None else tokenizer.unknown
        ids = tokens.numpy()
        chosen = (random.random(ids.shape) < self.token_dropout) & ~np.isin(ids, list(tokenizer.special))
        ids[chosen] = tokenizer.pad if hidden is None else hidden

    def class_scores(self, model, batch: Batch) -> torch.Tensor:
        """Class scores B C, in float32."""
        if model.network.encoder is not None and model.network.decoder is not None:
            batch = batch.shifted(model.network.config.decoder_start)  # the decoder reads the text again
        asked = dataclasses.replace(batch, places=model.head.places(batch))
        return model.head(model.network(asked), batch).float()

    def loss(self, model, batch):
        scores = self.class_scores(model, batch)
        weights = None if self.weights is None else scores.new_tensor(self.weights)
        if not self.several:
            return F.cross_entropy(
                scores, batch.labels, weight=weights, label_smoothing=self.smoothing, reduction="sum"
            )
        wanted = batch.labels * (1 - self.smoothing) + self.smoothing / 2
        losses = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")  # B C
        return (losses if weights is None else losses * weights).mean(-1).sum()

    def probabilities(self, scores: torch.Tensor) -> torch.Tensor:
        """Probabilities B C from scores."""
        return scores.sigmoid() if self.several else scores.softmax(-1)

    def answers(self, probabilities: np.ndarray) -> list[dict[str, Any]]:
        """What a user gets for each text: the label (or labels above one half) and all probabilities."""
        found = []
        for row in probabilities:
            named = {label: float(p) for label, p in zip(self.labels, row, strict=True)}
            if self.several:
                found.append({"labels": [label for label, p in named.items() if p >= 0.5], "probabilities": named})
            else:
                best = int(row.argmax())
                found.append({"label": self.labels[best], "probability": float(row[best]), "probabilities": named})
        return found

    # ---- what every task says ----

    def answer(self, model, records, batch_tokens=4096):
        return self.answers(model.probabilities(records, batch_tokens))

    def watched(self, model, records):
        """The accuracy; for several labels the micro-F1, which answering nothing does not earn."""
        found = self.score(self.answer(model, records), records)
        return found["micro_f1" if self.several else "accuracy"]

    def statistics(self, answers, records):
        """For each record whether it is right, and for each label whether it is rightly given, given, and true."""
        number = {label: i for i, label in enumerate(self.labels)}
        given, true = np.zeros((2, len(records), len(self.labels)))
        for row, (answer, record) in enumerate(zip(answers, records, strict=True)):
            given[row, [number[label] for label in answer.get("labels", [answer.get("label")])]] = 1
            true[row, [number[label] for label in labels_of(record, self.several)]] = 1
        right = (given == true).all(1, keepdims=True).astype(float)
        return np.concatenate([np.ones_like(right), right, given * true, given, true], axis=1)

    def scores(self, sums):
        from penjing.tasks.counting import f1, macro

        records, right = sums[..., 0], sums[..., 1]
        hits, given, true = (part for part in np.split(sums[..., 2:], 3, axis=-1))
        found = {"accuracy": right / np.maximum(records, 1), "macro_f1": macro(f1(hits, given, true), given, true)}
        return found | ({"micro_f1": f1(hits.sum(-1), given.sum(-1), true.sum(-1))} if self.several else {})

    def item(self, texts):
        if len(texts) > 2 or not texts:
            raise TaskError("P-TASK-110", task=self.name, fields="text, text_b", given=len(texts))
        return dict(zip(("text", "text_b"), texts, strict=False))

    def lines(self, record: Record, answer: dict[str, Any]) -> Iterator[Line]:
        """The text (or both), then a line for each label: a bar, the probability, the name; chosen labels are marked."""
        chosen = answer.get("labels", [answer.get("label")])
        for text in two_texts(record):
            if text is not None:
                yield [(text if len(text) <= 100 else text[:99] + "…", "")]
        for label, probability in answer.get("probabilities", {}).items():
            bar, mark = "█" * round(20 * probability), ">" if label in chosen else " "
            yield [(f"  {mark} ", "dim"), (f"{bar:<20}", "number"), (f" {100 * probability:5.1f} %  {label}", "")]


def labels_of(record: dict[str, Any], several: bool) -> list[str]:
    """The labels of a record as text: of its list `labels`, or its one `label`."""
    if several:
        value = record["labels"]
        return [str(label) for label in (value if isinstance(value, list | tuple) else [value])]
    return [str(record["label"])]


def label_lists(records: Sequence[dict[str, Any]], several: bool) -> list[list[str]]:
    """The labels of all records; records without the field are one error that names the first."""
    name = "labels" if several else "label"
    missing = [number for number, record in enumerate(records) if record.get(name) is None]
    if missing:
        first = records[missing[0]]
        place = {"file": getattr(first, "file", None), "line": getattr(first, "line", None) or missing[0] + 1}
        raise DataError("P-TASK-009", field=name, given=sorted(first), count=len(missing), **place)
    return [labels_of(record, several) for record in records]


def balanced(targets: np.ndarray, classes: int) -> list[float]:
    """Factors inversely proportional to how often a label occurs; their mean over the records is one."""
    counts = np.bincount(targets, minlength=classes) if targets.ndim == 1 else targets.sum(0)
    factors = targets.shape[0] / np.maximum(1.0, counts)
    return [float(f) for f in factors * counts.sum() / float((factors * counts).sum())]


def labels_in(records: Sequence[dict[str, Any]], several: bool) -> list[str]:
    """All labels of some records, sorted; fewer than two is an error."""
    found = sorted({label for labels in label_lists(records, several) for label in labels})
    if len(found) < 2:
        raise DataError("P-TASK-003", given=", ".join(found))
    return found
