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

from penjing.base.errors import DataError, raise_all
from penjing.model.head import ClassHead
from penjing.tasks.task import Line, Record, named
from penjing.tasks.text_task import Augmented, CutOff, RDrop, TextTask, TokenDropout

SURE = 1e-12  # a teacher's probability is no smaller, so that its logarithm is a number


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(TextTask):
    """Options of classification. `weights` holds one factor per label, as `balanced` finds them."""

    labels: Annotated[list[str], Field(min_length=2, description="the label names, in order")]
    several: Annotated[bool, Field(description="a record may carry several labels, or none")] = False
    weights: Annotated[list[float] | None, Field(description="factor on the loss of each label")] = None
    smoothing: Annotated[float, Field(ge=0, lt=1, description="label smoothing (Szegedy et al. 2016)")] = 0.0

    name: ClassVar[str] = "classify"
    main_score: ClassVar[str] = "accuracy"
    baselines: ClassVar[tuple[str, ...]] = ("majority", "tfidf", "nb_ngrams")
    extras: ClassVar[Mapping[str, str]] = {"sklearn": "evaluate"}

    @classmethod
    def made(
        cls, records: Sequence[Record], *,
        several: Annotated[bool, Field(description="a record may carry several labels, in a field `labels`")] = False,
        weights: Annotated[Literal["none", "balanced"], Field(description="balanced: rare labels weigh more")] = "none",
        smoothing: Annotated[float, Field(ge=0, lt=1, description="label smoothing (Szegedy et al. 2016)")] = 0.0,
        token_dropout: TokenDropout = 0.0, cut_off: CutOff = 0.0, rdrop: RDrop = 0.0, augment: Augmented = None,
    ) -> Task:  # fmt: skip
        """The labels are those of the records."""
        labels = labels_in(records, several)
        plain = cls(labels, several, smoothing=smoothing, token_dropout=token_dropout, cut_off=cut_off, rdrop=rdrop,
                    augment=augment)  # fmt: skip
        if weights == "none":
            return plain
        return dataclasses.replace(plain, weights=balanced(plain.targets(records), len(labels)))

    @classmethod
    def look(cls, records, options):
        """The first records may all have one label, so only the fields are looked at."""
        label_lists(records, bool(options.get("several")))

    def head(self, config, style):
        return ClassHead(config.width, len(self.labels), style)

    def config(self):
        kind = "multi_label_classification" if self.several else "single_label_classification"
        return named(self.labels) | {"problem_type": kind}

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

    def loss_of(self, model, scores, batch):
        weights = None if self.weights is None else scores.new_tensor(self.weights)
        if not self.several:
            return F.cross_entropy(
                scores, batch.labels, weight=weights, label_smoothing=self.smoothing, reduction="sum"
            )
        wanted = batch.labels * (1 - self.smoothing) + self.smoothing / 2
        losses = F.binary_cross_entropy_with_logits(scores, wanted, reduction="none")  # B C
        return (losses if weights is None else losses * weights).mean(-1).sum()

    def distance(self, scores, again):
        """The mean of both Kullback-Leibler divergences; of several labels their mean over the labels."""
        if self.several:
            one, other = (torch.stack([F.logsigmoid(s), F.logsigmoid(-s)], -1) for s in (scores, again))  # B C 2
            return ((one.exp() - other.exp()) * (one - other)).sum(-1).mean(-1).sum() / 2
        one, other = scores.log_softmax(-1), again.log_softmax(-1)
        return ((one.exp() - other.exp()) * (one - other)).sum() / 2

    same_tokens = False

    def hears(self, teacher, batch):
        return teacher.task.class_scores(teacher, batch)[:, self.order_of(teacher)]

    def hears_once(self, teacher, records):
        """Log-odds N C of a model's, or of several models', probabilities."""
        found = teacher.probabilities(records).clip(SURE, 1 - SURE)
        odds = np.log(found) - np.log1p(-found) if self.several else np.log(found)
        return odds[:, self.order_of(teacher)].astype(np.float32)

    def order_of(self, teacher: Any) -> list[int]:
        """Where a teacher has the labels of this task."""
        return [list(teacher.task.labels).index(label) for label in self.labels]

    def apart(self, model, said, theirs, batch, divergence):
        """Of the labels' probabilities; of several labels of each one's yes and no, their mean over the labels."""
        if not self.several:
            return divergence(said, theirs).sum()
        own, other = (torch.stack([scores, torch.zeros_like(scores)], -1) for scores in (said, theirs))  # B C 2
        return divergence(own, other).mean(-1).sum()

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

    def together(self, models, records, batch_tokens=4096):
        """By the mean of the probabilities. `disagreement`: the deviation of the given label's, or the greatest of several."""
        chances = np.stack([model.probabilities(records, batch_tokens) for model in models])  # M N C
        apart, best = chances.std(0), chances.mean(0).argmax(1)
        apart = apart.max(1) if self.several else apart[np.arange(len(best)), best]
        found = zip(self.answers(chances.mean(0)), apart, strict=True)
        return [answer | {"disagreement": float(one)} for answer, one in found]

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
        from penjing.tasks.counting import f1, macro, matthews

        records, right = sums[..., 0], sums[..., 1]
        hits, given, true = (part for part in np.split(sums[..., 2:], 3, axis=-1))
        found = {"accuracy": right / np.maximum(records, 1), "macro_f1": macro(f1(hits, given, true), given, true)}
        if self.several:
            return found | {"micro_f1": f1(hits.sum(-1), given.sum(-1), true.sum(-1))}
        return found | {"mcc": matthews(hits, given, true)}

    def lines(self, record: Record, answer: dict[str, Any]) -> Iterator[Line]:
        """The text (or both), then a line for each label: a bar, the probability, the name; chosen labels are marked."""
        chosen = answer.get("labels", [answer.get("label")])
        yield from super().lines(record, answer)
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
