"""Reinforcement: a network answers, answers are judged, and those better than their group become likelier.

A step's answers follow from (seed, step) alone and nothing is dropped out, so a run that was stopped goes on to the same
bits on a CPU, like every other training. Every answer of every step stands in `rollouts.jsonl`.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from penjing.base.errors import PenjingError, TrainError
from penjing.base.files import read_json, write_json
from penjing.base.progress import tell
from penjing.model.tensors import digest
from penjing.tasks.model import Model
from penjing.train.heap import keeping
from penjing.train.log import Lines, Log
from penjing.train.loop import Turns, refuse
from penjing.train.methods.method import Method, Taken, estimate
from penjing.train.optimizers import Optimizers, Schedule, rate_at
from penjing.train.resume import INDEX, State, keep, moved, put_moved, take_up
from penjing.train.rewards.reward import Reward
from penjing.train.rollouts import (
    Asker,
    Group,
    Reference,
    Rollout,
    answer_batch,
    batches_of,
    device_of,
    judged,
    logs_of,
    taken_logs,
)
from penjing.train.stopping import StoppedError, stop_signals

WHAT = "reinforce"
FREE = ("save_seconds",)  # options that change no bit of the result


@dataclass(frozen=True)
class ReinforceOptions:
    """How to learn from rewards."""

    steps: int = 100
    prompts: int = 16  # of a step
    group: int = 8  # answers of each prompt
    max_new_tokens: int = 64
    temperature: float = 1.0
    batch_tokens: int = 4096
    learning_rate: float = 1e-4
    weight_decay: float = 0.0
    warmup: float = 0.05
    schedule: Schedule = "constant"
    clip: float = 1.0
    validate_times: int = 5
    seed: int = 0
    save_seconds: float = 60.0


@dataclass
class Run:
    """All parts of one run."""

    asker: Asker
    method: Method
    rewards: Sequence[Reward]
    train: Sequence[Mapping[str, Any]]
    valid: Sequence[Mapping[str, Any]]
    options: ReinforceOptions
    folder: Path
    prompts: dict[str, list[list[int]]]  # of train and valid
    optimizers: Optimizers
    reference: Reference | None
    state: State = field(default_factory=State)
    best: dict[str, Tensor] = field(default_factory=dict)

    @property
    def model(self) -> Model:
        return self.asker.model


def reinforce(
    model: Model, method: Method, rewards: Sequence[Reward], train: Sequence[Mapping[str, Any]],
    valid: Sequence[Mapping[str, Any]], options: ReinforceOptions, folder: Path,
) -> dict[str, Any]:  # fmt: skip
    """Train `model` in place; returns the outcome. With valid records, the weights that end are the best ones."""
    if options.prompts > len(train):
        raise TrainError("P-TRAIN-038", given=options.prompts, count=len(train))
    asker = Asker(model.eval(), options.max_new_tokens)
    prompts = {"train": asker.prompts(train), "valid": asker.prompts(valid)}
    optimizers = Optimizers(model, name="adamw", learning_rate=options.learning_rate, weight_decay=options.weight_decay)
    run = Run(asker, method, rewards, train, valid, options, folder, prompts, optimizers,
              Reference(model) if method.kl else None)  # fmt: skip
    settle(run)
    resume(run)
    with keeping(), stop_signals() as stopped:
        go(run, stopped)
    return finish(run)


# ---- one step ----


def chosen_rows(run: Run, number: int) -> np.ndarray:
    """The records of a step, numbers from 0: each epoch has an order of its own, and a step has no record twice."""
    count = run.options.prompts
    each = len(run.train) // count
    epoch, place = divmod(number, each)
    order = np.random.Generator(np.random.PCG64([run.options.seed, epoch])).permutation(len(run.train))
    return order[place * count : (place + 1) * count]


def drawn(run: Run, number: int) -> Group:
    """The answers of a step, judged."""
    o, rows = run.options, chosen_rows(run, number)
    prompts = [run.prompts["train"][row] for row in rows]
    answers = run.asker.answers(prompts, o.group, o.temperature, o.seed * 1_000_003 + number)
    return judged(run.rewards, [run.train[row] for row in rows], answers)


class Pulls(NamedTuple):
    """Distinct answers that move the weights, D of them: equal answers of a prompt are computed once."""

    rollouts: list[Rollout]
    advantages: np.ndarray  # D
    counts: np.ndarray  # D: how many of the step's answers each stands for
    old: list[Tensor] | None  # log-probabilities of each one's tokens when it was taken; None: as they are now
    reference: list[Tensor] | None  # and of the model as it came in


def learn(run: Run, group: Group, number: int) -> tuple[dict[str, float], np.ndarray]:
    """Move the weights by the answers of a step; what is logged, and the advantages P G."""
    o, method = run.options, run.method
    first, same = distinct(group)
    some, several = [group.rollouts[row] for row in first], method.updates > 1
    reference = None
    if run.reference is not None:
        with run.reference.within():
            reference = logs_of(run.model, some, o.temperature, o.batch_tokens)
    known = several or reference is not None
    old = logs_of(run.model, some, o.temperature, o.batch_tokens) if known else None
    drift = np.zeros(len(some))
    values = {}
    if reference is not None and old is not None:
        drift = np.asarray([float((now - before).sum()) for now, before in zip(old, reference, strict=True)])
        values = {"kl": drift_of(old, reference, same)}
    advantages = method.advantages(group.total, drift[same].reshape(group.total.shape))
    pulls = pulled(some, same, advantages.ravel(), old if several else None, reference)
    losses, norms = zip(*(update(run, pulls, len(same), number) for _ in range(method.updates)), strict=True)
    return {"loss": float(np.mean(losses)), "gradient_norm": float(np.mean(norms))} | values, advantages


def distinct(group: Group) -> tuple[np.ndarray, np.ndarray]:
    """The first of all equal answers to a prompt, D, and which of these each answer is, R."""
    numbers: dict[tuple[int, ...], int] = {}
    count = group.total.shape[1]
    keys = [(row // count, *one.tokens) for row, one in enumerate(group.rollouts)]
    same = [numbers.setdefault(key, len(numbers)) for key in keys]
    return np.unique(same, return_index=True)[1], np.asarray(same)


def pulled(
    some: list[Rollout], same: np.ndarray, advantages: np.ndarray, old: list[Tensor] | None,
    reference: list[Tensor] | None,
) -> Pulls:  # fmt: skip
    """Of distinct answers those that move weights. Where nothing but the advantage pulls, those without one do not; a
    reward may give equal answers unlike advantages, and they pull apart."""
    rows = np.arange(len(same)) if reference is not None else np.flatnonzero(advantages)
    pairs, counts = np.unique(np.stack([same[rows], advantages[rows]]), axis=1, return_counts=True)
    numbers = pairs[0].astype(np.int64)

    def of(kept: list[Tensor] | None) -> list[Tensor] | None:
        return None if kept is None else [kept[number] for number in numbers]

    return Pulls([some[number] for number in numbers], pairs[1], counts, of(old), of(reference))


def drift_of(logs: Sequence[Tensor], reference: Sequence[Tensor], same: np.ndarray) -> float:
    """KL from the reference, mean over the tokens of all answers."""
    sums = np.asarray([float(estimate(one, other).sum()) for one, other in zip(logs, reference, strict=True)])
    return float(sums[same].sum() / sum(len(logs[number]) for number in same))


def update(run: Run, pulls: Pulls, total: int, number: int) -> tuple[float, float]:
    """One step of the optimizer: the loss, mean over all `total` answers, and the gradient's norm."""
    o, trained, loss = run.options, [p for p in run.model.parameters() if p.requires_grad], 0.0
    with Turns(run.model).at(number, o.steps):
        for rows in batches_of(pulls.rollouts, np.arange(len(pulls.rollouts)), o.batch_tokens):
            batch = answer_batch([pulls.rollouts[row] for row in rows], run.model.tokenizer.pad).to(
                device_of(run.model)
            )
            logs = taken_logs(run.model, batch, o.temperature)
            taken, counts = taken_of(logs, rows, pulls)
            part = (run.method.losses(taken, o.max_new_tokens) * counts).sum() / total
            part.backward()
            loss += float(part.detach())
    norm = float(nn.utils.clip_grad_norm_(trained, o.clip or math.inf)) if pulls.rollouts else 0.0
    if not (math.isfinite(loss) and math.isfinite(norm)):
        refuse(number + 1, loss, norm, [])
    run.optimizers.set_rate(rate_at(number, o.steps, o.warmup, o.schedule))
    run.optimizers.step()
    for parameter in trained:
        parameter.grad = None
    return loss, norm


