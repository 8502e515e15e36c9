"""What the tasks that learn from raw text share: one question for each row, drawn anew each time, and its guesses.

A question is a row as corruption left it, with what is to be guessed. In training its chance comes from the run's
generator, so that a run resumes exactly; in an answer it follows from the row's own tokens, so that the same text is
asked the same question in any company.

B rows, K numbers
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from penjing.model.batch import Batch
from penjing.tasks import task
from penjing.tasks.batches import Batches
from penjing.tasks.blocks import drawn_blocks
from penjing.tasks.pieces import InMemory

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.pieces import Pieces
    from penjing.text.tokenizer import Tokenizer

Lists = dict[str, list[Any]]
GUESSES = 100  # of a block


class Objective(task.Task):
    """Base of the objectives. Subclasses say `question`, `joined`, `loss` and `guesses`."""

    main_score: ClassVar[str] = "accuracy"
    lists: ClassVar[tuple[str, ...]] = ("labels", "guesses", "bits")  # what an answer lists, place by place

    def question(self, pieces: Pieces, row: int, tokenizer: Tokenizer, random: np.random.Generator) -> Any:
        """A row as the network will see it, and what it is to guess."""
        raise AssertionError(f"task {self.name} says nothing here")

    def joined(self, questions: Sequence[Any], records: list[int], tokenizer: Tokenizer) -> Batch:
        """Questions as a batch."""
        raise AssertionError(f"task {self.name} says nothing here")

    def guesses(self, model: Model, batch: Batch) -> list[Lists]:
        """For each row of a batch the lists of an answer."""
        raise AssertionError(f"task {self.name} says nothing here")

    def collate(self, pieces, rows, tokenizer, random):
        self.suits(tokenizer)
        questions = [self.question(pieces, int(row), tokenizer, random) for row in rows]
        return self.joined(questions, pieces.records(rows), tokenizer)

    def pieces(self, model, records, learn):
        from penjing.tasks.model import whole

        texts = [whole(record["text"]) for record in records]
        if not self.word_starts:
            return self.raw_pieces(InMemory(model.tokenizer.encode_many(texts)), model.tokenizer, model.window)
        found = model.tokenizer.word_starts_many(texts, chinese_words=self.chinese_words)
        documents = InMemory([tokens for tokens, _ in found], [starts for _, starts in found])
        return self.raw_pieces(documents, model.tokenizer, model.window)

    @torch.inference_mode()
    def answer(self, model, records, batch_tokens=4096):
        """For each record the lists of `lists`, over all its pieces in order."""
        model.eval()
        pieces = self.pieces(model, records, False)
        found: list[Lists] = [{} for _ in range(len(pieces))]
        for rows in Batches(pieces.lengths, batch_tokens, 0, shuffle=False).epoch(0) if len(pieces) else ():
            questions = [self.question(pieces, int(row), model.tokenizer, own_chance(pieces, row)) for row in rows]
            batch = self.joined(questions, pieces.records(rows), model.tokenizer)
            for row, lists in zip(rows, self.guesses(model, batch), strict=True):
                found[row] = lists
        answers = [{name: [] for name in self.lists} for _ in records]
        for owner, lists in zip(pieces.owner, found, strict=True):
            for name in self.lists:
                answers[owner][name] += lists[name]
        return answers

    def resampled(self, answers, records, weights):
        """Blocks of some GUESSES are drawn, not records: a corpus may be one long record."""
        blocks = [cut(answer) for answer in answers]
        drawn = drawn_blocks(weights, [len(some) for some in blocks])
        return self.scores(drawn @ self.statistics([one for some in blocks for one in some], records))

    def telling(self, answers, others, records):
        """The guesses that one has right and the other has not; one block alone has no interval."""
        blocks = sum(len(cut(answer)) for answer in answers)
        right = [[map(int.__eq__, one["labels"], one["guesses"]) for one in some] for some in (answers, others)]
        apart = sum(one != other for pair in zip(*right, strict=True) for one, other in zip(*pair, strict=True))
        return blocks if blocks < 2 else apart

    def statistics(self, answers, records):
        """Guessed, right, right if always the commonest label were guessed, bits: N 4."""
        common = commonest([label for answer in answers for label in answer["labels"]])
        rows = [
            (
                len(a["labels"]),
                sum(map(int.__eq__, a["labels"], a["guesses"])),
                a["labels"].count(common),
                sum(a["bits"]),
            )
            for a in answers
        ]
        return np.asarray(rows, np.float64).reshape(-1, 4)

    def scores(self, sums):
        """`majority` is the accuracy of guessing the commonest label; bits are those of a guess, not of a byte."""
        guessed = np.maximum(sums[..., 0], 1)
        names = ("accuracy", "majority", "bits_per_guess")
        return {name: sums[..., column] / guessed for column, name in enumerate(names, 1)}

    def lines(self, record, answer):
        right = sum(map(int.__eq__, answer["labels"], answer["guesses"]))
        yield [(str(record.get("text", "")), "")]
        yield [("  ", ""), (f"{right} / {len(answer['labels'])}", "number")]


def cut(answer: Lists) -> list[Lists]:
    """An answer in blocks of about GUESSES, each list cut into as many parts."""
    count = max(1, len(answer["labels"]) // GUESSES)

    def part(values: list[Any], number: int) -> list[Any]:
        return values[len(values) * number // count : len(values) * (number + 1) // count]

    return [{name: part(values, number) for name, values in answer.items()} for number in range(count)]


def own_chance(pieces: Pieces, row: int) -> np.random.Generator:
    """The chance of a row by itself: the same wherever, and with whatever others, its tokens stand."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(pieces.tokens(int(row)).tobytes())))


def commonest(labels: Sequence[int]) -> int:
    """The label that occurs most often, the smallest of several; -1 where there is none."""
    found, counts = np.unique(np.asarray(labels, np.int64), return_counts=True)
    return int(found[counts.argmax()]) if len(found) else -1


def guessed_tokens(
    model: Model, hidden: torch.Tensor, labels: torch.Tensor, known: Collection[int] = ()
) -> list[Lists]:
    """The likeliest tokens where labels B M stand, and the bits of the labels, for states B M W; `known` are no guesses."""
    labels = torch.where(torch.isin(labels, torch.tensor(sorted(known), dtype=torch.int64)), task.IGNORED, labels)
    found = []
    for states, wanted in zip(hidden, labels, strict=True):
        kept = wanted != task.IGNORED
        scores = model.network.logits(states[kept]).float()
        bits = torch.nn.functional.cross_entropy(scores, wanted[kept], reduction="none") / np.log(2)
        found.append({"labels": wanted[kept].tolist(), "guesses": scores.argmax(-1).tolist(), "bits": bits.tolist()})
    return found


def table(rows: Sequence[np.ndarray], fill: int) -> torch.Tensor:
    """Rows of numbers as a tensor B M (int64), M at least 1."""
    found = np.full((len(rows), max(1, *(len(row) for row in rows))), fill, dtype=np.int64)
    for number, row in enumerate(rows):
        found[number, : len(row)] = row
    return torch.from_numpy(found)
