"""Only one run at a time works in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from penjing.base.errors import RecipeError
from penjing.base.files import remove_empty, told


@contextlib.contextmanager
def locked(path: Path, folder: Path) -> Iterator[None]:
    """Hold the lock file `path` of `folder`; the system lets go of it when the process ends, however it ends.

    At the end the file goes, and so do the folders that were made for it and are still empty.
    """
    made = [parent for parent in path.parents if not parent.exists()]
    with told(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = held(path, folder)
    with file:
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            path.unlink(missing_ok=True)
            remove_empty(made)


def held(path: Path, folder: Path) -> IO[str]:
    """The open lock file, locked. One that its last holder has just removed is not the one to hold: once more."""
    import fcntl

    while True:
        file = open(path, "a+", encoding="utf-8")  # noqa: SIM115
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        except BlockingIOError as error:
            with file:
                file.seek(0)
                raise RecipeError("P-RECIPE-009", path=folder, process=file.read().strip() or "?") from error
        file.close()