def taken_of(logs: Tensor, rows: np.ndarray, pulls: Pulls) -> tuple[Taken, Tensor]:
    """What the method reads of the tokens of a batch, and how often each of them was taken."""
    lengths = torch.tensor([len(pulls.rollouts[row].tokens) for row in rows], device=logs.device)

    def flat(kept: list[Tensor]) -> Tensor:
        return torch.cat([kept[row] for row in rows]).to(logs.device)

    def each(values: Tensor) -> Tensor:
        return values.to(logs).repeat_interleave(lengths)

    taken = Taken(
        logs, logs.detach() if pulls.old is None else flat(pulls.old),
        None if pulls.reference is None else flat(pulls.reference),
        each(torch.from_numpy(pulls.advantages[rows])), each(lengths),
    )  # fmt: skip
    return taken, each(torch.from_numpy(pulls.counts[rows]))


# ---- the run ----


def go(run: Run, stopped: list[str]) -> None:
    """All steps that are left."""
    o = run.options
    log = Log(run.folder, run.state.log_bytes, run.state.step)
    rollouts = Lines(run.folder / "rollouts.jsonl", run.state.rollout_bytes)
    moments = (
        {round(o.steps * i / o.validate_times) for i in range(o.validate_times + 1)} if o.validate_times else set()
    )
    last_save = time.monotonic()
    tell("begin", WHAT, total=o.steps)
    try:
        for number in range(run.state.step, o.steps + 1):
            if number in moments:
                validate(run, number, log)
            if number == o.steps:
                break
            one_step(run, number, log, rollouts)
            if stopped or time.monotonic() - last_save >= o.save_seconds:
                save(run, log, rollouts)
                last_save = time.monotonic()
            if stopped:
                raise StoppedError("P-TRAIN-002", signal=stopped[0], step=number + 1)
        save(run, log, rollouts)
    except StoppedError:
        raise
    except PenjingError:  # a reward that fails or weights that left the numbers: what was learnt before stays
        save(run, log, rollouts)
        raise
    finally:
        log.close()
        rollouts.close()
    tell("end", WHAT, done=o.steps, total=o.steps)


