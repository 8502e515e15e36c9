"""Cleaning on all cores: chunks of texts go to worker processes and come back in order.

A worker is `python -m penjing.text.parallel`, spoken to through pipes: it imports nothing of the caller's script, so a
plain script needs no `if __name__ == "__main__"`. Each worker holds one chunk, so memory does not grow with the corpus.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penjing.base.errors import MachineError
from penjing.text.clean import Cleaner, CleanOptions, RepeatedLines, Tally, line_cells
from penjing.text.duplicates import BANDS, digests, signatures
from penjing.text.language import language_of

Pair = tuple[str, ...]  # the texts of one record: text, and text_b if there is one


@dataclass
class Work:
    """What is done to each chunk. `repeated`: counters and least count of boilerplate lines, once they are known."""

    options: CleanOptions
    near: bool = True
    lines: bool = True  # report the cells of lines, to find the repeated ones
    repeated: tuple[np.ndarray, int] | None = None


@dataclass
class Done:
    """One chunk, cleaned. Arrays are about the texts that stay, in order."""

    texts: list[Pair | None]  # None: dropped
    tallies: dict[str, Tally]
    languages: list[str]
    digests: np.ndarray  # M x 2 uint64
    signatures: np.ndarray  # M x 16 uint64, or M x 0
    cells: tuple[np.ndarray, int]


def clean_chunk(work: Work, texts: Sequence[Pair]) -> Done:
    """Clean the texts of some records and sign those that stay."""
    cleaner = Cleaner(work.options, RepeatedLines(*work.repeated) if work.repeated else None)
    cleaned = [cleaner.clean_texts(pair) for pair in texts]
    kept = ["\n".join(pair) for pair in cleaned if pair is not None]
    signed = signatures(kept) if work.near and kept else np.zeros((len(kept), BANDS if work.near else 0), "<u8")
    cells = line_cells(kept) if work.lines else (np.zeros((0, 2), np.int64), 0)
    return Done(cleaned, cleaner.tallies, list(map(language_of, kept)), digests(kept), signed, cells)


def all_chunks(work: Work, chunks: Iterable[tuple[Any, list[Pair]]], workers: int) -> Iterator[tuple[Any, Done]]:
    """Each chunk's companion (given back as it is) with its cleaned texts, in order."""
    if workers < 2:
        return ((beside, clean_chunk(work, texts)) for beside, texts in chunks)
    return spread(work, chunks, workers)


def spread(work: Work, chunks: Iterable[tuple[Any, list[Pair]]], workers: int) -> Iterator[tuple[Any, Done]]:
    """Hand chunks round to the workers; each gets its next one when its last one has been fetched."""
    processes: list[subprocess.Popen[bytes]] = []
    waiting: deque[tuple[Any, subprocess.Popen[bytes]]] = deque()
    try:
        for number, (beside, texts) in enumerate(chunks):
            if len(processes) < workers:
                processes.append(started())
                sent(processes[-1], work)
            process = processes[number % workers]
            ready = None
            if len(waiting) == workers:
                companion, oldest = waiting.popleft()
                ready = (companion, received(oldest))
            sent(process, texts)
            waiting.append((beside, process))
            if ready is not None:
                yield ready
        while waiting:
            companion, oldest = waiting.popleft()
            yield companion, received(oldest)
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def started() -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(path or os.getcwd() for path in sys.path)
    return subprocess.Popen(
        [sys.executable, "-m", "penjing.text.parallel"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
    )


def sent(process: subprocess.Popen[bytes], value: Any) -> None:
    assert process.stdin is not None
    try:
        pickle.dump(value, process.stdin, protocol=5)
        process.stdin.flush()
    except OSError as error:
        raise MachineError("P-TEXT-001", status=process.wait()) from error


def received(process: subprocess.Popen[bytes]) -> Done:
    assert process.stdout is not None
    try:
        return pickle.load(process.stdout)
    except (EOFError, pickle.UnpicklingError) as error:
        raise MachineError("P-TEXT-001", status=process.wait()) from error


def worker(read: Callable[[], Any], write: Callable[[Any], None]) -> None:
    """Clean chunks until there are no more."""
    work = read()
    while True:
        try:
            texts = read()
        except EOFError:
            return
        write(clean_chunk(work, texts))


def main() -> None:
    """A worker process; an interrupt is its parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    source, target = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def write(value: Any) -> None:
        pickle.dump(value, target, protocol=5)
        target.flush()

    worker(lambda: pickle.load(source), write)


if __name__ == "__main__":
    from penjing.text import parallel  # so that what is pickled has its module's name, not __main__

    parallel.main()
