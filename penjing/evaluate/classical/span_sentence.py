"""The answer by shape and company: what kind of thing the question asks for, in the sentence that shares its words.

Every candidate (a date, a number, a name, a phrase, a clause) has hints: the rare words that its sentence shares with
the question, how near they stand, what is asked for (who, when, how many ...) against what it is. "No answer" is a
candidate too, with hints of its own. What each hint counts is learnt: a softmax over the candidates of a question.

C candidates, S sentences, K hints
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from penjing.base.errors import EvaluateError
from penjing.base.files import read_json, whole_folder, write_json
from penjing.evaluate.classical import saved_task
from penjing.evaluate.span_candidates import ASKED, KINDS, Parts, asked_for, parts_of, spotted
from penjing.tasks.span import Task
from penjing.tasks.span_answers import apart
from penjing.tasks.span_records import learnt
from penjing.tasks.span_scores import best_threshold, judged

KIND = "span_sentence"
Records = Sequence[Mapping[str, Any]]
SHOWN = 2000  # training records that the weights are found on
STEPS, RATE, DECAY = 100, 0.1, 1e-5  # of Adam on all of them at once
REACH = 25.0  # characters at which a word of the question counts for 1/e
PLAIN = 7  # hints that do not depend on what is asked; then three of "no answer"


class Baseline:
    """Rarity of words and weights of hints; `task` has the threshold of "no answer" that was fitted for them."""

    def __init__(self, task: Task, rarity: dict[str, float], weights: np.ndarray, facts: dict[str, Any] | None = None):
        self.task, self.rarity, self.weights, self.facts = task, rarity, weights, facts or {}
        self.usual = max(rarity.values(), default=1.0)  # of a word never seen

    @property
    def threshold(self) -> float | None:
        """The probability above which there is no answer; None: there is always one."""
        return self.task.threshold if self.task.unanswerable else None

    @classmethod
    def fit(cls, task: Task, train: Records, valid: Records, seed: int = 0) -> Baseline:
        """Rarity from all contexts; weights from some records; the threshold on valid, where answers may be absent."""
        began = time.perf_counter()
        rarity = rarities({record["context"] for record in train})
        found = cls(task, rarity, np.zeros(size()))
        random = np.random.Generator(np.random.PCG64([seed, 11]))
        some = [train[int(row)] for row in np.sort(random.permutation(len(train))[:SHOWN])]
        found.weights = found.learn(some)
        if task.unanswerable:
            found.task = dataclasses.replace(task, threshold=found.fitted(valid or some))
        found.facts = {"words": len(rarity), "records": len(some), "hints": size(),
                       "seconds": round(time.perf_counter() - began, 3)}  # fmt: skip
        return found

    def learn(self, records: Records) -> np.ndarray:
        """The weights of the hints; questions of whose answer no candidate holds a character teach nothing."""
        tables, wanted = [], []
        for record in records:
            parts, answer = parts_of(record["context"]), learnt(record)
            table = self.hints(record["question"], parts)
            aim = np.concatenate(
                [overlap(parts.spans, answer) ** 2, [float(answer is None)] * (self.threshold is not None)]
            )
            if aim.sum() > 0:
                tables.append(table)
                wanted.append(aim / aim.sum())
        return descended(tables, wanted) if tables else self.weights

    def fitted(self, records: Records) -> float:
        """The threshold with the best F1."""
        found = [self.told(record, 1.0) for record in records]
        gains = [
            judged(one["answer"], record)[1] if record["answers"] else -float(one["answer"] != "")
            for one, record in zip(found, records, strict=True)
        ]
        return best_threshold([one["no_answer_probability"] for one in found], gains)

    def hints(self, question: str, parts: Parts) -> np.ndarray:
        """C K hints of every candidate, and, where there may be none, a last row of "no answer"."""
        asked = {word for word, _, _ in spotted(question)}
        total = sum(map(self.worth, asked)) or 1.0
        hits = [(self.worth(word), at) for word in sorted(asked) for at in parts.where.get(word, ())]
        worth, at = np.asarray([w for w, _ in hits]), np.asarray([a for _, a in hits], dtype=np.int64)
        near, inside = company(parts, worth / total, at)
        shared = np.zeros(len(parts.sentences))
        once = {(int(parts.sentence_of_word[a]), word) for word in asked for a in parts.where.get(word, ())}
        for sentence, word in sorted(once):
            shared[sentence] += self.worth(word) / total
        own = shared[parts.owner]
        best = (own >= shared.max() - 1e-12).astype(float)
        plain = np.stack([np.ones_like(own), own, best, near, inside, np.log1p(parts.size), own * near], 1)
        typed = np.zeros((len(own), len(ASKED), len(KINDS)))
        typed[:, asked_for(question)] = np.eye(len(KINDS))[parts.kinds]
        typed = typed.reshape(len(own), len(ASKED) * len(KINDS))
        found = np.concatenate([plain, np.zeros((len(own), 3)), typed, typed * near[:, None]], axis=1)
        if self.threshold is None:
            return found
        nothing = np.zeros((1, size()))
        nothing[0, PLAIN : PLAIN + 3] = 1.0, shared.max(), near.max(initial=0.0)
        return np.concatenate([found, nothing])

    def worth(self, word: str) -> float:
        return self.rarity.get(word, self.usual)

    def answer(self, records: Records) -> list[dict[str, Any]]:
        """Answers in the form of the task's own."""
        return [self.told(record, self.threshold) for record in records]

    def told(self, record: Mapping[str, Any], threshold: float | None) -> dict[str, Any]:
        """The answer to one question."""
        parts = parts_of(record["context"])
        scores = self.hints(record["question"], parts) @ self.weights
        shares = np.exp(scores - scores.max(initial=0.0))
        shares = shares / max(shares.sum(), 1e-300)
        spans, nothing = shares[: len(parts.spans)], float(shares[len(parts.spans) :].sum())
        found = []
        for row in np.argsort(-spans, kind="stable")[:20].tolist():
            start, end = parts.spans[row].tolist()
            found.append(
                {"answer": record["context"][start:end], "start": start, "end": end, "score": float(spans[row])}
            )
        chance = nothing / (nothing + found[0]["score"]) if found else 1.0
        there = bool(found) and (threshold is None or chance <= threshold)
        first = found[0] if there else {"answer": "", "start": None, "end": None, "score": nothing}
        return {**first, "no_answer_probability": chance, "candidates": apart(found)[: self.task.candidates]}

    def save(self, folder: str | Path) -> None:
        """penjing.json and one file of arrays."""
        words = np.frombuffer("\n".join(self.rarity).encode("utf-8", "replace"), dtype=np.uint8)
        with whole_folder(folder) as place:
            np.savez(place / "hints.npz", words=words, rarity=list(self.rarity.values()), weights=self.weights)
            about = {"kind": KIND, "format": 1, "task": self.task.record(), "facts": self.facts}
            write_json(place / "penjing.json", about)

    @classmethod
    def load(cls, folder: str | Path) -> Baseline:
        """The model that `save` wrote, with identical answers."""
        folder = Path(folder)
        about = read_json(folder / "penjing.json", dict)
        try:
            with np.load(folder / "hints.npz", allow_pickle=False) as arrays:
                words = arrays["words"].tobytes().decode().split("\n")
                rarity = dict(zip(words, arrays["rarity"].tolist(), strict=True)) if arrays["rarity"].size else {}
                weights = arrays["weights"]
            return cls(saved_task(about), rarity, weights, about.get("facts"))
        except Exception as error:  # a broken archive may say anything
            raise EvaluateError("P-EVAL-003", file=folder / "hints.npz", reason=error) from error


