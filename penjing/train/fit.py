"""A whole training run in a folder: plan, loop, log, validation, early stop, exact resume, outcome.

What a stage calls. Everything it decides (steps, arithmetic, threads) is in `plan.json`, written once; a run that was
stopped reads it again, so that it goes on under the same decisions. The state stays after the last step, so that a
kill in what the stage still does costs no training; the stage drops it when all is done (`drop_state`).
"""

from __future__ import annotations

import copy
import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from penjing.base.errors import TrainError
from penjing.base.files import read_json, write_json
from penjing.base.progress import tell
from penjing.model.batch import Batch
from penjing.model.tensors import digest
from penjing.tasks.batches import POOL, Batches, Position, even_widths
from penjing.tasks.model import Model
from penjing.tasks.pieces import MovingPieces, Pieces
from penjing.train.average import Average
from penjing.train.heap import keeping, peak_memory, trim
from penjing.train.log import Log
from penjing.train.loop import LoopOptions, Step, evaluate_loss, train
from penjing.train.measure import TYPES, Choice, DType, Tried, choose, speeds_of_types
from penjing.train.memory import Needed, held_memory, needed, peak_of, recomputing
from penjing.train.optimizers import Moments, Optimizers, Schedule
from penjing.train.prepare import check_length
from penjing.train.resume import INDEX, State, keep, moved, put_moved, take_up
from penjing.train.stopping import StoppedError, stop_signals

FEW = 1024  # tokens of a batch by which types are compared


@dataclass(frozen=True)
class FitOptions:
    """How to train. Exactly one of steps, epochs and minutes says how long."""

    steps: int | None = None
    epochs: float | None = None
    minutes: float | None = None
    batch_tokens: int = 4096
    accumulate: int = 1
    learning_rate: float = 1e-3
    optimizer: Literal["adamw", "muon"] = "adamw"
    muon_rate: float | None = None
    weight_decay: float = 0.01
    warmup: float = 0.06
    schedule: Schedule = "cosine"
    clip: float = 1.0
    average: float = 0.0  # share of the steps that a mean of the weights looks back over; 0: no mean
    seed: int = 0
    validate_times: int = 4  # validations in a run, the last at its end
    patience: int = 0  # validations without a better score before stopping; 0: never
    save_seconds: float = 60.0
    dtype: DType = "auto"
    threads: int | None = None
    compiled: bool | None = False
    checkpointing: bool = False  # what is within blocks is computed again instead of kept
    moments: Moments = "float32"
    measure_seconds: float = 20.0


@dataclass
class Run:
    """All parts of one run."""

    model: Model
    training: Pieces
    validation: Pieces | None
    options: FitOptions
    folder: Path
    what: str
    score: Callable[[Model], float | None] | None = None  # higher is better; None: minus the validation loss
    state: State = field(default_factory=State)
    best: dict[str, torch.Tensor] = field(default_factory=dict)
    average: Average = field(default_factory=Average)
    half: bool = False  # whether it computes in half precision, or may

    @cached_property
    def longest(self) -> int:
        return min(int(self.training.lengths.max()), self.model.window)

    def collate(self, rows: np.ndarray, *key: int, epoch: int = 0) -> Batch:
        random = np.random.Generator(np.random.PCG64([self.options.seed, *key]))
        pieces = self.training.at_epoch(epoch) if isinstance(self.training, MovingPieces) else self.training
        with even_widths(self.longest if self.half else None):
            return self.model.task.collate(pieces, rows, self.model.tokenizer, random)


