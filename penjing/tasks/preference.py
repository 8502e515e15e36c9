"""Preference: of two answers to a question the better one becomes the more likely one.

The model answers as one for dialogue does; beside the questions it reads pairs of answers, and says which it prefers. Loss
is on the answers' tokens alone. What the losses are: `preference_losses.py`; rows and reference: `preference_rows.py`.

B examples, N records, K statistics, R resamples
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import DataError, PenjingError, TaskError, TrainError, raise_all
from penjing.base.readers.source import Record
from penjing.tasks import chat
from penjing.tasks.batches import Batches
from penjing.tasks.chat import bytes_of, place, said, written
from penjing.tasks.preference_losses import WAYS, Given, Strengths, Way
from penjing.tasks.preference_rows import (
    PreferencePieces,
    answer_rows,
    by_sides,
    collated,
    half_logs,
    preference_pieces,
    reference_kept,
)
from penjing.tasks.talks import TalkPieces, tell_cuts, tell_unknown
from penjing.text.chat import Chat
from penjing.text.preferences import SIDES, answers_of, is_judged, is_pair, kinds, preference

PAIRS, RIGHT, MARGIN, NATS, TOKENS, BYTES = range(6)  # what a record adds to the sums


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(chat.Task):
    """Options of preference, and those of dialogue."""

    method: Annotated[
        Literal["dpo", "ipo", "orpo", "simpo", "kto"],
        Field(description="the loss; kto learns from judged answers, the others from pairs; orpo and simpo need no reference"),
    ] = "dpo"  # fmt: skip
    beta: Annotated[
        float | None, Field(gt=0, description="its strength; left out: 0.1, of simpo 2")
    ] = None  # fmt: skip
    smoothing: Annotated[
        float, Field(ge=0, lt=0.5, description="dpo: share of pairs taken to be the wrong way round (cDPO)")
    ] = 0.0
    gamma: Annotated[float | None, Field(ge=0, description="simpo: the margin that is asked for; left out: 1")] = None
    desirable: Annotated[float | None, Field(gt=0, description="kto: weight of good answers; left out: 1")] = None
    undesirable: Annotated[float | None, Field(gt=0, description="kto: weight of bad answers; left out: 1")] = None

    name: ClassVar[str] = "preference"
    taught: ClassVar[tuple[str, ...]] = ("chosen", "rejected")
    main_score: ClassVar[str] = "preference_accuracy"
    baselines: ClassVar[tuple[str, ...]] = ("preference_linear",)
    extras: ClassVar[Mapping[str, str]] = {"sklearn": "evaluate"}

    # ---- options ----

    @classmethod
    def made(cls, records, **options):
        task = cls(**options)
        raise_all(task.problems())
        return task

    @classmethod
    def look(cls, records, options):
        super().look(records, options)
        cls(**options).suited([cls.normal(record) for record in records])

    def problems(self):
        usual = {"smoothing": 0.0, "gamma": None, "desirable": None, "undesirable": None}
        idle = [name for name, value in usual.items() if getattr(self, name) != value and name not in self.way.options]
        methods = {name: method for method, way in WAYS.items() for name in way.options}
        return [TrainError("P-TRAIN-007", option=name, needs=f"method: {methods[name]}") for name in idle]

    @property
    def way(self) -> Way:
        """The loss and what it needs."""
        return WAYS[self.method]

    @property
    def strengths(self) -> Strengths:
        """All that the losses may heed."""
        gamma, good, bad = (1.0 if one is None else one for one in (self.gamma, self.desirable, self.undesirable))
        return Strengths(self.way.beta if self.beta is None else self.beta, self.smoothing, gamma, good, bad)

    # ---- records ----

    @classmethod
    def normal(cls, record):
        """Any known form of preference, or of conversation; what is wrong with it, `check` tells."""
        if not (is_pair(record) or is_judged(record)):
            return super().normal(record)
        try:
            return Record(preference(record), *place(record))
        except PenjingError:
            return record

    def check(self, records, learn):
        problems: list[PenjingError] = []
        plain = []
        for record in records:
            if not learn and not (is_pair(record) or is_judged(record)):
                plain.append(record)
                continue
            try:
                preference(record)
            except PenjingError as error:
                problems += [error, *error.others]
                error.others = []
        try:
            super().check(plain, False)
        except PenjingError as error:
            problems += [error, *error.others]
            error.others = []
        raise_all(problems)

    def suited(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Raise P-TASK-135 and -136 where the records are not what the method learns from."""
        wanted = "judged" if self.way.judged else "pairs"
        other = [record for record in records if kinds([record]) != {wanted}]
        if other:
            fits = [name for name, way in WAYS.items() if way.judged != self.way.judged]
            needs = "completion + label" if self.way.judged else "chosen + rejected"
            raise DataError("P-TASK-135", method=self.method, needs=needs, count=len(other), fits=", ".join(fits),
                            file=place(other[0])[0], line=place(other[0])[1])  # fmt: skip

    # ---- rows and loss ----

    def pieces(self, model, records, learn):
        return self.rows(model, records, None) if learn else super().pieces(model, records, False)

    def kept_pieces(self, model, records, file):
        return self.rows(model, records, file)

    def rows(self, model: Any, records: Sequence[Mapping[str, Any]], file: Any) -> PreferencePieces:
        """What is learnt from; the reference is the model as it is now, kept in a file if one is named."""
        self.suited(records)
        labels = {record.get("label") for record in records}
        if self.way.judged and len(labels) == 1:
            raise TaskError("P-TASK-136", count=len(records), given=str(labels.pop()).lower())
        pieces = preference_pieces(model, records, self.way.judged, self.turns)
        rows = [row for side in pieces.sides for row in side]
        tell_unknown(rows, model.tokenizer)
        tell_cuts(rows, model.window, "preference")
        if self.way.reference:
            reference_kept(model, pieces, file)
        return pieces

    def collate(self, pieces, rows, tokenizer, random):
        return collated(pieces, rows) if isinstance(pieces, PreferencePieces) else super().collate(
            pieces, rows, tokenizer, random)  # fmt: skip

    def loss(self, model, batch):
        first = half_logs(model, batch, 0)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.way.judged):  # KTO's drift has no gradient
            second = half_logs(model, batch, 1)
        counts = by_sides(batch, [batch.more[f"carries_{n}"][:, 1:].sum(1) for n in (0, 1)])
        given = Given(by_sides(batch, [first, second]), batch.more["reference"], counts, batch.more["good"])
        losses, rewards = self.way.loss(given, self.strengths)
        self.watch(model, given, rewards)
        return losses.sum()

    def watch(self, model: Any, given: Given, rewards: torch.Tensor) -> None:
        """What is logged beside the loss."""
        if self.way.judged:
            for name, chosen in (("good", given.good), ("bad", ~given.good)):
                model.seen.add(f"reward_{name}", rewards[chosen, 0])
                model.seen.add(f"log_probability_{name}", given.logs[chosen, 0])
            model.seen.add("drift", rewards[:, 1])
            return
        margin = rewards[:, 0] - rewards[:, 1]
        model.seen.add("reward_margin", margin)
        model.seen.add("reward_accuracy", (margin > 0).float() + 0.5 * (margin == 0))
        for number, name in enumerate(SIDES):
            model.seen.add(f"log_probability_{name}", given.logs[:, number])

    # ---- answers ----

    def answer(self, model, records, batch_tokens=4096):
        """The assistant's next message; where a record has answers, what each is worth to the model, and of two the
        better one."""
        read = [number for number, record in enumerate(records) if answers_of(record)]
        left = sorted(set(range(len(records))) - set(read))
        found = dict(zip(read, self.worth(model, [records[n] for n in read], batch_tokens), strict=True))
        if left:
            found |= dict(zip(left, super().answer(model, [records[n] for n in left], batch_tokens), strict=True))
        return [found[number] for number in range(len(records))]

    @torch.inference_mode()
    def worth(self, model: Any, records: Sequence[Mapping[str, Any]], batch_tokens: int) -> list[dict[str, Any]]:
        """Of each record the mean log-probability of a token of its answers, and what the better one is measured by."""
        answers = [answers_of(record) for record in records]
        chat = Chat(model.tokenizer)
        rows = [answer_rows(chat, record, own, model.eval().window, self.turns)
                for record, own in zip(records, answers, strict=True)]  # fmt: skip
        flat = [row for several in rows for row in several]
        costs = np.zeros(len(flat))
        pieces = TalkPieces(flat, model.tokenizer, model.window, True) if flat else None
        for some in Batches(pieces.lengths, batch_tokens, 0, shuffle=False).epoch(0) if pieces else ():
            batch = super().collate(pieces, some, model.tokenizer, None).to(next(model.parameters()).device)
            costs[some] = self.nats(model, batch).double().cpu().numpy()
        found, at = [], 0
        for several in rows:
            found.append(worth_of(several, costs[at : at + len(several)], model))
            at += len(several)
        return found

    # ---- scores ----

    def statistics(self, answers, records):
        sums = np.zeros((len(records), 6))
        for row, (answer, record) in enumerate(zip(answers, records, strict=True)):
            scores, cost = answer["scores"], answer.get("measured")
            if is_pair(record):
                difference = scores["chosen"] - scores["rejected"]
                sums[row, :3] = 1, (1 + np.sign(difference)) / 2, difference
            if cost and record.get("label", True):
                sums[row, [NATS, TOKENS, BYTES]] = (
                    cost["nats_per_token"] * cost["tokens"],
                    cost["tokens"],
                    cost["bytes"],
                )
        return sums

    def scores(self, sums):
        def share(of: int, by: int) -> np.ndarray:
            return sums[..., of] / np.maximum(sums[..., by], 1)

        found = {"preference_accuracy": share(RIGHT, PAIRS)} if sums[..., PAIRS].any() else {}
        if sums[..., TOKENS].any():
            found |= {"margin": share(MARGIN, PAIRS)} if found else {}
            found |= {"bits_per_byte": share(NATS, BYTES) / np.log(2), "perplexity": np.exp(share(NATS, TOKENS))}
        return found

    def resampled(self, answers, records, weights):
        """Judged answers are compared each good one with each bad one: no sum over records."""
        found = self.scores(weights @ self.statistics(answers, records))
        if "preference_accuracy" in found:
            return found
        values = np.asarray([answer["scores"]["completion"] for answer in answers])
        good = np.asarray([record["label"] for record in records], bool)
        return {"preference_accuracy": ranked(values, good, weights)} | found

    # ---- for people ----

    def truth(self, record):
        """The better answer, or the judgement."""
        if is_judged(record):
            return str(record["label"]).lower()
        return " ⏎ ".join(map(written, record.get("chosen", ()))) if is_pair(record) else super().truth(record)

    def lines(self, record, answer):
        if "scores" not in answer:
            yield from super().lines(record, answer)
            return
        for message in record["messages"]:
            yield said(message["role"], message, "")
        for name, score in answer["scores"].items():
            best = answer.get("preferred") == name
            text = " ⏎ ".join(map(written, record[name]))
            yield [(f"{name} {score:.3f}: ", "dim"), (text, "strong" if best else "dim")]


