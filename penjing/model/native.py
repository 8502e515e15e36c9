"""The library of `step.cpp` and the files beside it, made by this machine's own compiler the first time it is wanted.

Without one the tape is run in Python, and what training asks of it is left to torch.
"""

from __future__ import annotations

import ctypes
import logging
import os
from functools import cache
from pathlib import Path

from penjing.base.compiler import Source, made

SOURCE = Path(__file__).with_name("step.cpp")
BESIDE = ("vectors.h", "quantized.h", "attention.h", "pairs.h", "halves.h", "half_rows.h", "low_rank.h")
# sums in any order, but no number stays no number
ROUNDING = ["-fno-math-errno", "-fassociative-math", "-fno-signed-zeros", "-fno-trapping-math", "-freciprocal-math"]
FLAGS = ["-std=c++17", "-O3", "-shared", "-fPIC", "-pthread", *ROUNDING]
MORE = (["-march=native", "-fopenmp"], ["-march=native"], [])  # the first of these that a compiler takes
KINDS = (  # of operations, as in step.cpp
    "product", "root_mean_square", "layer", "turn", "attend", "recall", "activate", "quantized", "feed", "mix",
)  # fmt: skip
LOG = logging.getLogger(__name__)


class Near(ctypes.Structure):
    """What layers of one kind look at: as in step.cpp."""

    _fields_ = [(name, ctypes.c_int64) for name in ("at", "begin", "count", "cosine", "sine", "bias")]


class Held(ctypes.Structure):
    """Keys or values of one layer, K S D: where they begin, and the numbers from one head, one slot, to the next."""

    _fields_ = [(name, ctypes.c_int64) for name in ("first", "head", "slot", "count")]


class Op(ctypes.Structure):
    """One operation; addresses are 0 where there is nothing."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("kind", "rows", "columns", "detail", "matrix", "bias", "x", "y", "to")),
        ("number", ctypes.c_double),
        *((name, ctypes.c_int64) for name in ("near", "keys", "values", "products", "feed", "mix")),
    ]


class Matrix(ctypes.Structure):
    """A matrix of few bits: as in quantized.h."""

    _fields_ = [(name, ctypes.c_int64) for name in (
        "codes", "shares", "zeros", "scales", "bias", "outputs", "inputs", "group", "bits", "wide",
    )]  # fmt: skip


class Products(ctypes.Structure):
    """Several of them that read the same rows, and where the results go."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("matrices", "count", "rows", "x", "to", "apart")),
        ("add", ctypes.c_bool),
    ]


class Feed(ctypes.Structure):
    """An MLP: as in quantized.h."""

    _fields_ = [("first", Products), ("second", Products), ("activation", ctypes.c_int64)]


class Side(ctypes.Structure):
    """Queries, keys or values of several texts: as in attention.h."""

    _fields_ = [(name, ctypes.c_int64) for name in ("first", "text", "head", "token")]


class Mix(ctypes.Structure):
    """Attention of several texts: as in attention.h."""

    _fields_ = [
        *((name, Side) for name in ("query", "key", "value")),
        *((name, ctypes.c_int64) for name in ("seen", "to", "texts", "queries", "keys", "heads", "group", "width")),
        ("scale", ctypes.c_float),
    ]


class Halves(ctypes.Structure):
    """Attention in bfloat16, forward or back: as in halves.h."""

    _fields_ = [
        *((name, Side) for name in (
            "query", "key", "value", "made", "made_gradient", "query_gradient", "key_gradient", "value_gradient",
        )),
        *((name, ctypes.c_int64) for name in (
            "seen", "seen_text", "seen_query", "logs", "texts", "queries", "keys", "heads", "group", "width", "causal",
            "back", "seed",
        )),
        ("scale", ctypes.c_float),
        ("dropout", ctypes.c_float),
    ]  # fmt: skip


