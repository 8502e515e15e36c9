"""What is freed stays with the process while it trains, and goes back to the system afterwards."""

from __future__ import annotations

import resource

import torch

from penjing.train import heap

BLOCK = 48 << 20  # bytes, more than glibc ever keeps by itself


def faults(times: int = 3) -> int:
    """Pages that the system had to give while a block is made and freed, again and again."""
    torch.ones(BLOCK // 4)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(BLOCK // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def test_freed_blocks_are_kept_until_they_are_given_back():
    heap.keep_freed()
    try:
        kept = faults()
    finally:
        heap.give_back()
    after = faults()
    assert after > 0 and (kept * 5 < after or heap.library() is None)


def test_a_library_that_cannot_be_told_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    heap.library.cache_clear()
    heap.keep_freed()
    heap.give_back()
    assert heap.library() is None
    monkeypatch.undo()
    heap.library.cache_clear()
