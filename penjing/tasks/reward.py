"""A reward model: a number for an answer, learnt from pairs of which the better one is known (Bradley & Terry 1952, as in
Ouyang et al. 2022, arXiv:2203.02155).

One score stands on the state that the head looks at: of a decoder the last token's, which has read question and answer.
Only differences mean something: of two answers to one question the higher score is better.

B pairs, N records, K statistics, R resamples
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import DataError, PenjingError, raise_all
from penjing.base.readers.source import Record
from penjing.model.batch import Batch
from penjing.model.head import ClassHead
from penjing.tasks import preference, task
from penjing.tasks.batches import Batches
from penjing.tasks.chat import closed, place, said, written
from penjing.tasks.preference import ranked
from penjing.tasks.preference_rows import answer_rows, by_sides, collated, half_batch, preference_pieces
from penjing.tasks.talks import TalkPieces, tell_cuts
from penjing.tasks.task import named, padded
from penjing.tasks.text_task import head_scores
from penjing.text.chat import Chat
from penjing.text.chat_form import for_chat
from penjing.text.dialogues import conversation
from penjing.text.preferences import SIDES, answers_of, is_judged, is_pair
from penjing.text.preferences import preference as read

PAIRS, RIGHT, MARGIN = range(3)  # what a record adds to the sums


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(task.Task):
    """Options of a reward model."""

    template: Annotated[
        str | None,
        Field(description="how conversations are spelled: chatml, plain or a template; left out: its own, else chatml"),
    ] = None  # fmt: skip
    centre: Annotated[
        float, Field(ge=0, description="weight of the squared sum of both scores, which keeps them near 0 (arXiv:2312.09244)")
    ] = 0.0  # fmt: skip

    name: ClassVar[str] = "reward"
    purpose: ClassVar[str] = "classify"
    vocabulary: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("messages",)
    taught: ClassVar[tuple[str, ...]] = ("chosen", "rejected")
    typed: ClassVar[tuple[str, ...]] = ("prompt", "completion")
    main_score: ClassVar[str] = "preference_accuracy"
    baselines: ClassVar[tuple[str, ...]] = ("preference_linear",)
    extras: ClassVar[Mapping[str, str]] = {"sklearn": "evaluate"}

    def head(self, config, style):
        return ClassHead(config.width, 1, style)

    def config(self):
        return named(["LABEL_0"]) | {"problem_type": "regression"}

    def prepared(self, tokenizer, rows):
        return for_chat(tokenizer, rows, self.template)

    def inherits(self, before):
        """Others' reward models are taken for a regression: one score, and no labels."""
        return before.name in (self.name, "regress")

    # ---- records ----

    @classmethod
    def normal(cls, record):
        """A pair, a judged answer, or a conversation whose last message is judged: the last as its `completion`."""
        if isinstance(record.get("messages"), list) and isinstance(record.get("completion"), list):
            return record
        found = preference.Task.normal(record)
        if is_pair(found) or is_judged(found) or not (isinstance(found.get("messages"), list) and closed(found)):
            return found
        messages = found["messages"]
        fields = {name: value for name, value in found.items() if name != "form"}
        return Record({**fields, "messages": messages[:-1], "completion": messages[-1:]}, *place(record))

    def subject(self, record):
        """What was asked."""
        return "\n".join(map(written, record["messages"]))

    def check(self, records, learn):
        problems: list[PenjingError] = []
        for record in records:
            try:
                self.check_one(record, learn)
            except PenjingError as error:
                problems += [error, *error.others]
                error.others = []
        raise_all(problems)

    def check_one(self, record: Mapping[str, Any], learn: bool) -> None:
        """Raise what is wrong with a record: of pairs what makes them none, and of others that no answer is there."""
        if is_pair(record) or is_judged(record):
            read(record)
        elif not isinstance(record.get("completion"), list) or not isinstance(record.get("messages"), list):
            conversation(record)
            raise DataError("P-TASK-151", given=sorted(record), file=place(record)[0], line=place(record)[1])
        if learn and not is_pair(record):
            raise DataError("P-TASK-152", given=sorted(record), file=place(record)[0], line=place(record)[1])

    def item(self, texts):
        return self.normal(dict(zip(self.typed, super().item(texts).values(), strict=True)))

    # ---- rows and loss ----

    def pieces(self, model, records, learn):
        if learn:
            found = preference_pieces(model, records, False, "all")
            tell_cuts([row for side in found.sides for row in side], model.window, self.name)
            return found
        rows = [row for several in self.rows(model, records) for row in several]
        tell_cuts(rows, model.window, "answer")
        return TalkPieces(rows, model.tokenizer, model.window, False)

    def rows(self, model: Any, records: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
        """A row for each answer of each record."""
        chat = Chat(model.tokenizer)
        return [answer_rows(chat, record, answers_of(record), model.window, "all") for record in records]

    def collate(self, pieces, rows, tokenizer, random):
        if not isinstance(pieces, TalkPieces):
            return collated(pieces, rows)
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        return Batch(tokens=tokens, mask=mask, records=pieces.records(rows))

    def says(self, model, batch):
        """The scores of both sides, B 2."""
        return by_sides(batch, [head_scores(model, half_batch(batch, number))[:, 0] for number in (0, 1)])

    def loss_of(self, model, said, batch):
        margin = said[:, 0] - said[:, 1]
        model.seen.add("reward_margin", margin)
        model.seen.add("reward_accuracy", (margin > 0).float() + 0.5 * (margin == 0))
        return -F.logsigmoid(margin).sum() + self.centre * said.sum(1).square().sum()

    def hears(self, teacher, batch):
        return self.says(teacher, batch)

    def apart(self, model, said, theirs, batch, divergence):
        """The squared difference of the two margins: scores themselves mean nothing."""
        return (said[:, 0] - said[:, 1] - theirs[:, 0] + theirs[:, 1]).square().sum()

    # ---- answers and scores ----

    @torch.inference_mode()
    def answer(self, model, records, batch_tokens=4096):
        """The score of each answer of a record, and of two the better one."""
        names = [SIDES if is_pair(record) else ("completion",) for record in records]
        pieces = self.pieces(model.eval(), records, False)
        values = np.zeros(len(pieces))
        for rows in Batches(pieces.lengths, batch_tokens, 0, shuffle=False).epoch(0):
            batch = self.collate(pieces, rows, model.tokenizer, None).to(next(model.parameters()).device)
            values[rows] = head_scores(model, batch)[:, 0].double().cpu().numpy()
        found, left = [], iter(values.tolist())
        for sides in names:
            scores = {name: next(left) for name in sides}
            better = {"preferred": max(scores, key=scores.__getitem__)} if len(scores) == 2 else {}
            found.append(better | {"scores": scores})
        return found

    def statistics(self, answers, records):
        sums = np.zeros((len(records), 3))
        for row, (answer, record) in enumerate(zip(answers, records, strict=True)):
            if is_pair(record):
                difference = answer["scores"]["chosen"] - answer["scores"]["rejected"]
                sums[row] = 1, (1 + np.sign(difference)) / 2, difference
        return sums

    def scores(self, sums):
        """The share of pairs with the right order, and by how much scores differ."""
        pairs = np.maximum(sums[..., PAIRS], 1)
        return {"preference_accuracy": sums[..., RIGHT] / pairs, "margin": sums[..., MARGIN] / pairs}

    def resampled(self, answers, records, weights):
        """Of judged answers each good one is compared with each bad one: no sum over records."""
        if not all(map(is_judged, records)) or not records:
            return super().resampled(answers, records, weights)
        values = np.asarray([answer["scores"]["completion"] for answer in answers])
        return {
            "preference_accuracy": ranked(values, np.asarray([record["label"] for record in records], bool), weights)
        }

    # ---- for people ----

    def truth(self, record):
        """The better answer, or the judgement."""
        return str(record["label"]).lower() if is_judged(record) else " ⏎ ".join(map(written, record.get("chosen", ())))

    def lines(self, record, answer):
        for message in record["messages"]:
            yield said(message["role"], message, "")
        for name, score in answer["scores"].items():
            style = "strong" if answer.get("preferred", name) == name else "dim"
            yield [(f"{name} {score:+.3f}: ", "number"), (" ⏎ ".join(map(written, record[name])), style)]
