"""What this machine does best, found by a short measurement: arithmetic type, threads, compiled or not.

bfloat16 is more than twice as fast as float32 on some processors and slower on others; no name or flag tells, so a few
real steps are timed, of small batches in each type and of whole ones in the faster. The choice is written into the run's
plan, and a resumed run keeps it.
"""

from __future__ import annotations

import copy
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from penjing.model.batch import Batch
from penjing.train.loop import Copies, backward
from penjing.train.optimizers import Optimizers

DType = Literal["auto", "float32", "bfloat16"]
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class Way(NamedTuple):
    """One way to compute."""

    dtype: str
    threads: int
    compiled: bool = False


Tried = dict[Way, float]  # tokens a second
LONG = 15.0  # seconds; compiling takes its part of them


@dataclass(frozen=True)
class Choice:
    """How to compute, and how fast it was when measured (0: not measured)."""

    dtype: str = "float32"
    threads: int = 1
    compiled: bool = False
    tokens_per_second: float = 0.0
    tried: tuple[dict[str, Any], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def timed(work: Callable[[], None], seconds: float) -> float:
    """Seconds of one run of `work`: the median of as many as fit, one at least, after a first that is not counted."""
    work()
    times, end = [], time.perf_counter() + seconds
    while not times or (time.perf_counter() < end and len(times) < 15):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return sorted(times)[len(times) // 2]


def step_seconds(
    model: nn.Module, batches: list[Batch], optimizers: Optimizers, way: Way, seconds: float, accumulate: int
) -> float:
    """Time of training on `batches`, with one move of the optimizer for each `accumulate` of them.

    Both in turn, as training does them: timed apart, a small LSTM looked a third faster than it trained.
    """
    torch.set_num_threads(way.threads)
    trained, copies = [p for p in model.parameters() if p.requires_grad], Copies(TYPES[way.dtype])
    optimizers.set_rate(0.0)  # all the arithmetic, and the weights stay

    def move() -> None:
        nn.utils.clip_grad_norm_(trained, 1.0)
        optimizers.step()

    def turns() -> None:
        for batch in batches:
            for parameter in trained:
                parameter.grad = None
            backward(model, [batch], copies)
            move()

    if accumulate == 1:
        return timed(turns, seconds)
    saved = timed(turns, seconds * 0.8), timed(move, seconds * 0.2) * len(batches) * (1 - 1 / accumulate)
    return max(saved[0] - saved[1], saved[0] / 2)


def speeds_of_types(
    model: nn.Module, batches: list[Batch], *, threads: int | None, seconds: float,
    optimizers: Callable[[nn.Module, torch.dtype], Optimizers],
) -> Tried:  # fmt: skip
    """How fast each type is on these batches, within about `seconds`."""
    ways = [Way(kind, threads or cores()) for kind in TYPES]
    return {way: speed_of(model, batches, way, optimizers, seconds / len(ways), 1) for way in ways}


def choose(
    model: nn.Module, batches: list[Batch], *, dtype: str, threads: int | None, compiled: bool | None, seconds: float,
    optimizers: Callable[[nn.Module, torch.dtype], Optimizers], accumulate: int = 1, tried: Tried | None = None,
) -> Choice:  # fmt: skip
    """The fastest of the allowed ways in this type on these batches, within about `seconds`; `tried` is told beside."""
    counts = [threads] if threads else sorted({cores(), max(1, cores() // 2)}, reverse=True)
    if seconds <= 0:
        return Choice(dtype, counts[0], bool(compiled))
    ways = [Way(dtype, count) for count in counts]
    if compiled or (compiled is None and shutil.which("c++") and seconds >= LONG):
        ways.append(Way(dtype, counts[0], True))
    speeds = {way: speed_of(model, batches, way, optimizers, seconds / len(ways), accumulate) for way in ways}
    top = max((way for way in speeds if compiled is None or way.compiled == compiled), key=speeds.__getitem__)
    torch.set_num_threads(top.threads)
    told = [*(tried or {}).items(), *speeds.items()]
    return Choice(*top, speeds[top], tuple(way._asdict() | {"tokens_per_second": speed} for way, speed in told))


def speed_of(
    model: nn.Module, batches: list[Batch], way: Way, optimizers: Callable[[nn.Module, torch.dtype], Optimizers],
    seconds: float, accumulate: int,
) -> float:  # fmt: skip
    """Tokens a second of training one way. A copy of `model` is what moves, that shares what is frozen."""
    shared: dict[int, Any] = {id(p): p for p in model.parameters() if not p.requires_grad}
    if (kept := getattr(model, "kept", None)) is not None:  # states in a file
        shared[id(kept)] = copy.copy(kept)
    twin = copy.deepcopy(model, shared).train()
    if way.compiled:
        twin.network.compile(dynamic=True)  # type: ignore[union-attr,operator]
    made, tokens = optimizers(twin, TYPES[way.dtype]), sum(batch.token_count for batch in batches)
    return tokens / step_seconds(twin, batches, made, way, seconds, accumulate)
