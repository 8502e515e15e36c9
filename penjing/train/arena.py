"""Where tensors lie while a network is trained: the region of `arena.cpp`, made by this machine's own compiler.

Without a compiler, with PENJING_NATIVE=0 in the environment, where addresses are limited (`ulimit -v`, `-d`) or all count
as memory, or where somebody else says where tensors lie, torch and the C library do as they do.
"""

from __future__ import annotations

import ctypes
import logging
import os
import sys
from functools import cache
from pathlib import Path

from penjing.base.compiler import Source, made

LOG = logging.getLogger(__name__)
SOURCE = Path(__file__).with_name("arena.cpp")


def source() -> Source:
    """It is compiled against torch's own headers."""
    import torch

    folder = Path(torch.__file__).parent
    flags = ["-O2", "-shared", "-fPIC", f"-I{folder / 'include'}", f"-L{folder / 'lib'}", "-lc10",
             f"-D_GLIBCXX_USE_CXX11_ABI={int(torch.compiled_with_cxx11_abi())}"]  # fmt: skip
    return Source(SOURCE, flags, [["-std=c++20"], ["-std=c++17"]], known=torch.__version__)


@cache
def library() -> ctypes.CDLL | None:
    """What was compiled, or None."""
    if sys.platform != "linux" or limited() or (file := made(source())) is None:
        return None
    try:
        loaded = ctypes.CDLL(str(file))
    except OSError as error:
        LOG.debug("%s cannot be used: %s", file, error)
        return None
    loaded.arena_on.argtypes = (ctypes.c_size_t,)
    loaded.arena_used.restype = ctypes.c_size_t
    return loaded


def limited() -> bool:
    """Whether addresses are few, or counted as memory, so that a region of them would leave others none."""
    import resource

    counted = Path("/proc/sys/vm/overcommit_memory")
    if counted.exists() and counted.read_text().strip() == "2":
        return True
    return any(
        resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in (resource.RLIMIT_AS, resource.RLIMIT_DATA)
    )


def begin() -> bool:
    """From now on new tensors lie there; whether they do."""
    found = library()
    return found is not None and bool(found.arena_on(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")))


def end() -> None:
    """New tensors lie where torch puts them; those that are there stay."""
    if (found := library()) is not None:
        found.arena_off()


def release() -> None:
    """The memory of what is free there goes back to the system."""
    if (found := library()) is not None:
        found.arena_release()


def used() -> int:
    """Bytes of tensors that lie there."""
    return 0 if (found := library()) is None else found.arena_used()
