"""Extractive question answering: the part of a context that answers a question, or that there is none.

Start and end of the answer are scored at every token of a window of the context (Devlin et al. 2019); "no answer" has
the score of the first token, or of the last one where the network reads from left to right.

B windows, T tokens, L tokens of the longest answer, N records
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from penjing.base.errors import language, raise_all
from penjing.base.progress import tell
from penjing.model.batch import Batch
from penjing.model.head import ClassHead
from penjing.tasks import span_records, task
from penjing.tasks.batches import Batches
from penjing.tasks.span_answers import Found, clipped, flat
from penjing.tasks.span_scores import best_threshold, is_chinese, judged
from penjing.tasks.span_windows import Windows, windows_of
from penjing.tasks.task import Line, Record, padded, place_of

Stride = Annotated[int, Field(ge=0, description="tokens that two windows of a long context share")]
Longest = Annotated[int, Field(ge=1, description="most tokens of an answer")]
Candidates = Annotated[int, Field(ge=1, le=20, description="how many of the best answers are told")]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(task.Task):
    """Options of extractive question answering. `threshold` is fitted on valid records."""

    stride: Stride = 128
    longest: Longest = 30
    candidates: Candidates = 3
    unanswerable: Annotated[bool, Field(description="a record may have no answer")] = False
    threshold: Annotated[float, Field(ge=0, le=1, description="probability above which there is no answer")] = 0.5

    name: ClassVar[str] = "span"
    purpose: ClassVar[str] = "span"
    vocabulary: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ("question", "context")
    taught: ClassVar[tuple[str, ...]] = ("answers",)
    typed: ClassVar[tuple[str, ...]] = ("question", "context")
    main_score: ClassVar[str] = "f1"
    baselines: ClassVar[tuple[str, ...]] = ("span_sentence",)

    @classmethod
    def made(
        cls, records: Sequence[Record], *, stride: Stride = 128, longest: Longest = 30, candidates: Candidates = 3,
        unanswerable: Annotated[
            bool | None, Field(description="a record may have no answer; left out: as in the training records")
        ] = None,
    ) -> Task:  # fmt: skip
        """Whether a record may have no answer is found in the records, unless it is said."""
        if unanswerable is None:
            unanswerable = any(record.get("answers") == [] for record in records)
        return cls(stride, longest, candidates, unanswerable)

    # ---- from records to batches ----

    @classmethod
    def normal(cls, record):
        return span_records.normal(record)

    def subject(self, record):
        """The context: another question about it is asked of what was learnt."""
        return record["context"]

    def check(self, records, learn):
        super().check(records, learn)
        raise_all(
            [problem for number, record in enumerate(records)
             for problem in span_records.problems_of(record, place_of(record, number), learn, self.unanswerable)]
        )  # fmt: skip

    def head(self, config, style):
        return ClassHead(config.width, 2, style)

    def pieces(self, model, records, learn):
        if learn:
            span_records.tell_repaired(records)
        windows = windows_of(model, records, self.stride, learn)
        what = "finetune" if learn else "answer"
        if windows.cut:
            text = f"{windows.cut} contexts are longer than {windows.room} tokens with their question: read in windows"
            tell("warning", what, text, cut=windows.cut)
        if windows.shortened:
            tell(
                "warning", what, f"{windows.shortened} questions are too long for the window and were cut at their end"
            )
        if learn and windows.lost:
            text = (
                f"{windows.lost} answers are whole in no window, and cannot be learnt: take a larger window or stride"
            )
            tell("warning", what, text, lost=windows.lost)
        return windows

    def collate(self, pieces: Windows, rows, tokenizer, random):
        """`labels`: B 2, places of start and end; `weights`: B T, the places that may be either."""
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        types = padded([pieces.types(int(row)) for row in rows], 0)[0] if pieces.typed else None
        able = np.stack([pieces.able(int(row), tokens.shape[1]) for row in rows])
        labels = None if pieces.targets is None else torch.from_numpy(pieces.targets[rows])
        return Batch(tokens=tokens, mask=mask, segments=types, labels=labels, weights=torch.from_numpy(able),
                     records=pieces.records(rows))  # fmt: skip

    # ---- learning ----

    def inherits(self, before):
        return before.name == self.name

    def span_scores(self, model, batch: Batch) -> Tensor:
        """Scores of start and end, 2 B T in float32; minus infinity where neither may be."""
        scores = model.head(model.network(batch), batch).float().permute(2, 0, 1)
        return scores.masked_fill(~batch.weights, -torch.inf)

    def says(self, model, batch):
        return self.span_scores(model, batch)

    def hears(self, teacher, batch):
        return self.span_scores(teacher, batch)

    def apart(self, model, said, theirs, batch, divergence):
        """Of the places of the start, and of those of the end."""
        return divergence(said, theirs).sum()

    def loss_of(self, model, said, batch):
        starts, ends = said
        begin, end = batch.labels.unbind(1)
        return F.cross_entropy(starts, begin, reduction="sum") + F.cross_entropy(ends, end, reduction="sum")

    def watched(self, model, records):
        return self.score(self.answer(model, records), records)["f1"]

    def settled(self, model, records):
        """The threshold with the best F1 on records of both kinds."""
        answerable = [bool(record["answers"]) for record in records]
        if not self.unanswerable or len(set(answerable)) < 2:
            return self
        found = dataclasses.replace(self, threshold=1.0).answer(model, records)
        gains = [
            judged(one["answer"], record)[1] if record["answers"] else -float(one["answer"] != "")
            for one, record in zip(found, records, strict=True)
        ]
        threshold = best_threshold([one["no_answer_probability"] for one in found], gains)
        return dataclasses.replace(self, threshold=threshold)

    # ---- answers and scores ----

    @torch.inference_mode()
    def answer(self, model, records, batch_tokens=4096):
        """For each record: answer, start, end, score, no_answer_probability, candidates."""
        windows = self.pieces(model, records, learn=False)
        found = [Found(record["context"]) for record in records]
        model.eval()
        for rows in Batches(windows.lengths, batch_tokens, 0, shuffle=False).epoch(0):
            scores = self.span_scores(model, self.collate(windows, rows, model.tokenizer, None))
            self.gather(scores, windows, rows, found)
        return [one.told(self.threshold if self.unanswerable else None, self.candidates) for one in found]

    def gather(self, scores: Tensor, windows: Windows, rows: np.ndarray, found: list[Found]) -> None:
        """Put the best spans of each window, and its score of "no answer", to its record."""
        null = torch.from_numpy(windows.null[rows])[None, :, None].expand(2, -1, 1)
        nothing = scores.gather(2, null).sum(0)[:, 0].tolist()
        starts, ends = scores.scatter(2, null, -torch.inf)
        values, places = best_spans(starts, ends, self.longest, Found.KEPT)
        for number, row in enumerate(rows.tolist()):
            one = found[int(windows.owner[row])]
            one.nothing = min(one.nothing, nothing[number])
            for value, (first, last) in zip(values[number].tolist(), places[number].tolist(), strict=True):
                if value > -np.inf:
                    one.add(*windows.characters(row, first, last), value)

    def statistics(self, answers, records):
        """Records, exact matches, F1; the same of those with an answer; those rightly left without one, and all such."""
        rows = []
        for answer, record in zip(answers, records, strict=True):
            exact, f1 = judged(answer["answer"], record)
            has = float(bool(record["answers"]))
            rows.append([1.0, exact, f1, has, has * exact, has * f1, (1 - has) * exact, 1 - has])
        return np.asarray(rows, dtype=np.float64).reshape(-1, 8)

    def scores(self, sums):
        count, exact, f1, has, has_exact, has_f1, right, without = np.moveaxis(sums, -1, 0)
        pairs = {"f1": (f1, count), "exact_match": (exact, count)}
        if self.unanswerable:
            pairs |= {"has_answer_f1": (has_f1, has), "has_answer_exact_match": (has_exact, has)}
            pairs |= {"no_answer_accuracy": (right, without)}
        return {name: sum_ / np.maximum(number, 1) for name, (sum_, number) in pairs.items()}

    def notes(self, records):
        by_characters = sum(map(is_chinese, records))
        names = {"SQuAD 2.0": len(records) - by_characters, "CMRC 2018": by_characters}
        return {"definition": ", ".join(f"{name} ({count} records)" for name, count in names.items() if count)}

    def truth(self, record: Record) -> str:
        """The answers, each once."""
        return " / ".join(dict.fromkeys(flat(one["text"]) for one in record["answers"])) or NOTHING[language()]

    def lines(self, record: Record, answer: dict[str, Any]) -> Iterator[Line]:
        """The question, the answer with its score and marked in its context, then the other candidates."""
        yield [(record["question"], "strong")]
        if not answer["answer"]:
            yield [(f"  {100 * answer['no_answer_probability']:5.1f} %  ", "number"), (NOTHING[language()], "dim")]
        else:
            yield [(f"  {100 * answer['score']:5.1f} %  ", "number"), (flat(answer["answer"]), "label.0")]
            yield [("           ", ""), *clipped(record["context"], answer)]
        for other in answer["candidates"]:
            if other["start"] != answer["start"]:
                yield [(f"  {100 * other['score']:5.1f} %  ", "number"), (flat(other["answer"]), "")]


NOTHING = {"en": "no answer", "zh": "无答案"}


def best_spans(starts: Tensor, ends: Tensor, longest: int, count: int) -> tuple[Tensor, Tensor]:
    """The best spans of at most `longest` tokens of each row: their scores B C, their first and last places B C 2."""
    rows, width = starts.shape
    longest = min(longest, width)
    ahead = F.pad(ends, (0, longest - 1), value=-torch.inf).unfold(1, longest, 1)  # B T L
    sums = (starts[:, :, None] + ahead).flatten(1)
    values, flat = sums.topk(min(count, sums.shape[1]), dim=1)
    first = flat // longest
    return values, torch.stack([first, first + flat % longest], dim=2)
