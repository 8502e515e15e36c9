"""Files of word vectors, read as a stream: word2vec (text and binary), GloVe, fastText's .vec; also .gz and .zst.

Text: a line for each word, the word and its numbers, after a line with two counts (word2vec, fastText) or without one
(GloVe). Binary: the line with the counts, then each word, a space and its numbers as float32. Which one it is, the file
shows. All of them put the commonest words first.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from penjing.base.errors import SHOWN, TextError, raise_all
from penjing.base.files import existing
from penjing.base.readers.opened import opened
from penjing.base.readers.source import Source, format_of

COUNTS = re.compile(rb"\s*(\d+)\s+(\d+)\s*")
FASTTEXT = (793712314).to_bytes(4, "little")  # how fastText's own model files begin
LONGEST = 4096  # bytes of a word in a binary file: where more have no space, it is none
LOOKED_AT = 1 << 16  # bytes that show what the file is


class Entry(NamedTuple):
    """A word, its place (line of a text, number in a binary file) and, where it was wanted, its vector (float32)."""

    place: int
    word: str
    vector: np.ndarray | None


Wants = Callable[[int, str], bool]  # place and word -> whether its numbers are to be read


def read_vectors(path: str | Path, wants: Wants = lambda place, word: True) -> Iterator[Entry]:
    """Each word of a file. Words that are not UTF-8 hold the sign U+FFFD. Broken lines are one error that names them."""
    path = existing(path)
    with opened(Source(path, "vectors", format_of(path)[1])) as file:
        begin = file.peek(LOOKED_AT)[:LOOKED_AT]  # type: ignore[attr-defined]
        if begin.startswith(FASTTEXT):
            raise TextError("P-TEXT-083", file=path)
        first = file.readline(LOOKED_AT)
        counts = COUNTS.fullmatch(first)
        if counts is None:
            yield from read_text(path, chain([first], file), len(first.split()) - 1, None, wants)
            return
        words, width = int(counts[1]), int(counts[2])
        if width == 0:
            raise TextError("P-TEXT-081", file=path)
        second = file.peek(LOOKED_AT)[:LOOKED_AT].split(b"\n")[0]  # type: ignore[attr-defined]
        if numbers_in(second.split()[-width:], width) is None:
            yield from read_binary(path, file, words, width, wants)
        else:
            yield from read_text(path, chain([first], file), width, words, wants)


def numbers_in(fields: list[bytes], width: int) -> np.ndarray | None:
    """The numbers that these texts are, or None where they are other things or another count."""
    try:
        found = np.array([float(field) for field in fields], dtype=np.float32)
    except ValueError:
        return None
    return found if len(found) == width else None


def read_text(path: Path, lines: Iterator[bytes], width: int, words: int | None, wants: Wants) -> Iterator[Entry]:
    """Lines of words and numbers; `words`: as many as the first line, which counts them, promises."""
    problems: list[TextError] = []
    read = 0
    for line, text in enumerate(lines, 1):
        if (words is not None and line == 1) or not text.strip():
            continue
        word, *fields = text.rstrip().rsplit(b" ", width)
        known = word.decode("utf-8", "replace")
        wanted = len(fields) == width and (line < 3 or wants(line, known))
        vector = numbers_in(fields, width) if wanted else None
        if width < 1 or len(fields) != width or (wanted and (vector is None or not np.isfinite(vector).all())):
            problems.append(TextError("P-TEXT-080", file=path, line=line, width=max(1, width), given=shown(text)))
            if len(problems) > SHOWN or read == 0:
                break
            continue
        read += 1
        yield Entry(line, known, vector)
    raise_all(problems)
    if read == 0:
        raise TextError("P-TEXT-081", file=path)
    if words is not None and read < words:
        raise TextError("P-TEXT-082", file=path, given=read, words=words)


def shown(text: bytes) -> str:
    """The beginning of a line, fit for a message."""
    return text[:60].decode("utf-8", "replace").strip()


def read_binary(path: Path, file: IO[bytes], words: int, width: int, wants: Wants) -> Iterator[Entry]:
    """Words and their numbers, one after the other."""
    for number in range(1, words + 1):
        word = read_word(file)
        raw = file.read(4 * width)
        if word is None or len(raw) < 4 * width:
            raise TextError("P-TEXT-082", file=path, given=number - 1, words=words)
        vector = np.frombuffer(raw, dtype="<f4") if wants(number, word) else None
        if vector is not None and not math.isfinite(float(vector.sum())):
            raise TextError("P-TEXT-084", file=path, given=word, number=number)
        yield Entry(number, word, vector)


def read_word(file: IO[bytes]) -> str | None:
    """The bytes up to a space, without a line end before them; None where there is no such word."""
    found = bytearray()
    while len(found) < LONGEST:
        byte = file.read(1)
        if byte == b" ":
            return found.lstrip(b"\n").decode("utf-8", "replace")
        if not byte:
            return None
        found += byte
    return None