@keeping()
def fit(
    model: Model, training: Pieces, validation: Pieces | None, options: FitOptions, folder: Path, *, what: str,
    score: Callable[[Model], float | None] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train `model` in place; returns the outcome. With a validation set, the weights that end are the best ones."""
    with recomputing(model, options.checkpointing):
        return fitted(Run(model, training, validation, options, folder, what, score))


def fitted(run: Run) -> dict[str, Any]:
    """The same of a run whose parts are together."""
    model, training, options = run.model, run.training, run.options
    plan = plan_of(model, training, run.validation, options, run.folder, what=run.what)
    batches = Batches(training.lengths, options.batch_tokens, options.seed)
    choice = Choice(**{**plan["choice"], "tried": tuple(plan["choice"]["tried"])})
    run.half = choice.dtype != "float32"
    torch.set_num_threads(choice.threads)
    if choice.compiled:
        model.network.compile(dynamic=True)
    optimizers = make_optimizers(options, model, TYPES[choice.dtype])
    run.average.reach = max(2.0, options.average * plan["steps"]) if options.average else 0.0
    resume(run, optimizers)
    with stop_signals() as stopped:
        go(run, batches, optimizers, plan, choice, stopped)
    return finish(run, plan)


@keeping()
def plan_of(
    model: Model, training: Pieces, validation: Pieces | None, options: FitOptions, folder: Path, *, what: str
) -> dict[str, Any]:
    """The plan of such a run in this folder, made if need be. Raises P-TRAIN-003 and P-TRAIN-005."""
    if len(training) == 0:
        raise TrainError("P-TRAIN-003", what=what)
    check_length(options.steps, options.epochs, options.minutes)
    model.task.ready(model)
    run = Run(model, training, validation, options, folder, what, half=options.dtype != "float32")
    with recomputing(model, options.checkpointing):
        return make_plan(run, Batches(training.lengths, options.batch_tokens, options.seed))


def make_optimizers(o: FitOptions, model: torch.nn.Module, dtype: torch.dtype) -> Optimizers:
    return Optimizers(
        model, name=o.optimizer, learning_rate=o.learning_rate, weight_decay=o.weight_decay, muon_rate=o.muon_rate,
        dtype=dtype, moments=o.moments,
    )  # fmt: skip


def make_plan(run: Run, batches: Batches) -> dict[str, Any]:
    """The plan of the run: read again if it was made before, else measured and written."""
    path = run.folder / "plan.json"
    old = made_before(run, path)
    if old is not None:
        return old
    o, epoch = run.options, batches.epoch(0)
    held, before = held_memory(), peak_memory()
    if o.measure_seconds:
        tell("note", run.what, "measuring this machine", total=o.measure_seconds)
    spread = [epoch[i] for i in np.linspace(0, len(epoch) - 1, min(3, len(epoch))).astype(int)]
    kind, tried = fastest(run, spread)
    memory = room(run, epoch, kind)
    samples = [run.collate(rows, 0, number) for number, rows in enumerate(spread)]
    choice = choose(
        run.model, samples, dtype=kind, threads=o.threads, compiled=o.compiled, seconds=o.measure_seconds * 3 / 4,
        optimizers=partial(make_optimizers, o), accumulate=o.accumulate, tried=tried,
    )  # fmt: skip
    trim()
    tokens = float(run.training.lengths.sum())
    per_epoch = max(1, math.ceil(len(epoch) / o.accumulate))
    speed = choice.tokens_per_second or math.nan
    if o.steps is not None:
        steps = o.steps
    elif o.epochs is not None:
        steps = max(1, round(o.epochs * per_epoch))
    else:
        assert o.minutes is not None
        speed = speed if speed == speed else measured_speed(run, samples)
        steps = max(1, round(o.minutes * 60 * speed / (tokens / per_epoch)))
    plan = {
        "steps": steps,
        "steps_per_epoch": per_epoch,
        "epochs": steps / per_epoch,
        "tokens": round(steps * tokens / per_epoch),
        "seconds": steps * tokens / per_epoch / speed if speed == speed else None,
        "memory_bytes": peak_of(memory, held, before),
        "memory": memory.parts,
        "checkpointing": o.checkpointing,
        "padding": batches.padding(),
        "parameters": sum(p.numel() for p in run.model.parameters()),
        "trained": trained_count(run.model),
        "cut_documents": run.training.cut,
        "made_from": made_from(run),
        "choice": choice.as_dict(),
    }
    write_json(path, plan)
    return plan


def made_from(run: Run) -> dict[str, Any]:
    """What decides the weights, as the plan keeps it: another value is another run."""
    free = ("save_seconds", "measure_seconds", "checkpointing")
    found = {k: v for k, v in asdict(run.options).items() if k not in free}
    found |= {"pieces": len(run.training), "cuts": "moving" if isinstance(run.training, MovingPieces) else "fixed"}
    found["batches_sorted_together"] = POOL
    model = run.model
    start = f"{digest(model)} {model.tokenizer.fingerprint} {model.task.record()}"
    start += f" {model.network.config} {getattr(model.head, 'style', None)}"  # dropout is in no weight
    start += "".join(f" {record}" for record in model.changes.records())
    return found | {"data": run.training.fingerprint(), "model": hashlib.sha256(start.encode()).hexdigest()}


def made_before(run: Run, path: Path) -> dict[str, Any] | None:
    """The plan of an earlier call of this run; an unfinished run of other options is an error."""
    if not path.exists():
        if (run.folder / INDEX).exists():  # measured anew, it could go on in another arithmetic or for other steps
            raise TrainError("P-TRAIN-004", file=run.folder, reason=f"its {path.name} is missing")
        return None
    plan, wanted = read_json(path), made_from(run)
    other = [key for key, value in wanted.items() if plan["made_from"].get(key) != value]
    if not other:
        return plan
    if (run.folder / INDEX).exists():
        raise TrainError("P-TRAIN-004", file=run.folder, reason=f"it was made with other {', '.join(other)}")
    return None


def measured_speed(run: Run, samples: list[Batch]) -> float:
    """Tokens a second of plain steps, where the choice itself was not measured."""
    return choose(
        run.model, samples, dtype="float32", threads=None, compiled=False, seconds=2.0,
        optimizers=partial(make_optimizers, run.options), accumulate=run.options.accumulate,
    ).tokens_per_second  # fmt: skip


def fastest(run: Run, batches: Sequence[np.ndarray]) -> tuple[str, Tried]:
    """The type to compute in, and what was measured: a few rows of each batch, as the type that is not used should not
    decide how much memory the run takes. Raises P-TRAIN-067."""
    o = run.options
    if o.dtype != "auto" or not o.measure_seconds:
        return "float32" if o.dtype == "auto" else o.dtype, {}
    few = [rows[: max(2, FEW // max(1, int(run.training.lengths[rows].max())))] for rows in batches]
    room(run, few, "float32", quiet=True)
    tried = speeds_of_types(
        run.model, [run.collate(rows, 0, number) for number, rows in enumerate(few)], threads=o.threads,
        seconds=o.measure_seconds / 4, optimizers=partial(make_optimizers, o),
    )  # fmt: skip
    return max(tried, key=tried.__getitem__).dtype, tried


def room(run: Run, batches: Sequence[np.ndarray], kind: str, quiet: bool = False) -> Needed:
    """What the run needs of this machine's memory in this type, by the largest of these batches. Raises P-TRAIN-067
    where that is more than there is."""
    rows = max(batches, key=lambda rows: len(rows) * int(run.training.lengths[rows].max()))
    model, kept = run.model, run.model.kept
    model.kept = copy.copy(kept)  # which counts what it is asked
    try:
        return needed(
            model, run.collate(rows, 0, 0), TYPES[kind], run.options, run.validation is not None, run.what, quiet
        )
    finally:
        model.kept = kept
        model.seen.means()


def trained_count(model: torch.nn.Module) -> int:
    """How many numbers training moves."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def resume(run: Run, optimizers: Optimizers) -> None:
    """Take up the state of an unfinished run, if there is one."""
    found = take_up(run.folder, run.model, optimizers)
    if found is not None:
        run.state, run.best, run.average.values = found.state, found.groups["best"], found.groups["average"]
        tell("note", run.what, f"going on after step {run.state.step}")


def go(
    run: Run, batches: Batches, optimizers: Optimizers, plan: dict[str, Any], choice: Choice, stopped: list[str]
) -> None:
    """All steps that are left."""
    o, steps = run.options, plan["steps"]
    loop = LoopOptions(
        steps, o.accumulate, o.clip, o.warmup, o.schedule, o.seed, TYPES[choice.dtype]
    )  # positional: the same order as the fields
    log = Log(run.folder, run.state.log_bytes, run.state.step)
    moments = {round(steps * (i + 1) / max(1, o.validate_times)) for i in range(o.validate_times)}
    last_save = time.monotonic()
    tell("begin", run.what, total=steps, plan=plan)
    start = steps if 0 < o.patience <= run.state.worse else run.state.step  # patience had run out before
    try:
        for step in train(run.model, stream(run, batches), optimizers, loop, start=start):
            account(run, step, steps, log)
            run.average.add(run.model, step.number)
            ended = step.number in moments and validate(run, step, choice, log)
            if stopped or time.monotonic() - last_save >= o.save_seconds:
                save(run, optimizers, log)
                last_save = time.monotonic()
            if stopped:
                raise StoppedError("P-TRAIN-002", signal=stopped[0], step=step.number)
            if ended:
                break
        save(run, optimizers, log)
    finally:
        log.close()
    tell("end", run.what, done=steps, total=steps)


def stream(run: Run, batches: Batches) -> Iterator[tuple[Position, Batch]]:
    """Batches from the run's position on; the corruption of a batch follows from its place."""
    here = run.state.position
    for after, rows in batches.from_position(run.state.position):
        yield after, run.collate(rows, 1, here.epoch, here.batch, epoch=here.epoch)
        here = after


def account(run: Run, step: Step, steps: int, log: Log) -> None:
    """Count, log and tell one step."""
    state = run.state
    state.step, state.position = step.number, step.position
    state.seconds += step.seconds
    state.tokens += step.tokens
    speed = step.tokens / max(1e-9, step.seconds)
    left = (steps - step.number) * state.seconds / step.number
    values = {"loss": step.loss, "rate": step.rate, "gradient_norm": step.gradient_norm, "padding": step.padding}
    values |= run.model.seen.means()
    log.write(step=step.number, **values, tokens=state.tokens, tokens_per_second=speed, seconds=state.seconds)
    tell("step", run.what, done=step.number, total=steps, tokens_per_second=speed, seconds_left=left, **values)


def validate(run: Run, step: Step, choice: Choice, log: Log) -> bool:
    """Score on the validation set, if there is one, what would end now; True when patience has run out."""
    if run.validation is None:
        return False
    with run.average.within(run.model):
        return judge(run, step, choice, log)


def judge(run: Run, step: Step, choice: Choice, log: Log) -> bool:
    """Score the weights that the model carries and remember the best; True when patience has run out."""
    loss = validation_loss(run, TYPES[choice.dtype])
    value = None if run.score is None else run.score(run.model)
    value = -loss if value is None else value
    told = {"valid_loss": loss, "valid_score": value} | run.model.seen.means("valid_")
    log.write(step=step.number, **told)
    tell("note", run.what, "validation", done=step.number, **told)
    state = run.state
    if state.best_score is None or value > state.best_score:
        state.best_score, state.best_step, state.worse = value, step.number, 0
        run.best = {name: tensor.clone() for name, tensor in moved(run.model).items()}
        return False
    state.worse += 1
    return 0 < run.options.patience <= state.worse


@torch.no_grad()
def validation_loss(run: Run, dtype: torch.dtype) -> float:
    """Mean loss per label on the validation pieces, with the same corruption each time."""
    assert run.validation is not None
    run.model.eval()
    total, labels, task = 0.0, 0, run.model.task.validating()
    plain = Batches(run.validation.lengths, run.options.batch_tokens * 2, 0, shuffle=False)
    for number, rows in enumerate(plain.epoch(0)):
        random = np.random.Generator(np.random.PCG64([run.options.seed, 2, number]))
        batch = task.collate(run.validation, rows, run.model.tokenizer, random)
        total += float(evaluate_loss(run.model, batch, dtype))
        labels += batch.label_count
    return total / max(1, labels)


def save(run: Run, optimizers: Optimizers, log: Log) -> None:
    """Keep the whole state of the run."""
    run.state = replace(run.state, log_bytes=log.bytes())
    keep(run.folder, run.state, run.model, optimizers, {"best": run.best, "average": run.average.values})


def finish(run: Run, plan: dict[str, Any]) -> dict[str, Any]:
    """Put the best weights, or the mean, in their place and write what came of the plan."""
    run.average.put(run.model)
    if run.best:
        put_moved(run.model, run.best)
    outcome = {
        "steps": run.state.step,
        "tokens": run.state.tokens,
        "seconds": run.state.seconds,
        "tokens_per_second": run.state.tokens / max(1e-9, run.state.seconds),
        "best_step": run.state.best_step or run.state.step,
        "best_score": run.state.best_score,
        "planned": {key: plan[key] for key in ("steps", "tokens", "seconds", "memory_bytes")},
        "memory_bytes": peak_memory(),
    }
    write_json(run.folder / "outcome.json", outcome)
    return outcome
