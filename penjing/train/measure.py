"""What this machine does best, found by a short measurement: arithmetic type, threads, compiled or not.

bfloat16 is more than twice as fast as float32 on some processors and slower on others; no name or flag tells, so a few
real steps are timed. The choice is written into the run's plan, and a resumed run keeps it.
"""

from __future__ import annotations

import copy
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import nn

from penjing.model.batch import Batch
from penjing.train.loop import backward

DType = Literal["auto", "float32", "bfloat16"]
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


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


def step_seconds(model: nn.Module, batches: list[Batch], dtype: str, threads: int, seconds: float) -> float:
    """Time of one pass forward and back over `batches`; weights do not move."""
    torch.set_num_threads(threads)

    def work() -> None:
        for batch in batches:
            backward(model, [batch], TYPES[dtype])
        for parameter in model.parameters():
            parameter.grad = None

    return timed(work, seconds)


def choose(
    model: nn.Module, batches: list[Batch], *, dtype: DType, threads: int | None, compiled: bool | None, seconds: float
) -> Choice:
    """The fastest of the allowed ways on these batches, within about `seconds`."""
    types = ["float32", "bfloat16"] if dtype == "auto" else [dtype]
    counts = [threads] if threads else sorted({cores(), max(1, cores() // 2)}, reverse=True)
    if seconds <= 0:
        return Choice(types[0], counts[0], bool(compiled))
    model.train()
    ways = [(t, counts[0], False) for t in types]
    tried: list[dict[str, Any]] = []
    tokens = sum(batch.token_count for batch in batches)

    def measure(kind: str, count: int, subject: nn.Module, is_compiled: bool) -> float:
        spent = step_seconds(subject, batches, kind, count, seconds / 4)
        tried.append({"dtype": kind, "threads": count, "compiled": is_compiled, "tokens_per_second": tokens / spent})
        return spent

    times = {kind: measure(kind, count, model, False) for kind, count, _ in ways}
    best = min(times, key=times.__getitem__)
    for count in counts[1:]:
        measure(best, count, model, False)
    if compiled or (compiled is None and shutil.which("c++") and seconds >= 20):
        measure(best, counts[0], compiled_copy(model), True)
    top = max((t for t in tried if compiled is None or t["compiled"] == compiled), key=lambda t: t["tokens_per_second"])
    torch.set_num_threads(top["threads"])
    return Choice(top["dtype"], top["threads"], top["compiled"], top["tokens_per_second"], tuple(tried))


def compiled_copy(model: nn.Module) -> nn.Module:
    """A copy whose network is compiled, for measuring; the model itself stays as it is."""
    twin = copy.deepcopy(model)
    twin.network.compile(dynamic=True)  # type: ignore[union-attr,operator]
    return twin