class Norm(ctypes.Structure):
    """RMSNorm in bfloat16, forward or back: as in half_rows.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in (
            "x", "weight", "gradient", "to", "scales", "weight_gradient", "rows", "width",
        )),
        ("eps", ctypes.c_float),
    ]  # fmt: skip


class Turn(ctypes.Structure):
    """Rotary positions in bfloat16, forward or back: as in half_rows.h."""

    _fields_ = [
        *((name, Side) for name in ("x", "to")),
        *((name, ctypes.c_int64) for name in ("cosine", "sine", "texts", "tokens", "heads", "width", "text", "back")),
    ]


class Rows(ctypes.Structure):
    """Rows in bfloat16, and the numbers from one to the next: as in half_rows.h."""

    _fields_ = [("first", ctypes.c_int64), ("apart", ctypes.c_int64)]


class Gate(ctypes.Structure):
    """An activation, times a second side if there is one, forward or back: as in half_rows.h."""

    _fields_ = [
        *((name, Rows) for name in ("x", "y", "gradient", "to", "x_gradient", "y_gradient")),
        *((name, ctypes.c_int64) for name in ("rows", "width", "kind", "back")),
    ]


class Surprise(ctypes.Structure):
    """Cross-entropy of scores in bfloat16: as in half_rows.h."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("scores", "labels", "losses", "rows", "width", "wanted")),
        ("smoothing", ctypes.c_float),
    ]


class LowRank(ctypes.Structure):
    """A product of two thin matrices beside a wide one, forward or back: as in low_rank.h."""

    _fields_ = [
        *((name, Rows) for name in ("x", "base", "to", "gradient", "x_gradient")),
        *((name, ctypes.c_int64) for name in (
            "down", "up", "inner", "down_gradient", "up_gradient", "rows", "inputs", "outputs", "rank", "back",
        )),
        ("scale", ctypes.c_float),
    ]  # fmt: skip


class Follow(ctypes.Structure):
    """How what is near changes from step to step: as in step.cpp."""

    _fields_ = [(name, ctypes.c_int64) for name in ("near", "window", "apart")]


class Choice(ctypes.Structure):
    """The likeliest tokens, each read as soon as it is chosen: as in step.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in (
            "follows", "kinds", "at", "table", "few", "stream", "asked", "state", "width",
        )),
        ("scale", ctypes.c_double),
        *((name, ctypes.c_int64) for name in (
            "head", "scores", "vocabulary", "stops", "stop_count", "token", "steps", "made", "tokens", "logs",
        )),
    ]  # fmt: skip


class Job(ctypes.Structure):
    """Operations, how many, by how many threads, and what is chosen after them, if anything."""

    _fields_ = [(name, ctypes.c_int64) for name in ("ops", "count", "threads", "choice")]


class Library:
    """What was compiled. `run` lets other Python threads go on."""

    def __init__(self, file: Path):
        loaded = ctypes.CDLL(str(file))
        loaded.new_team.restype = ctypes.c_void_p
        loaded.run_tape.argtypes = (ctypes.c_void_p, ctypes.c_void_p)
        loaded.run_alone.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        for name in (
            "attend_halves",
            "norm_halves",
            "turn_halves",
            "gate_halves",
            "surprise_halves",
            "low_rank_halves",
        ):
            function = getattr(loaded, name)
            function.argtypes = (ctypes.c_void_p, ctypes.c_int64)
        self.loaded = loaded
        self.halves = bool(loaded.attend_halves(None, 0))  # whether this processor multiplies bfloat16 itself
        self.gather()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.gather)  # threads do not come along

    def gather(self) -> None:
        """A team of threads; each joins when it is first needed."""
        self.team = self.loaded.new_team()

    def run(self, job: Job) -> None:
        self.loaded.run_tape(self.team, ctypes.byref(job))

    def alone(self, op: Op, threads: int) -> None:
        """One operation outside of a step."""
        self.loaded.run_alone(self.team, ctypes.byref(op), threads)

    def attend_halves(self, told: Halves, threads: int) -> None:
        self.loaded.attend_halves(ctypes.byref(told), threads)

    def norm_halves(self, told: Norm, threads: int) -> None:
        self.loaded.norm_halves(ctypes.byref(told), threads)

    def turn_halves(self, told: Turn, threads: int) -> None:
        self.loaded.turn_halves(ctypes.byref(told), threads)

    def gate_halves(self, told: Gate, threads: int) -> None:
        self.loaded.gate_halves(ctypes.byref(told), threads)

    def surprise_halves(self, told: Surprise, threads: int) -> None:
        self.loaded.surprise_halves(ctypes.byref(told), threads)

    def low_rank_halves(self, told: LowRank, threads: int) -> None:
        self.loaded.low_rank_halves(ctypes.byref(told), threads)


@cache
def library() -> Library | None:
    """The compiled step, or None: it only makes things faster, so what is in its way is logged and no more."""
    file = made(Source(SOURCE, FLAGS, MORE, [SOURCE.with_name(name) for name in BESIDE]))
    try:
        return file and Library(file)
    except (OSError, AttributeError) as error:
        LOG.debug("%s cannot be used: %s", file, error)
        return None