def size() -> int:
    """How many hints there are."""
    return PLAIN + 3 + 2 * len(ASKED) * len(KINDS)


def rarities(contexts: set[str]) -> dict[str, float]:
    """How rare each word is among the sentences: log(1 + N / n)."""
    counts: Counter[str] = Counter()
    total = 0
    for context in sorted(contexts):
        parts = parts_of(context)
        total += len(parts.sentences)
        counts.update({word: len(set(parts.sentence_of_word[at].tolist())) for word, at in parts.where.items()})
    return {word: float(np.log1p(total / count)) for word, count in sorted(counts.items())}


def overlap(spans: np.ndarray, answer: Any) -> np.ndarray:
    """How far each span C 2 overlaps the answer: F1 over characters; 0 where there is none."""
    if answer is None:
        return np.zeros(len(spans))
    common = np.minimum(spans[:, 1], answer.end) - np.maximum(spans[:, 0], answer.start)
    return 2 * np.maximum(common, 0) / (spans[:, 1] - spans[:, 0] + answer.end - answer.start)


def company(parts: Parts, worth: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each candidate: the words of the question near it in its sentence, and those within it, by their worth."""
    if not len(at):
        return np.zeros(len(parts.spans)), np.zeros(len(parts.spans))
    start, end = parts.words_in[at].T
    first, last = parts.spans[:, :1], parts.spans[:, 1:]
    within = (start >= first) & (end <= last)  # C hits
    distance = np.maximum(0, np.maximum(start - last, first - end))
    beside = ~within & (parts.sentence_of_word[at] == parts.owner[:, None])
    return (worth * np.exp(-distance / REACH) * beside).sum(1), (worth * within).sum(1)


def descended(tables: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> np.ndarray:
    """The weights whose softmax over the rows of each table is nearest to what is wanted there."""
    rows, aim = np.concatenate(tables), np.concatenate(wanted)
    counts = np.asarray([len(table) for table in tables])
    begins = np.cumsum(counts) - counts
    weights, speed, power = np.zeros((3, rows.shape[1]))
    for step in range(1, STEPS + 1):
        scores = rows @ weights
        shares = np.exp(scores - np.repeat(np.maximum.reduceat(scores, begins), counts))
        shares /= np.repeat(np.add.reduceat(shares, begins), counts)
        slope = rows.T @ (shares - aim) / len(tables) + DECAY * weights
        speed, power = 0.9 * speed + 0.1 * slope, 0.99 * power + 0.01 * slope**2
        weights -= RATE * (speed / (1 - 0.9**step)) / (np.sqrt(power / (1 - 0.99**step)) + 1e-8)
    return weights
