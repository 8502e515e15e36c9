"""Rollouts: prompts of records, several answers of each by the project's own generation, what they are worth, and their
log-probabilities.

P prompts, G answers of each, R answers (P G), T tokens, N tokens of answers
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from penjing.base.errors import DataError, PenjingError, TaskError, TrainError, raise_all
from penjing.generate.answers import Answer, gathered
from penjing.generate.loop import generate
from penjing.generate.rows import batch_of
from penjing.model.batch import Batch
from penjing.tasks.batches import Batches
from penjing.tasks.defaults import Defaults, read_defaults
from penjing.tasks.model import Model
from penjing.tasks.task import IGNORED, padded, place_of
from penjing.tasks.writer import Ending, Writer
from penjing.train.rewards.reward import Reward

ROWS = 256  # answers made at once, at most
FAR = 2**62  # between the seeds of equal prompts: no step has such a number

Record = Mapping[str, Any]


class Rollout(NamedTuple):
    """One answer, with the token that ended it."""

    prompt: list[int]
    tokens: list[int]
    text: str
    reason: str  # "stop" or "length"


@dataclass
class Group:
    """The answers of some prompts, each worth something."""

    records: Sequence[Record]  # P
    rollouts: list[Rollout]  # R, those of one prompt side by side
    rewards: dict[str, np.ndarray]  # name: P G
    total: np.ndarray  # P G, weighted


class Asker:
    """A model that answers prompts by chance, as it is trained to."""

    def __init__(self, model: Model, max_new_tokens: int):
        if model.task.purpose != "causal" or model.network.config.encoder_layers:
            raise TaskError("P-TRAIN-037", task=model.task.name)
        self.model, self.most = model, max_new_tokens
        stops = read_defaults(model.generation, False).stop_tokens
        self.writer = Writer(model.network, model.tokenizer, Defaults(stop_tokens=stops))
        self.talks = "messages" in model.task.needs

    def prompts(self, records: Sequence[Record]) -> list[list[int]]:
        """The tokens of each prompt. Raises P-TASK-009 and P-TRAIN-032, all records at once."""
        problems: list[PenjingError] = []
        found = []
        for number, record in enumerate(records):
            try:
                found.append(self.prompt(record, number))
            except PenjingError as error:
                problems.append(error)
        raise_all(problems)
        return found

    def prompt(self, record: Record, number: int) -> list[int]:
        """The tokens of one prompt: of a conversation in its template, of a text as it is."""
        asked = record.get("messages", record.get("prompt"))
        place = place_of(record, number)
        if not asked or not isinstance(asked, str | list):
            raise DataError("P-TASK-009", field="prompt", given=sorted(record), count=1, **place)
        if isinstance(asked, str) and self.talks:
            asked = [{"role": "user", "content": asked}]
        if isinstance(asked, str):
            tokens = self.writer.prompt(asked)
        else:
            said = asked[:-1] if asked[-1].get("role") == "assistant" else asked
            tokens = self.writer.question(said, record.get("tools"))
        if len(tokens) + self.most > self.model.window:
            raise DataError("P-TRAIN-032", given=len(tokens), most=self.most, window=self.model.window, **place)
        return tokens

    def answers(self, prompts: Sequence[list[int]], count: int, temperature: float, seed: int) -> list[Rollout]:
        """`count` answers of each prompt, side by side; prompts of like length are answered together."""
        options: dict[str, Any] = {"temperature": temperature, "max_new_tokens": self.most, "returns": count}
        turns = occurrences(prompts) if temperature else [0] * len(prompts)
        order = sorted(range(len(prompts)), key=lambda number: (turns[number], len(prompts[number])))
        found: dict[int, list[Rollout]] = {}
        for turn, equals in groupby(order, key=turns.__getitem__):
            chance = {"seed": seed + turn * FAR} if temperature else {}
            asked = self.writer.asked(options | chance, chat=self.talks)
            while numbers := list(islice(equals, max(1, ROWS // count))):
                batch = batch_of([prompts[number] for number in numbers], self.model.network)
                columns = generate(self.model.network, batch, asked.options, asked.rules)
                made = iter(gathered(columns, asked.options.stop_tokens))
                for number in numbers:
                    found[number] = self.rollouts(prompts[number], list(islice(made, count)))
        return [one for number in range(len(prompts)) for one in found[number]]

    def rollouts(self, prompt: list[int], answers: Sequence[Answer]) -> list[Rollout]:
        """The answers of a prompt with their texts; equal ones are read once."""
        known: dict[tuple[int, ...], str] = {}
        made = []
        for answer in answers:
            key = tuple(answer.tokens)
            if key not in known:
                text = self.writer.written(answer, Ending(), prompt).text
                known[key] = text.strip() if self.talks else text
            end = [] if answer.end is None else [answer.end[0]]
            made.append(Rollout(prompt, answer.tokens + end, known[key], answer.reason))
        return made


def occurrences(prompts: Sequence[list[int]]) -> list[int]:
    """How often each prompt stood before: chance follows from seed and prompt, so that equal ones need other seeds."""
    seen: Counter[tuple[int, ...]] = Counter()
    found = []
    for prompt in map(tuple, prompts):
        found.append(seen[prompt])
        seen[prompt] += 1
    return found


# ---- rewards ----


def names_of(rewards: Sequence[Reward]) -> list[str]:
    """The rewards' names, the second of one name with a number."""
    names = [reward.name for reward in rewards]
    return [name if (n := names[:row].count(name)) == 0 else f"{name}_{n + 1}" for row, name in enumerate(names)]


