"""C++ files made into a library by this machine's own compiler the first time they are wanted, and kept.

Without a compiler, or with PENJING_NATIVE=0 in the environment, there is none: each caller goes on without.
"""

from __future__ import annotations

import hashlib
import logging
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COMPILERS = ("c++", "g++", "clang++")
SECONDS = 60  # a compiler that takes longer is not waited for
LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """What is compiled and how. more: flags, the first of which that the compiler takes are used. known: what else the
    library depends on."""

    file: Path
    flags: Sequence[str]
    more: Sequence[Sequence[str]] = ((),)
    beside: Sequence[Path] = ()  # files that it includes
    known: str = ""


def made(source: Source) -> Path | None:
    """The library's file, or None: what is in its way is logged and no more."""
    compiler = os.environ.get("CXX") or next(filter(None, map(shutil.which, COMPILERS)), None)
    if os.environ.get("PENJING_NATIVE") == "0" or compiler is None:
        return None
    try:
        return built(compiler, source)
    except (OSError, RuntimeError, subprocess.SubprocessError, ValueError) as error:
        LOG.debug("%s is not used: %s", source.file.name, getattr(error, "stderr", None) or error)
        return None


def built(compiler: str, source: Source) -> Path:
    """The library's file; compiled, unless this source was before by such a compiler for such a processor."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "penjing"
    file = folder / f"{source.file.stem}-{digest(compiler, source)[:20]}.so"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not private(folder):
        raise PermissionError(f"others may write into {folder}, and what lies there would be run")
    if not (file.exists() and private(file)):
        with tempfile.TemporaryDirectory(dir=folder) as part:
            made = Path(part) / file.name
            compile_somehow(compiler, source, made)
            made.chmod(0o700)
            os.replace(made, file)
    return file


def digest(compiler: str, source: Source) -> str:
    said = [compiler, " ".join(source.flags), source.known]
    files = [file.read_bytes() for file in (source.file, *source.beside)]
    return hashlib.sha256(b"\0".join([*files, *map(str.encode, said), processor()])).hexdigest()


def private(path: Path) -> bool:
    """Whether only its owner, this user or root, can have written it; a folder of ours is closed to others."""
    if not hasattr(os, "getuid"):
        return True
    found = path.stat()
    if found.st_mode & 0o022 and found.st_uid == os.getuid() and path.is_dir():
        path.chmod(0o700)
        found = path.stat()
    return found.st_uid in (0, os.getuid()) and not found.st_mode & 0o022


def compile_somehow(compiler: str, source: Source, file: Path) -> None:
    """With as much as the compiler knows."""
    for more in source.more[:-1]:
        try:
            return compile_to(compiler, source, file, more)
        except subprocess.CalledProcessError:
            continue
    return compile_to(compiler, source, file, source.more[-1])


def compile_to(compiler: str, source: Source, file: Path, more: Sequence[str]) -> None:
    """`compiler` may be several words, as in `ccache g++`."""
    command = [*shlex.split(compiler), *more, str(source.file), "-o", str(file), *source.flags]
    subprocess.run(command, check=True, timeout=SECONDS, capture_output=True, text=True, errors="replace",
                   stdin=subprocess.DEVNULL)  # fmt: skip


def processor() -> bytes:
    """What the instructions and the libraries that may be used follow from."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
        known = [line for line in lines if line.startswith(("model name", "flags", "Features"))]
    except OSError:
        known = [platform.processor()]
    return "\n".join([platform.machine(), platform.system(), *platform.libc_ver(), *known]).encode()
