"""What a training step frees is kept for the next step, not given back to the system.

A step frees hundreds of megabytes, and the next one asks for them again. glibc hands large blocks back at once, and
then each of their pages costs a fault when it is first written: a fifth of the time of a small network. Tensors lie in a
region of their own, where they can (`arena.py`): among what a process holds for long glibc leaves holes between them.

What oneDNN prepares for a product of one shape it keeps for a thousand of them: hundreds of megabytes where batches have
many widths. A step needs some tens.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from threading import Lock

from penjing.train import arena

TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4  # the names of mallopt(3)
LARGE = 32 << 20  # bytes, the most that MMAP_THRESHOLD can be
KEPT = {MMAP_THRESHOLD: LARGE, MMAP_MAX: 0, TRIM_THRESHOLD: 2**31 - 1}
USUAL = {MMAP_THRESHOLD: LARGE, MMAP_MAX: 65_536, TRIM_THRESHOLD: 2 * LARGE}  # as glibc sets them in the end by itself

GUARD, USERS = Lock(), []  # type: ignore[var-annotated]  # one for each who is `keeping`

# read by oneDNN before its first product
CAPACITY = ("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "DNNL_PRIMITIVE_CACHE_CAPACITY")
PREPARED = "64"


@functools.cache
def library() -> ctypes.CDLL | None:
    """The C library, where it is one that can be told so: glibc."""
    found = ctypes.CDLL(None) if sys.platform == "linux" else None
    return found if hasattr(found, "mallopt") and hasattr(found, "malloc_trim") else None


def keep_freed() -> None:
    """From now on this process keeps what it frees: large blocks come from the heap too, and its end is not cut off."""
    prepare_few()
    tell(KEPT)
    arena.begin()


@contextlib.contextmanager
def keeping() -> Iterator[None]:
    """Inside, this process keeps what it frees; one within another, or in threads beside each other, until the last ends."""
    with GUARD:
        USERS.append(None)
        if len(USERS) == 1:
            keep_freed()
    try:
        yield
    finally:
        with GUARD:
            USERS.pop()
            if not USERS:
                give_back()


def prepare_few() -> None:
    """Have oneDNN keep few prepared products, unless the user said how many; of use before its first one only."""
    if not any(name in os.environ for name in CAPACITY):
        os.environ[CAPACITY[0]] = PREPARED


def give_back() -> None:
    """As it was before, and what is free goes back to the system now."""
    arena.end()
    tell(USUAL)
    trim()


def trim() -> None:
    """What is free goes back to the system now."""
    if (found := library()) is not None:
        found.malloc_trim(0)
    arena.release()


def tell(values: dict[int, int]) -> None:
    if (found := library()) is not None:
        for name, value in values.items():
            found.mallopt(name, value)


def peak_memory() -> int:
    """Bytes this process has held at most."""
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