def judged(rewards: Sequence[Reward], records: Sequence[Record], rollouts: list[Rollout]) -> Group:
    """The answers with what they are worth. Raises P-TRAIN-033 and -034 with the answer at which it happened."""
    count = len(rollouts) // len(records)
    asked = [record for record in records for _ in range(count)]
    found = {}
    for name, reward in zip(names_of(rewards), rewards, strict=True):
        values = worth(reward, name, rollouts, asked)
        found[name] = values.reshape(len(records), count)
    total = sum((reward.weight * values for reward, values in zip(rewards, found.values(), strict=True)),
                np.zeros((len(records), count)))  # fmt: skip
    return Group(records, rollouts, found, total)


def worth(reward: Reward, name: str, rollouts: Sequence[Rollout], records: Sequence[Record]) -> np.ndarray:
    """What one reward gives: R float64, all finite."""
    found: list[float] = []

    def place() -> dict[str, Any]:
        record = records[min(len(found), len(rollouts) - 1)]
        known = {key: getattr(record, key, None) for key in ("file", "line")}
        return {"reward": name, "answer": rollouts[min(len(found), len(rollouts) - 1)].text[:80], **known}

    try:
        for value in reward.of([one.text for one in rollouts], records):
            if not math.isfinite(plain(value)):
                raise TrainError("P-TRAIN-034", given=value, **place())
            found.append(plain(value))
    except PenjingError:
        raise
    except Exception as error:  # it may be the user's own program
        raise TrainError("P-TRAIN-033", reason=f"{type(error).__name__}: {error}"[:300], **place()) from error
    return np.asarray(found, np.float64)


def plain(value: Any) -> float:
    """A number, of whatever library, as a float; not a number where it is none."""
    try:
        return math.nan if isinstance(value, str) else float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return math.nan


# ---- log-probabilities ----


def batches_of(rollouts: Sequence[Rollout], numbers: np.ndarray, tokens: int) -> Iterator[np.ndarray]:
    """The answers `numbers` in batches of like lengths."""
    lengths = np.asarray([len(rollouts[n].prompt) + len(rollouts[n].tokens) for n in numbers], np.int64)
    for rows in Batches(lengths, tokens, 0, shuffle=False).epoch(0) if len(numbers) else ():
        yield numbers[rows]


def answer_batch(rollouts: Sequence[Rollout], pad: int) -> Batch:
    """Prompts and answers as rows; the answers' tokens are the labels."""
    tokens, mask = padded([np.asarray(one.prompt + one.tokens, np.int64) for one in rollouts], pad)
    labels = torch.full_like(tokens[:, 1:], IGNORED)
    for row, one in enumerate(rollouts):
        begin = len(one.prompt)
        labels[row, begin - 1 : begin - 1 + len(one.tokens)] = tokens[row, begin : begin + len(one.tokens)]
    return Batch(tokens=tokens, mask=mask, labels=labels)


def taken_logs(model: Model, batch: Batch, temperature: float) -> Tensor:
    """Log-probabilities of the labels, flat in the rows' order, as they were drawn: N float32."""
    assert batch.labels is not None
    kept = batch.labels != IGNORED
    hidden, labels = model.network(batch)[:, :-1][kept], batch.labels[kept]
    if temperature == 1:
        return -model.network.token_losses(hidden, labels)
    scores = model.network.logits(hidden).float() / temperature
    return scores.log_softmax(-1).gather(1, labels[:, None])[:, 0]


@torch.no_grad()
def logs_of(model: Model, rollouts: Sequence[Rollout], temperature: float, tokens: int) -> list[Tensor]:
    """Log-probabilities of the tokens of each answer, without gradients."""
    found: dict[int, Tensor] = {}
    for rows in batches_of(rollouts, np.arange(len(rollouts)), tokens):
        some = [rollouts[row] for row in rows]
        logs = taken_logs(model, answer_batch(some, model.tokenizer.pad).to(device_of(model)), temperature).cpu()
        found |= dict(zip(rows.tolist(), logs.split([len(one.tokens) for one in some]), strict=True))
    return [found[row] for row in range(len(rollouts))]


def device_of(model: nn.Module) -> torch.device:
    """Where the model is."""
    return next(model.parameters()).device


class Reference:
    """The model as it came in: what training moves, as it was. With a change that is the change alone, and no second
    network is held."""

    def __init__(self, model: nn.Module):
        self.moved = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.start = [parameter.detach().clone() for parameter in self.moved]

    @contextmanager
    def within(self) -> Iterator[None]:
        """The model is its reference while it lasts."""
        self.swap()
        try:
            yield
        finally:
            self.swap()

    @torch.no_grad()
    def swap(self) -> None:
        """Exchange the values."""
        for parameter, start in zip(self.moved, self.start, strict=True):
            parameter.data, start.data = start.data, parameter.data
