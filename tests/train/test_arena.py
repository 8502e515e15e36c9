"""Where tensors lie while a network is trained: blocks that never overlap, in threads, after a fork, and when it ends."""

import os
import random
import resource
import shutil
import subprocess
import sys

import pytest
import torch

from penjing.train import arena

COMPILER = shutil.which("c++") or shutil.which("g++") or shutil.which("clang++")
able = pytest.mark.skipif(sys.platform != "linux" or COMPILER is None, reason="for Linux, with a compiler")
MEGABYTE = 1 << 20


def block(size):
    return torch.empty(size, dtype=torch.uint8)


@pytest.fixture
def begun():
    assert arena.begin()
    yield
    arena.end()


@able
def test_large_tensors_lie_there_until_it_ends(begun):
    before = arena.used()
    large, small = block(MEGABYTE + 1), block(100)
    assert MEGABYTE < arena.used() - before <= MEGABYTE + 2 * resource.getpagesize()
    arena.end()
    other = block(MEGABYTE)
    large.fill_(7), other.fill_(8), small.fill_(9)
    assert large.eq(7).all() and arena.used() - before <= MEGABYTE + 2 * resource.getpagesize()
    del large
    assert arena.used() == before and other.eq(8).all() and small.eq(9).all()


@able
def test_what_is_there_stays_as_it_is_whatever_comes_and_goes(begun):
    before, draw = arena.used(), random.Random(0)
    held = []
    for number in range(3000):
        if held and draw.random() < 0.5:
            made, value = held.pop(draw.randrange(len(held)))
            assert bool((made == value).all())
        made = block(draw.randrange(1, draw.choice([1000, 100_000, 300_000])))
        held.append((made.fill_(number % 251), number % 251))
        if number % 500 == 0:
            arena.release()  # takes from the free ones only
    assert all(bool((made == value).all()) for made, value in held)
    del held, made
    assert arena.used() == before


@able
def test_the_smallest_place_that_fits_is_taken_and_neighbours_become_one():
    run("""
some = [block(size * MEGABYTE) for size in (4, 1, 2, 1, 8)]
first = [one.data_ptr() for one in some]
some[0] = some[2] = None
again = block(2 * MEGABYTE)
assert again.data_ptr() == first[2], "not the larger one before it"
some[1] = again = None
large = block(7 * MEGABYTE)
assert large.data_ptr() == first[0], "the three places as one"
some[3] = some[4] = large = None
assert block(30 * MEGABYTE).data_ptr() == first[0], "what is free at the end grows"
assert arena.used() == 0
""")


@able
def test_threads_and_children_take_blocks_too():
    run("""
import threading
going = True
def take():
    while going:
        made = [block(MEGABYTE) for _ in range(3)]
threads = [threading.Thread(target=take) for _ in range(3)]
[one.start() for one in threads]
for _ in range(30):
    child = os.fork()
    if not child:
        made = block(3 * MEGABYTE)
        made[:10] = 1
        os._exit(int(made[:10].sum()) - 10)
    assert os.waitpid(child, 0)[1] == 0
going = False
[one.join() for one in threads]
assert arena.used() == 0
""")


@able
def test_what_is_larger_than_the_region_is_asked_of_the_system():
    run("""
most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
try:
    made = block(most + MEGABYTE)
except RuntimeError as error:
    assert "not enough memory" in str(error)
assert arena.used() == 0
""")


@able
def test_what_is_freed_after_it_has_ended_goes_back_at_once():
    run("""
def resident(): return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
made = block(300 * MEGABYTE).fill_(1)
arena.end()
held = resident()
del made
assert held - resident() > 290 * MEGABYTE
""")


@able
@pytest.mark.parametrize("why", ["off", "no compiler", "few addresses", "little data", "not linux"])
def test_without_it_tensors_lie_where_torch_puts_them(why):
    said = {
        "off": "os.environ['PENJING_NATIVE'] = '0'",
        "no compiler": "os.environ.pop('CXX', None); os.environ['PATH'] = ''",
        "few addresses": "import resource; resource.setrlimit(resource.RLIMIT_AS, (1 << 36, resource.RLIM_INFINITY))",
        "little data": "import resource; resource.setrlimit(resource.RLIMIT_DATA, (1 << 36, resource.RLIM_INFINITY))",
        "not linux": "sys.platform = 'darwin'",
    }[why]
    run("assert not arena.begin() and block(MEGABYTE).fill_(1).all()\narena.release(), arena.end()", said)


def run(body, before="assert arena.begin()"):
    """In a process of its own, where nothing lies there yet."""
    start = "import os, sys, torch\nfrom penjing.train import arena\nMEGABYTE = 1 << 20\n"
    start += f"def block(size): return torch.empty(size, dtype=torch.uint8)\n{before}\n"
    made = subprocess.run([sys.executable, "-W", "ignore", "-c", start + body], timeout=60, capture_output=True, text=True,
                          env=dict(os.environ))  # fmt: skip
    assert made.returncode == 0, made.stderr