def worth_of(rows: Sequence[Any], nats: np.ndarray, model: Any) -> dict[str, Any]:
    """What the answers of a record are worth: `scores`, `preferred` of two, and what the first one costs."""
    names = SIDES if len(rows) == 2 else ("completion",)
    tokens = [int(row.carries[1:].sum()) for row in rows]
    scores = {name: -float(cost) / max(1, count) for name, cost, count in zip(names, nats, tokens, strict=True)}
    better = {"preferred": max(scores, key=scores.__getitem__)} if len(rows) == 2 else {}
    measured = {"nats_per_token": -scores[names[0]], "tokens": tokens[0], "bytes": max(1, bytes_of(rows[0], model))}
    return better | {"scores": scores, "measured": measured}


def ranked(values: np.ndarray, good: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """How often a good answer is worth more than a bad one, of each resample, R: the area under the ROC curve."""
    order = np.argsort(values, kind="stable")
    below = np.concatenate([np.zeros((len(weights), 1)), np.cumsum((weights * ~good)[:, order], axis=1)], axis=1)
    first, last = (np.searchsorted(values[order], values, side) for side in ("left", "right"))
    wins = (weights * good * (below[:, first] + below[:, last]) / 2).sum(1)
    possible = (weights * good).sum(1) * (weights * ~good).sum(1)
    return np.where(possible > 0, wins / np.maximum(possible, 1), 0.5)
