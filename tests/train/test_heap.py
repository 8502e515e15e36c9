"""What is freed stays with the process while it trains, and goes back to the system afterwards."""

from __future__ import annotations

import os
import resource
import sys
import sysconfig
from pathlib import Path

import pytest
import torch

from penjing.train import heap

BLOCK = 48 << 20  # bytes, more than glibc ever keeps by itself


def faults(times: int) -> int:
    """Pages that the system had to give while a block is made and freed, again and again."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(BLOCK // 4)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Bytes that the process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def test_freed_blocks_are_kept_until_they_are_given_back():
    assert heap.library() is not None or sys.platform != "linux" or "musl" in sysconfig.get_platform()
    if heap.library() is not None:
        heap.keep_freed()
        try:
            faults(8)  # until the heap has settled
            assert faults(3) < BLOCK // resource.getpagesize() // 10
            held = resident()
        finally:
            heap.give_back()
        assert resident() < held - BLOCK // 2


def test_it_ends_with_the_last_who_keeps_and_after_an_error(monkeypatch):
    told = []
    monkeypatch.setattr(heap, "keep_freed", lambda: told.append("keep"))
    monkeypatch.setattr(heap, "give_back", lambda: told.append("back"))
    with pytest.raises(RuntimeError), heap.keeping():
        with heap.keeping():
            pass
        told.append("within")
        raise RuntimeError
    assert told == ["keep", "within", "back"] and not heap.USERS


def test_a_library_that_cannot_be_told_is_left_alone(monkeypatch):
    monkeypatch.setattr(heap.sys, "platform", "darwin")
    heap.library.cache_clear()
    heap.keep_freed()
    heap.give_back()
    assert heap.library() is None
    monkeypatch.undo()
    heap.library.cache_clear()


def test_few_products_are_kept_prepared_unless_the_user_said_how_many(monkeypatch):
    for name in heap.CAPACITY:
        monkeypatch.delenv(name, raising=False)
    heap.prepare_few()
    assert os.environ[heap.CAPACITY[0]] == heap.PREPARED
    for name in heap.CAPACITY:
        monkeypatch.delenv(heap.CAPACITY[0], raising=False)
        monkeypatch.setenv(name, "7")
        heap.prepare_few()
        assert [os.environ.get(one) for one in heap.CAPACITY if one in os.environ] == ["7"]
        monkeypatch.delenv(name)
