"""A file's bytes without their packing, and its text in lines that end at \\n only (texts can hold U+2028)."""

from __future__ import annotations

import codecs
import contextlib
import gzip
import io
import zlib
from collections.abc import Iterator
from typing import IO

from penjing.base.errors import DataError
from penjing.base.files import told
from penjing.base.readers.source import Problems, Source

BLOCK = 1 << 18  # bytes read at once
BROKEN = "\udcff"  # stands where bytes could not be decoded; no decoder yields it


class Unpacked(io.RawIOBase):
    """The bytes inside a .zst file. Unlike the library's stream, a file cut short is an error, not an end."""

    def __init__(self, file: IO[bytes]):
        import zstandard

        self.file, self.zstandard = file, zstandard
        self.frame, self.left, self.begun = zstandard.ZstdDecompressor().decompressobj(), b"", False

    def readable(self) -> bool:
        return True

    def readinto(self, target: memoryview) -> int:  # type: ignore[override]
        while not self.left:
            packed = self.file.read(BLOCK)
            if not packed:
                if self.begun:
                    raise EOFError("the file ends in the middle of a frame")
                return 0
            self.left = self.unpack(packed)
        size = min(len(target), len(self.left))
        target[:size] = self.left[:size]
        self.left = self.left[size:]
        return size

    def unpack(self, packed: bytes) -> bytes:
        """The bytes inside `packed`, which may end one frame and begin the next."""
        parts = []
        while packed:
            self.begun = True
            parts.append(self.frame.decompress(packed))
            packed = b""
            if self.frame.eof:
                packed = self.frame.unused_data
                self.frame, self.begun = self.zstandard.ZstdDecompressor().decompressobj(), False
        return b"".join(parts)


@contextlib.contextmanager
def opened(source: Source) -> Iterator[IO[bytes]]:
    """The unpacked bytes of a file; a broken or truncated packing is P-DATA-006."""
    with told(source.path), open(source.path, "rb") as file:
        try:
            yield unpacked(file, source.packing)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataError("P-DATA-006", file=source.path, reason=error, packing=source.packing) from error
        except Exception as error:
            if type(error).__name__ == "ZstdError":
                raise DataError("P-DATA-006", file=source.path, reason=error, packing=source.packing) from error
            raise


def unpacked(file: IO[bytes], packing: str) -> IO[bytes]:
    if packing == ".gz":
        return io.BufferedReader(gzip.GzipFile(fileobj=file), BLOCK)  # type: ignore[arg-type]
    if packing == ".zst":
        return io.BufferedReader(Unpacked(file), BLOCK)
    return file


def lines(source: Source, problems: Problems) -> Iterator[tuple[int, str]]:
    """Line numbers from 1 and lines without their end. A line that cannot be decoded is a problem, not a line."""
    with opened(source) as file:
        text = io.TextIOWrapper(file, encoding=source.encoding, errors="penjing", newline="\n")
        text._CHUNK_SIZE = BLOCK  # type: ignore[attr-defined]
        try:
            for number, line in enumerate(text, 1):
                if BROKEN in line:
                    place = {"file": source.path, "line": number}
                    problems.add(
                        "P-DATA-007",
                        encoding=source.encoding,
                        given=line.strip()[:80].replace(BROKEN, "\ufffd"),
                        **place,
                    )
                else:
                    yield number, line.removesuffix("\n").removesuffix("\r")
        finally:
            text.detach()


def mark(error: UnicodeError) -> tuple[str, int]:
    """Put BROKEN where bytes could not be decoded."""
    assert isinstance(error, UnicodeDecodeError)
    return BROKEN, error.end


codecs.register_error("penjing", mark)
