"""Files and folders that are whole or absent: written aside, flushed, then renamed into place."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from penjing.base.errors import FileError, nearest

PART = ".part"  # the ending of what is not whole yet
CODES = {errno.ENOSPC: "P-FILE-002", errno.EDQUOT: "P-FILE-002", errno.EACCES: "P-FILE-003", errno.EPERM: "P-FILE-003",
         errno.EROFS: "P-FILE-003", errno.ENOTDIR: "P-FILE-005", errno.EISDIR: "P-FILE-005"}  # fmt: skip


@contextlib.contextmanager
def told(path: Path) -> Iterator[None]:
    """Turn the system's errors about `path` into ours."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOENT:
            raise absent(path) from error
        raise FileError(CODES.get(error.errno or 0, "P-FILE-004"), path=path, reason=error.strerror or error) from error


def absent(path: Path, base: Path | None = None, **place: Any) -> FileError:
    """The error about a path that is not there, with the nearest name in its folder. `base`: where paths count from."""
    try:
        near = nearest(path.name, [other.name for other in path.parent.iterdir()])
    except OSError:
        near = None
    if near:
        place |= {"given": path.name, "known": [near]}
    return FileError("P-FILE-001", path=path, base=base or Path.cwd(), **place)


@contextlib.contextmanager
def whole_file(path: str | Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a file that appears at `path` only if the block ends well; on an error nothing is left."""
    path = Path(path)
    part = path.with_name(f"{path.name}.{os.getpid()}{PART}")
    made = [parent for parent in path.parents if not parent.exists()]
    with told(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(part, mode, encoding=None if "b" in mode else "utf-8") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(part, path)
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            remove_empty(made)


def remove_empty(folders: list[Path]) -> None:
    """Remove folders, the innermost first, as far as they are empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


@contextlib.contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """A folder to fill; it appears at `path`, replacing what was there, only if the block ends well."""
    path = Path(path)
    part, old = path.with_name(path.name + PART), path.with_name(path.name + ".old")
    with told(path):
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        try:
            yield part
            if path.exists():
                shutil.rmtree(old, ignore_errors=True)
                os.replace(path, old)
            os.replace(part, path)
            shutil.rmtree(old, ignore_errors=True)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def write_json(path: str | Path, value: Any) -> None:
    """Write JSON whole, with non-ASCII text as it is."""
    with whole_file(path) as file:
        json.dump(value, file, ensure_ascii=False, indent=1, default=str)
        file.write("\n")


def read_json(path: str | Path, kind: type | None = None) -> Any:
    """Read JSON; a missing or broken file, or one that holds another kind than is asked for, is one clear error."""
    path = Path(path)
    with told(path):
        data = path.read_bytes()
    try:
        found = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FileError("P-FILE-004", path=path, reason=f"not JSON ({error})") from error
    if kind is not None and not isinstance(found, kind):
        raise FileError("P-FILE-004", path=path, reason=f"not a JSON {'object' if kind is dict else 'list'}")
    return found


def existing(path: str | Path) -> Path:
    """`path` if something is there, else an error."""
    path = Path(path)
    if not path.exists():
        raise absent(path)
    return path


def fingerprint(path: str | Path) -> str:
    """SHA-256 of a file's bytes, or of the names and bytes of all files in a folder."""
    path = existing(path)
    if path.is_dir():
        digest = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            digest.update(f"{file.relative_to(path).as_posix()}\0{fingerprint(file)}\n".encode())
        return digest.hexdigest()
    with told(path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
