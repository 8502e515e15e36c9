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
from typing import Any, NamedTuple

import numpy as np

from penjing.base.errors import MachineError
from penjing.text.clean import Cleaner, CleanOptions, RepeatedLines, Tally, line_cells
from penjing.text.duplicates import BANDS, digests, signatures
from penjing.text.language import language_of


class View(NamedTuple):
    """A record as others are compared with it, where its texts are not cleaned."""

    text: str  # its words, for lengths and languages
    whole: str  # equal in records that are equal
    keys: tuple[str, ...]  # texts of which none may stand on two sides of a split; near duplicates by the first


Item = tuple[str, ...] | View  # of one record: the texts to clean, or what is compared


@dataclass
class Work:
    """What is done to each chunk. `repeated`: counters and least count of boilerplate lines, once they are known."""

    options: CleanOptions | None  # None: items are views
    lines: bool = True  # report the cells of lines, to find the repeated ones
    repeated: tuple[np.ndarray, int] | None = None


@dataclass
class Done:
    """One chunk, cleaned. Arrays are about the M records that stay, in order."""

    texts: list[tuple[str, ...] | None]  # None: dropped; none for views
    tallies: dict[str, Tally]
    lengths: list[int]  # M
    languages: list[str]  # M
    digests: np.ndarray  # M x 2 uint64
    keys: np.ndarray  # the same of all keys, one record's after another's
    signatures: np.ndarray  # M x 16 uint64
    cells: tuple[np.ndarray, int]


def clean_chunk(work: Work, items: Sequence[Any]) -> Done:
    """Clean the texts of some records, if that is asked, and sign those that stay."""
    cleaner = Cleaner(work.options, RepeatedLines(*work.repeated) if work.repeated else None)
    if work.options is None:
        texts, lengths, views = [()] * len(items), [len(view.text) for view in items], list(items)
    else:
        texts = [cleaner.clean_texts(several) for several in items]
        kept = [several for several in texts if several is not None]
        lengths = [sum(map(len, several)) for several in kept]
        views = [View(whole, whole, ()) for whole in map("\n".join, kept)]
    wholes, words = [view.whole for view in views], [view.text for view in views]
    signed = [view.keys[0] if view.keys else view.text for view in views]
    return Done(
        texts,
        cleaner.tallies,
        lengths,
        list(map(language_of, words)),
        digests(wholes),
        digests([folded(key) for view in views for key in view.keys]),
        signatures(signed) if signed else np.zeros((0, BANDS), "<u8"),
        line_cells(words) if work.lines else (np.zeros((0, 2), np.int64), 0),
    )


def folded(text: str) -> str:
    """A text without case and spaces: two of one form are the same."""
    return "".join(text.lower().split())


def all_chunks(work: Work, chunks: Iterable[tuple[Any, list[Item]]], workers: int) -> Iterator[tuple[Any, Done]]:
    """Each chunk's companion (given back as it is) with what was done to it, in order."""
    if workers < 2:
        return ((beside, clean_chunk(work, items)) for beside, items in chunks)
    return spread(work, chunks, workers)


def spread(work: Work, chunks: Iterable[tuple[Any, list[Item]]], workers: int) -> Iterator[tuple[Any, Done]]:
    """Hand chunks round to the workers; each gets its next one when its last one has been fetched."""
    processes: list[subprocess.Popen[bytes]] = []
    waiting: deque[tuple[Any, subprocess.Popen[bytes]]] = deque()
    try:
        for number, (beside, items) in enumerate(chunks):
            if len(processes) < workers:
                processes.append(started())
                sent(processes[-1], work)
            process = processes[number % workers]
            ready = None
            if len(waiting) == workers:
                companion, oldest = waiting.popleft()
                ready = (companion, received(oldest))
            sent(process, items)
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
            items = read()
        except EOFError:
            return
        write(clean_chunk(work, items))


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
