"""Sentence vectors: texts that mean alike get vectors that point alike (Reimers & Gurevych 2019).

What a record teaches depends on its form, and the loss on that:

form      fields                     losses
scored    text, text_b, score        cosent: the order of the scores; cosine: the scores themselves
pairs     text, text_b               contrast: the pair's other text among all of the batch
triplets  text, positive, negative   contrast, the wrong texts among the candidates; triplet: a margin
Shapes: B records, C texts in each, N records, W width.
"""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import DataError, OptionError, TaskError, raise_all
from penjing.model.batch import Batch
from penjing.tasks import correlation, retrieval
from penjing.tasks.contrasting import apart, cosines_of, in_batch, near_scores, ordered, text_numbers
from penjing.tasks.groups import Groups
from penjing.tasks.pieces import InMemory
from penjing.tasks.task import Record, padded, place_of
from penjing.tasks.vectors import PAIR, TRIPLET, VectorTask, directions, texts_of, unit

Form = Literal["scored", "pairs", "triplets", "single"]
FIELDS: dict[Form, tuple[str, ...]] = {"scored": PAIR, "pairs": PAIR, "triplets": TRIPLET}
LOSSES: dict[str, tuple[Form, ...]] = {
    "cosent": ("scored",), "cosine": ("scored",), "contrast": ("pairs", "triplets"), "triplet": ("triplets",),
}  # fmt: skip
USUAL: dict[Form, str] = {"scored": "cosent", "pairs": "contrast", "triplets": "contrast"}
USED = {"temperature": ("cosent", "contrast"), "margin": ("triplet",), "symmetric": ("contrast",)}  # option: by losses
NEAR = 0.8  # of the range of scores: pairs from there on belong together, as 4 of 5 in STS-B


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(VectorTask):
    """Options of sentence vectors. `bounds` are the lowest and highest score, as `made` finds them."""

    normalise: Annotated[
        bool | None, Field(description="vectors of length 1; left out: as the given model has it, else yes")
    ] = None
    objective: Annotated[
        Literal["cosent", "cosine", "contrast", "triplet"] | None,
        Field(description="how records are learnt from; left out: cosent for scored pairs, else contrast"),
    ] = None
    temperature: Annotated[float, Field(gt=0, description="cosent, contrast: by what cosines are divided")] = 0.05
    symmetric: Annotated[bool, Field(description="contrast: second texts also search their first")] = True
    margin: Annotated[float, Field(gt=0, lt=2, description="triplet: how much nearer the right text shall be")] = 0.2
    nested: Annotated[
        tuple[int, ...], Field(description="the first n numbers of a vector shall be a vector too (arXiv:2205.13147)")
    ] = ()
    bounds: Annotated[
        tuple[float, float] | None, Field(description="cosine: the scores that count as 0 and 1; left out: as found")
    ] = None

    name: ClassVar[str] = "embed"
    taught: ClassVar[tuple[str, ...]] = ("text_b", "score")
    lower: ClassVar[tuple[str, ...]] = ("alignment", "uniformity")
    comparable: ClassVar[bool] = False  # vectors of different models stand in different spaces
    baselines: ClassVar[tuple[str, ...]] = ("tfidf_cosine", "bm25_pairs")

    @classmethod
    def made(cls, records: Sequence[Record], **options: Any) -> Task:
        """The task for training records: its objective by their form; options that it does not read are errors."""
        cls().check(records, False)
        form, task = form_of(records), cls(**options)
        if form == "single":
            raise TaskError("P-TASK-093")
        if len(records) < 2 and form != "triplets":
            raise TaskError("P-TASK-095")
        task = dataclasses.replace(task, objective=task.objective or USUAL[form])
        fits(task.objective, form)
        raise_all(idle(task, options))
        if task.objective != "cosine" or task.bounds:
            return task
        scores = [float(record["score"]) for record in records]
        return dataclasses.replace(task, bounds=(min(scores), max(scores)))

    @property
    def of_length_one(self) -> bool:
        return self.normalise is not False

    @property
    def main_score(self) -> str:  # type: ignore[override]
        """What is compared first: with scores their order, else where the right text stands."""
        return {"contrast": "mrr", "triplet": "right"}.get(self.objective or "cosent", "spearman")

    # ---- records ----

    def check(self, records: Sequence[Record], learn: bool) -> None:
        super().check(records, learn)
        if not learn or not records:
            return
        form = form_of(records)
        if form == "scored":
            raise_all([problem for number, record in enumerate(records) for problem in unscored(record, number)])
        if self.objective is not None:
            fits(self.objective, form)

    def targets(self, records: Sequence[Record]) -> np.ndarray:
        """The scores N (float32); without scores N times one label that stands for the record itself."""
        if form_of(records) == "scored":
            return np.asarray([record["score"] for record in records], np.float32)
        return np.zeros((len(records), 1), np.int64)

    def pieces(self, model, records, learn):
        """With `learn`, records as groups of rows; else all their texts."""
        if not learn:
            return model.pieces([text for record in records for text in texts_of(record)])
        from penjing.tasks.model import whole

        self.check(records, True)
        form = form_of(records)
        if form == "single":
            raise TaskError("P-TASK-093")
        texts = [whole(record[name]) for record in records for name in FIELDS[form]]
        tokens = InMemory(model.tokenizer.encode_many(texts))
        return Groups(tokens, len(FIELDS[form]), model.tokenizer, model.window, self.targets(records))

    # ---- learning ----

    def collate(self, pieces, rows, tokenizer, random):
        """A batch of groups. One that would stand alone, and so be compared with nothing, is given company."""
        if len(rows) == 1 and random is not None and len(pieces) > 1:
            other = int(random.integers(len(pieces) - 1))
            rows = np.asarray([rows[0], other + (other >= rows[0])])
        tokens, mask = padded(pieces.batch_rows(rows), tokenizer.pad)
        labels = torch.from_numpy(pieces.targets[rows])
        return Batch(tokens=tokens, mask=mask, labels=labels, records=pieces.records(rows))

    def says(self, model, batch):
        return self.states(model, batch)

    same_tokens = False

    def hears(self, teacher, batch):
        return teacher.task.states(teacher, batch)

    def hears_once(self, teacher, records):
        """The vectors of each record's texts, N C W."""
        texts = [texts_of(record) for record in records]
        flat = list(dict.fromkeys(text for some in texts for text in some))
        places = {text: place for place, text in enumerate(flat)}
        found = teacher.task.vectors(teacher, flat)
        return found[[[places[text] for text in some] for some in texts]]

    def apart(self, model, said, theirs, batch, divergence):
        """Of vectors as wide as the teacher's 1 - cosine of the two; else squared differences of all texts' cosines."""
        theirs = theirs if theirs.dim() == 2 else theirs.transpose(0, 1).flatten(0, 1)  # C·B W
        own, theirs = directions(said), directions(theirs.to(said))
        if own.shape == theirs.shape:
            return len(batch.labels) * (1 - (own * theirs).sum(-1)).mean()
        return len(batch.labels) * (own @ own.T - theirs @ theirs.T).square().mean()

    def loss_of(self, model, said, batch):
        states = said.view(-1, len(batch.labels), said.shape[-1])  # C B W
        widths = (*self.sizes(states.shape[-1]), states.shape[-1])
        texts = text_numbers(batch.tokens, len(states))
        losses = [self.compared(directions(states[..., :width]), texts, batch.labels) for width in widths]
        return sum(losses) / len(widths)

    def sizes(self, width: int) -> tuple[int, ...]:
        """The nested widths; those that are no part of a vector are an error."""
        wrong = [size for size in self.nested if not 0 < size < width]
        if wrong:
            raise OptionError("P-OPTION-002", owner="embed", option="nested", given=wrong, reason="not inside a vector",
                              kind=f"1 to {width - 1}")  # fmt: skip
        return self.nested

    def compared(self, vectors: Tensor, texts: Tensor, labels: Tensor) -> Tensor:
        """The summed loss of vectors C B W of unit length."""
        scored = labels.is_floating_point()
        objective = self.objective or ("cosent" if scored else "contrast")
        if objective == "contrast":
            return in_batch(vectors, texts, self.temperature, self.symmetric)
        if objective == "triplet":
            return apart(vectors, self.margin)
        cosines = cosines_of(vectors[0], vectors[1])
        if objective == "cosent":
            return ordered(cosines, labels, self.temperature)
        return near_scores(cosines, labels, *(self.bounds or (0.0, 1.0)))

    # ---- scores ----

    def statistics(self, answers, records):
        """Of scored pairs cosine and score, N 2; else what `retrieval.measured` gives, and of triplets which are right."""
        form = form_of(records)
        if form == "scored":
            return np.asarray(
                [[answer["cosine"], record["score"]] for answer, record in zip(answers, records, strict=True)]
            )
        rows = np.asarray([retrieval.measured(ranks) for ranks in found_ranks(answers, records)])
        if form != "triplets":
            return rows
        right = [answer["cosines"][0] > answer["cosines"][1] for answer in answers]
        return np.concatenate([rows, np.asarray(right, np.float64)[:, None]], 1)

    def score(self, answers, records):
        """All scores, of scored pairs in scipy's own order of operations."""
        found = super().score(answers, records)
        if form_of(records) == "scored":
            cosines, scores = self.statistics(answers, records).T
            exact = {"spearman": correlation.spearman(cosines, scores), "pearson": correlation.pearson(cosines, scores)}
            found |= exact
        return found

    def resampled(self, answers, records, weights):
        rows = self.statistics(answers, records)
        if form_of(records) == "scored":
            found = correlation.resampled(*rows.T, weights)
        else:
            means = weights @ rows / weights.sum(1, keepdims=True)  # R K
            found = dict(zip(names_of(rows), means.T, strict=True))
        return found | geometry(answers, records, weights)

    def watched(self, model, records):
        """The main score on validation records, higher is better; None where all scores are one number."""
        if form_of(records) == "scored" and correlation.constant(np.asarray([record["score"] for record in records])):
            return None
        return self.score(self.answer(model, records), records)[self.main_score]


