"""What a dialogue model must beat: the answer that the nearest question of training had, nearest by BM25."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.errors import EvaluateError
from penjing.base.files import read_json, whole_folder, write_json
from penjing.base.records import read_records, write_records
from penjing.tasks import task_named
from penjing.tasks.chat import written
from penjing.tasks.task import Task
from penjing.text.bm25 import BM25
from penjing.text.loss_mask import learnt
from penjing.text.tool_calls import calls_of

KIND, INDEX, ANSWERS = "retrieval", "questions.npz", "answers.jsonl"


class Baseline:
    """An index of what the assistant was told, and what it said to each. `task` says which turns are asked."""

    def __init__(self, task: Any, index: BM25, said: Sequence[Mapping[str, Any]], facts: dict[str, Any]):
        self.task, self.index, self.said, self.facts = task, index, list(said), facts

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
        facts = {"seconds": round(time.perf_counter() - began, 3), "questions": len(said), "terms": len(index.numbers)}
        return cls(task, index, said, facts)

    def answer(self, records: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """The same turns as the task answers, in the same form."""
        records = [self.task.normal(record) for record in records]
        self.task.check(records, learn=False)
        turns = [(record["messages"], number) for record in records for number in self.task.asked(record)]
        nearest, _ = self.index.best([asked(*one) for one in turns], 1)
        found = iter([self.said[int(one)] for one in nearest[:, 0]])
        return [self.task.answer_of(record, [next(found) for _ in self.task.asked(record)]) for record in records]

    def save(self, folder: str | Path) -> None:
        """penjing.json, the index, and the answers."""
        with whole_folder(folder) as part:
            self.index.save(part / INDEX)
            write_records(part / ANSWERS, self.said)
            write_json(part / "penjing.json", {"kind": KIND, "task": self.task.record(), "facts": self.facts})

    @classmethod
    def load(cls, folder: str | Path) -> Baseline:
        """What `save` wrote."""
        folder = Path(folder)
        about = read_json(folder / "penjing.json", dict)
        try:
            options = dict(about["task"])
            task, facts = task_named(options.pop("task"), **options), dict(about["facts"])
        except (KeyError, TypeError, ValueError) as error:
            raise EvaluateError("P-EVAL-003", file=folder / "penjing.json", reason=error) from error
        index = BM25.load(folder / INDEX)
        said = list(read_records(folder / ANSWERS, needs=("text",)))
        if len(said) != len(index):
            raise EvaluateError(
                "P-EVAL-003", file=folder / ANSWERS, reason=f"{len(said)} answers to {len(index)} questions"
            )
        return cls(task, index, said, facts)


def asked(messages: Sequence[Mapping[str, Any]], number: int) -> str:
    """What a turn answers: the message before it."""
    return written(messages[number - 1]) if number else ""


def answer_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of training as an answer."""
    calls = calls_of(message)
    text = written({name: value for name, value in message.items() if name != "tool_calls"})
    return {"text": text} | ({"tool_calls": calls} if calls else {})
