"""Text classification: one label of several, or several labels at once.

B batch, T tokens, W width, C labels, N documents
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import DataError, raise_all
from penjing.model.batch import Batch
from penjing.model.head import ClassHead
from penjing.tasks import task
from penjing.tasks.task import padded


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
    baselines: ClassVar[tuple[str, ...]] = ("majority", "tfidf", "nb_ngrams")

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

    def scores(self, model, batch: Batch) -> torch.Tensor:
        """Class scores B C, in float32."""
        if model.network.encoder is not None and model.network.decoder is not None:
            batch = batch.shifted(model.network.config.decoder_start)  # the decoder reads the text again
        asked = dataclasses.replace(batch, places=model.head.places(batch))
        return model.head(model.network(asked), batch).float()

    def loss(self, model, batch):
        scores = self.scores(model, batch)
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