# ---- forms ----


def form_of(records: Sequence[Record]) -> Form:
    """The one form that records have; several are an error that counts them."""
    found = Counter(form_of_one(record) for record in records)
    if len(found) > 1:
        raise DataError("P-TASK-094", forms=", ".join(f"{count} {form}" for form, count in found.most_common()))
    return next(iter(found), "single")


def form_of_one(record: Record) -> Form:
    if record.get("positive") is not None or record.get("negative") is not None:
        return "triplets"
    if record.get("text_b") is None:
        return "single"
    return "pairs" if record.get("score") is None else "scored"


def fits(objective: str | None, form: Form) -> None:
    """An objective and records that do not go together are an error."""
    if objective is not None and form not in LOSSES[objective]:
        known = [name for name, forms in LOSSES.items() if form in forms]
        raise TaskError("P-TASK-096", given=objective, known=known, form=form)


def idle(task: Task, options: Mapping[str, Any]) -> list[OptionError]:
    """Options that were set and that the objective does not read."""
    used = USED | {"bounds": ("cosine",)}
    return [
        OptionError("P-OPTION-005", option=name, other=f"objective: {' | '.join(objectives)}")
        for name, objectives in used.items()
        if task.objective not in objectives and options.get(name) not in (None, getattr(Task, name, None))
    ]