def one_step(run: Run, number: int, log: Log, rollouts: Lines) -> None:
    """Answer, judge, learn, log."""
    began, state, o = time.perf_counter(), run.state, run.options
    group = drawn(run, number)
    values, advantages = learn(run, group, number)
    tokens = sum(len(one.tokens) for one in group.rollouts)
    seconds = time.perf_counter() - began
    state.step, state.seconds, state.tokens = number + 1, state.seconds + seconds, state.tokens + tokens
    values = values | {
        "reward": float(group.total.mean()),
        **{f"reward_{name}": float(found.mean()) for name, found in group.rewards.items()},
        "length": tokens / len(group.rollouts),
        "ended": float(np.mean([one.reason == "stop" for one in group.rollouts])),
        "silent": float((np.ptp(group.total, axis=1) == 0).mean()),
    }
    speed, left = tokens / max(1e-9, seconds), (o.steps - number - 1) * state.seconds / (number + 1)
    log.write(step=number + 1, **values, tokens=state.tokens, tokens_per_second=speed, seconds=state.seconds)
    tell("step", WHAT, done=number + 1, total=o.steps, tokens_per_second=speed, seconds_left=left, **values)
    write_rollouts(group, advantages.ravel(), number + 1, rollouts)


def write_rollouts(group: Group, advantages: np.ndarray, step: int, rollouts: Lines) -> None:
    """Every answer of a step as a line."""
    count = group.total.shape[1]
    for row, one in enumerate(group.rollouts):
        record = group.records[row // count]
        asked = record.get("messages", record.get("prompt"))
        rewards = {name: float(found.flat[row]) for name, found in group.rewards.items()}
        rollouts.write(step=step, prompt=asked, answer=one.text, ended=one.reason, tokens=len(one.tokens), rewards=rewards,
                       reward=float(group.total.flat[row]), advantage=float(advantages[row]))  # fmt: skip


def validate(run: Run, step: int, log: Log) -> None:
    """Answer the valid records, each by its likeliest tokens; remember the best weights, those of the start included."""
    if not run.valid:
        return
    answers = run.asker.answers(run.prompts["valid"], 1, 0.0, 0)
    found = judged(run.rewards, run.valid, answers)
    value = float(found.total.mean())
    named = {f"valid_{name}": float(each.mean()) for name, each in found.rewards.items()}
    log.write(step=step, valid_score=value, **named)
    tell("note", WHAT, f"validation after {step} steps: reward {value:.3f}", done=step, valid_score=value, **named)
    state = run.state
    if state.best_score is None or value > state.best_score:
        state.best_score, state.best_step = value, step
        run.best = {name: tensor.clone() for name, tensor in moved(run.model).items()}


# ---- state ----


def made_from(run: Run) -> dict[str, Any]:
    """What decides the weights: another value is another run."""
    found = {name: value for name, value in asdict(run.options).items() if name not in FREE}
    found |= {"method": [run.method.name, asdict(run.method)]}  # type: ignore[call-overload]
    found |= {"rewards": [[type(one).__module__.rpartition(".")[2], str(asdict(one))] for one in run.rewards]}  # type: ignore[call-overload]
    found |= {"model": digest(run.model), "changes": str(run.model.changes.records())}
    told = repr([run.prompts, [dict(one) for one in (*run.train, *run.valid)]])
    return found | {"records": hashlib.sha256(told.encode("utf-8", "replace")).hexdigest()}


def settle(run: Run) -> None:
    """Write what the run is made from; an unfinished run of other options in this folder is an error."""
    path, wanted = run.folder / "plan.json", made_from(run)
    if (run.folder / INDEX).exists():
        if not path.exists():
            raise TrainError("P-TRAIN-004", file=run.folder, reason=f"its {path.name} is missing")
        before = read_json(path)["made_from"]
        other = [name for name, value in wanted.items() if before.get(name) != value]
        if other:
            raise TrainError("P-TRAIN-004", file=run.folder, reason=f"it was made with other {', '.join(other)}")
        return
    trained = sum(p.numel() for p in run.model.parameters() if p.requires_grad)
    write_json(path, {"steps": run.options.steps, "trained": trained, "made_from": wanted})


def resume(run: Run) -> None:
    """Take up the state of an unfinished run, if there is one."""
    found = take_up(run.folder, run.model, run.optimizers)
    if found is not None:
        run.state, run.best = found.state, found.groups["best"]
        tell("note", WHAT, f"going on after step {run.state.step}")


def save(run: Run, log: Log, rollouts: Lines) -> None:
    """Keep the whole state of the run."""
    run.state = replace(run.state, log_bytes=log.bytes(), rollout_bytes=rollouts.bytes())
    keep(run.folder, run.state, run.model, run.optimizers, {"best": run.best})


def finish(run: Run) -> dict[str, Any]:
    """Put the best weights in their place and write what came of it."""
    if run.best:
        put_moved(run.model, run.best)
    state = run.state
    outcome = {
        "steps": state.step, "tokens": state.tokens, "seconds": state.seconds,
        "tokens_per_second": state.tokens / max(1e-9, state.seconds),
        "best_step": state.best_step if run.best else state.step, "best_score": state.best_score,
    }  # fmt: skip
    write_json(run.folder / "outcome.json", outcome)
    return outcome
