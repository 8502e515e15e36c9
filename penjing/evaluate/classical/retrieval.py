"""What a dialogue model must beat: the answer that the nearest question of training had, nearest by BM25.

Its bits per byte are those of n-grams of characters of the training answers, which do not see the question.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.errors import EvaluateError
from penjing.base.files import read_json, whole_folder, write_json
from penjing.base.records import read_records, write_records
from penjing.evaluate.classical import ngram_lm, saved_task
from penjing.tasks.chat import plain_words, written
from penjing.tasks.task import Task
from penjing.text.bm25 import BM25
from penjing.text.loss_mask import learnt
from penjing.text.tool_calls import calls_of

KIND, INDEX, ANSWERS, NGRAMS = "retrieval", "questions.npz", "answers.jsonl", "ngrams"
MOST = 1_500_000  # characters of answers that n-grams are counted in
END = "\n"  # stands for the token that ends an answer: it costs, and is no byte of it


class Baseline:
    """An index of what the assistant was told, and what it said to each. `task` says which turns are asked."""

    def __init__(
        self,
        task: Any,
        index: BM25,
        said: Sequence[Mapping[str, Any]],
        ngrams: ngram_lm.Baseline,
        facts: dict[str, Any],
    ):
        self.task, self.index, self.said, self.ngrams, self.facts = task, index, list(said), ngrams, facts

    @classmethod
    def fit(cls, task: Task, train: Sequence[Mapping[str, Any]], valid: Any = None, seed: int = 0) -> Baseline:
        """All of the assistant's turns that the task would learn; a question is the message before."""
        began = time.perf_counter()
        questions, said = [], []
        for record in train:
            for number in learnt(record["messages"], task.turns):  # type: ignore[attr-defined]
                questions.append(asked(record["messages"], number))
                said.append(answer_of(record["messages"][number]))
        index = BM25.fit(questions)
        held = [text for record in valid or () for text in answers_in(record, task)]
        ngrams = ngram_lm.Baseline.fit(task, as_texts(map(plain_words, said)), as_texts(held), seed)
        facts = {"seconds": round(time.perf_counter() - began, 3), "questions": len(said), "terms": len(index.numbers),
                 "order": ngrams.facts["order"]}  # fmt: skip
        return cls(task, index, said, ngrams, facts)

    def answer(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The same turns as the task answers, in the same form."""
        records = [self.task.normal(record) for record in records]
        self.task.check(records, learn=False)
        turns = [(record["messages"], number) for record in records for number in self.task.asked(record)]
        nearest, _ = self.index.best([asked(*one) for one in turns], 1)
        found = iter([self.said[int(one)] for one in nearest[:, 0]])
        answers = [self.task.answer_of(one, [next(found) for _ in self.task.asked(one)]) for one in records]
        return [answer | ({"measured": self.cost(record)} if "turns" in answer else {})
                for answer, record in zip(answers, records, strict=True)]  # fmt: skip

    def cost(self, record: Mapping[str, Any]) -> dict[str, float]:
        """What a byte of the true answers costs (nats), and their bytes; there are no tokens."""
        texts = answers_in(record, self.task)
        bits = sum(sum(one["bits"]) for one in self.ngrams.answer(as_texts(texts)))
        size = sum(len(text.encode("utf-8", "replace")) for text in texts)
        return {"nats_per_byte": bits * math.log(2) / max(1, size), "tokens": 0, "bytes": size}

    def save(self, folder: str | Path) -> None:
        """penjing.json, the index, and the answers."""
        with whole_folder(folder) as part:
            self.index.save(part / INDEX)
            self.ngrams.save(part / NGRAMS)
            write_records(part / ANSWERS, self.said)
            write_json(part / "penjing.json", {"kind": KIND, "task": self.task.record(), "facts": self.facts})

    @classmethod
    def load(cls, folder: str | Path) -> Baseline:
        """What `save` wrote."""
        folder = Path(folder)
        about = read_json(folder / "penjing.json", dict)
        try:
            task, facts = saved_task(about), dict(about["facts"])
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluateError("P-EVAL-003", file=folder / "penjing.json", reason=error) from error
        index = BM25.load(folder / INDEX)
        said = list(read_records(folder / ANSWERS, needs=("text",)))
        if len(said) != len(index):
            raise EvaluateError(
                "P-EVAL-003", file=folder / ANSWERS, reason=f"{len(said)} answers to {len(index)} questions"
            )
        return cls(task, index, said, ngram_lm.Baseline.load(folder / NGRAMS), facts)


def answers_in(record: Mapping[str, Any], task: Any) -> list[str]:
    """What the assistant said in a conversation, as it is counted in bytes."""
    return [plain_words(record["messages"][number]) for number in learnt(record["messages"], task.turns)]


def as_texts(answers: Iterable[str]) -> list[dict[str, Any]]:
    """Answers as records of text, at most MOST characters."""
    found, held = [], 0
    for text in answers:
        if held >= MOST:
            break
        found.append({"text": text + END})
        held += len(text)
    return found


def asked(messages: Sequence[Mapping[str, Any]], number: int) -> str:
    """What a turn answers: the message before it."""
    return written(messages[number - 1]) if number else ""


def answer_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of training as an answer."""
    calls = calls_of(message)
    text = written({name: value for name, value in message.items() if name != "tool_calls"})
    return {"text": text} | ({"tool_calls": calls} if calls else {})