def unscored(record: Record, number: int) -> list[DataError]:
    """A score that is no number."""
    given = record.get("score")
    if isinstance(given, int | float) and not isinstance(given, bool) and math.isfinite(given):
        return []
    return [DataError("P-TASK-097", field="score", given=given, **place_of(record, number))]


# ---- measures ----


def names_of(rows: np.ndarray) -> tuple[str, ...]:
    """The names of the columns of statistics without scores."""
    return (*retrieval.MEASURES, "right")[: rows.shape[1]]


def found_ranks(answers: Sequence[Mapping[str, Any]], records: Sequence[Record]) -> list[list[int]]:
    """The ranks of each record's relevant texts: as answered, or by the cosines of all vectors."""
    if answers and "ranks" in answers[0]:
        return [answer["ranks"] for answer in answers]
    search = retrieval.Search.of(records)
    vectors: dict[str, Any] = {}
    for answer, record in zip(answers, records, strict=True):
        vectors |= dict(zip(texts_of(record), answer["vectors"], strict=True))
    queries, candidates = ([record["text"] for record in records], search.candidates)
    rows = [unit(np.asarray([vectors[text] for text in texts], np.float32)) for texts in (queries, candidates)]
    return search.ranks(retrieval.products(*rows))


def geometry(
    answers: Sequence[Mapping[str, Any]], records: Sequence[Record], weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Alignment of the pairs that belong together and uniformity of all first and second texts, in each resample; for
    answers without vectors nothing."""
    if not answers or "vectors" not in answers[0]:
        return {}
    vectors = unit(np.asarray([answer["vectors"][:2] for answer in answers]))  # N 2 W
    near = np.ones(len(records), bool)
    if form_of(records) == "scored":
        scores = np.asarray([record["score"] for record in records], np.float64)
        near = scores >= scores.min() + NEAR * (scores.max() - scores.min())
    numbers: dict[str, int] = {}
    texts = [[numbers.setdefault(text, len(numbers)) for text in texts_of(record)[:2]] for record in records]
    return {"alignment": retrieval.alignment(vectors[near], weights[:, near]),
            "uniformity": retrieval.uniformity(vectors, np.asarray(texts), weights)}  # fmt: skip
