"""Text tokenized once into a folder of memory-mapped arrays, so that each later pass over it costs no tokenizing.

tokens.bin   T uint16 (vocabularies up to 65,536) or uint32: all documents' tokens end to end, no special tokens
offsets.bin  N + 1 int64: document i is tokens[offsets[i] : offsets[i + 1]]
starts.bin   T bits: does the token begin a word? Only with word_starts
about.json   counts, sizes and SHA-256 of each file, and the key: what the arrays were made from
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np

from penjing.base.errors import PenjingError, TextError
from penjing.base.files import fingerprint, read_json, whole_folder, write_json
from penjing.base.progress import tell

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer

VERSION = 1
BATCH = 1 << 20  # characters given to the tokenizer at once: what it returns takes some 40 bytes for each
ABOUT = "about.json"


class TokenFile:
    """A folder of tokens, mapped into memory. `file[i]` and iteration give documents as `document(i)` does."""

    def __init__(self, folder: Path, about: dict[str, Any]):
        self.folder, self.about = folder, about
        self.tokens = mapped(folder / "tokens.bin", np.dtype(about["type"]))
        self.offsets = mapped(folder / "offsets.bin", np.dtype(np.int64))
        self.bits = mapped(folder / "starts.bin", np.dtype(np.uint8)) if about["word_starts"] else None
        self.total = int(self.offsets[-1])

    @cached_property
    def lengths(self) -> np.ndarray:
        """N int32: tokens of each document."""
        return np.diff(self.offsets).astype(np.int32)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def document(self, number: int) -> np.ndarray:
        """The tokens of one document: a view, nothing is copied. Negative numbers count from the end."""
        number = range(len(self))[number]
        return self.tokens[self.offsets[number] : self.offsets[number + 1]]

    __getitem__ = document

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self.document(number) for number in range(len(self)))

    def starts(self, number: int) -> np.ndarray:
        """For each token of a document, does it begin a word? Raises P-TOKEN-009 if that was not written."""
        if self.bits is None:
            raise TextError("P-TOKEN-009", file=self.folder)
        number = range(len(self))[number]
        first, last = int(self.offsets[number]), int(self.offsets[number + 1])
        bits = np.unpackbits(self.bits[first // 8 : -(-last // 8)], bitorder="little")
        return bits[first % 8 : first % 8 + last - first].astype(bool)

    def fingerprint(self) -> str:
        """The hashes of the files, as one."""
        return hashlib.sha256(json.dumps(self.about["files"], sort_keys=True).encode()).hexdigest()

    @classmethod
    def open(cls, folder: str | Path, *, key: str | None = None) -> TokenFile:
        """Open a folder after checking each file's size and SHA-256, and its key if given. Raises P-TOKEN-007."""
        folder = Path(folder)
        about = read_json(folder / ABOUT)
        reason = wrong(folder, about, key)
        if reason:
            raise TextError("P-TOKEN-007", file=folder, reason=reason)
        return cls(folder, about)


def mapped(path: Path, kind: np.dtype) -> np.ndarray:
    """A file as an array; an empty file cannot be mapped."""
    return np.memmap(path, dtype=kind, mode="r").view(np.ndarray) if path.stat().st_size else np.zeros(0, dtype=kind)


def wrong(folder: Path, about: Any, key: str | None) -> str | None:
    """Why a folder cannot be used; None if it can."""
    if not isinstance(about, dict) or about.get("version") != VERSION or "files" not in about:
        return "about.json is none of this version"
    if key is not None and about["key"] != key:
        return "it was made from other text, another tokenizer or other options"
    for name, (size, digest) in about["files"].items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != size:
            return f"{name} has {path.stat().st_size} bytes and should have {size}"
        if fingerprint(path) != digest:
            return f"{name} was changed"
    return None


class Writer:
    """Appends to one of the files and hashes what goes in."""

    def __init__(self, path: Path):
        self.file: IO[bytes] = open(path, "wb")  # noqa: SIM115 (closed by close)
        self.digest, self.size = hashlib.sha256(), 0

    def add(self, values: np.ndarray) -> None:
        raw = values.tobytes()
        self.file.write(raw)
        self.digest.update(raw)
        self.size += len(raw)

    def close(self) -> tuple[int, str]:
        self.file.close()
        return self.size, self.digest.hexdigest()


class Bits:
    """Packs bools into bytes across batches, the first one into the lowest bit."""

    def __init__(self, writer: Writer):
        self.writer, self.rest = writer, np.zeros(0, dtype=bool)

    def add(self, values: np.ndarray, *, last: bool = False) -> None:
        values = np.concatenate([self.rest, values])
        whole = len(values) if last else len(values) // 8 * 8
        self.writer.add(np.packbits(values[:whole], bitorder="little"))
        self.rest = values[whole:]


def write_token_file(
    folder: str | Path,
    texts: Iterable[str],
    tokenizer: Tokenizer,
    *,
    word_starts: bool = False,
    chinese_words: bool = False,
    key: str = "",
) -> TokenFile:
    """Tokenize texts into a folder that appears only when whole. Memory does not grow with the texts."""
    folder = Path(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    word_starts = word_starts or chinese_words
    kind = np.dtype(np.uint16 if tokenizer.size <= 1 << 16 else np.uint32)
    with whole_folder(folder) as part:
        names = ["tokens.bin", "offsets.bin", *(["starts.bin"] if word_starts else [])]
        writers = {name: Writer(part / name) for name in names}
        try:
            total = write_all(writers, texts, tokenizer, kind, chinese_words)
        finally:
            files = {name: writer.close() for name, writer in writers.items()}
        about = {"version": VERSION, "type": kind.name, "word_starts": word_starts, "chinese_words": chinese_words,
                 "tokens": total, "tokenizer": tokenizer.fingerprint, "key": key, "files": files}  # fmt: skip
        write_json(part / ABOUT, about)
    return TokenFile(folder, about)


def write_all(
    writers: dict[str, Writer], texts: Iterable[str], tokenizer: Tokenizer, kind: np.dtype, chinese_words: bool
) -> int:
    """All batches into the files; returns the number of tokens."""
    bits = Bits(writers["starts.bin"]) if "starts.bin" in writers else None
    total = documents = 0
    writers["offsets.bin"].add(np.zeros(1, dtype=np.int64))
    for batch, encoded in encoded_batches(texts, tokenizer, chinese_words):
        lengths = np.fromiter(map(len, encoded), dtype=np.int64, count=len(batch))
        count = int(lengths.sum())
        ids = (one.ids for one in encoded)
        tokens = np.fromiter(itertools.chain.from_iterable(ids), dtype=kind, count=count)
        writers["tokens.bin"].add(tokens)
        writers["offsets.bin"].add(total + np.cumsum(lengths))
        if bits:
            bits.add(starts_of(batch, encoded, tokens, lengths, tokenizer, chinese_words))
        total, documents = total + count, documents + len(batch)
        tell("step", "tokenize", f"{documents} documents", done=documents, tokens=total)
    if bits:
        bits.add(np.zeros(0, dtype=bool), last=True)
    return total


def encoded_batches(texts: Iterable[str], tokenizer: Tokenizer, offsets: bool) -> Iterator[tuple[list[str], list[Any]]]:
    """Batches and their encodings; the next one is encoded while this one is used."""
    with ThreadPoolExecutor(1) as pool:
        waiting: tuple[list[str], Future[list[Any]]] | None = None
        for batch in batches(texts):
            coming = pool.submit(encode, batch, tokenizer, offsets)
            if waiting:
                yield waiting[0], waiting[1].result()
            waiting = batch, coming
        if waiting:
            yield waiting[0], waiting[1].result()


def encode(batch: list[str], tokenizer: Tokenizer, offsets: bool) -> list[Any]:
    """The library's encodings; places in the text (`offsets`) cost time and are asked for only where needed."""
    inner = tokenizer.inner
    return (inner.encode_batch if offsets else inner.encode_batch_fast)(batch, add_special_tokens=False)


def starts_of(
    batch: list[str], encoded: list[Any], tokens: np.ndarray, lengths: np.ndarray, tokenizer: Tokenizer, chinese: bool
) -> np.ndarray:
    """T bool for a batch; the first token of each document begins a word whatever stands before it."""
    tokens = tokens.astype(np.int64)
    ends = np.cumsum(lengths)
    if not chinese:
        starts = tokenizer.starts.of(tokens)
        starts[(ends - lengths)[lengths > 0]] = True
        return starts
    found = [np.zeros(0, dtype=bool)]
    for text, one, end, length in zip(batch, encoded, ends, lengths, strict=True):
        own = tokens[end - length : end]
        found.append(tokenizer.starts.joined(tokenizer.starts.of(own), text, one.offsets, own))
    return np.concatenate(found)


def batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in lists of about BATCH characters; half surrogate pairs, which no tokenizer takes, replaced."""
    batch: list[str] = []
    held = 0
    for text in texts:
        batch.append(text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8"))
        held += len(text) + 16
        if held >= BATCH:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def cached_token_file(
    cache: str | Path,
    texts: Iterable[str] | Callable[[], Iterable[str]],
    tokenizer: Tokenizer,
    *,
    source: str | Path | Sequence[str | Path],
    word_starts: bool = False,
    chinese_words: bool = False,
) -> TokenFile:
    """The token file of these texts in the folder `cache`; made, or made anew if it is damaged.

    `source` says what the texts are: the Path or Paths they are read from (their bytes are hashed), or a str that is
    itself their fingerprint. `texts` may be a function, called only if the texts must be read.
    """
    key = key_of(source, tokenizer, word_starts or chinese_words, chinese_words)
    folder = Path(cache) / key[:32]
    if folder.exists():
        try:
            return TokenFile.open(folder, key=key)
        except PenjingError as error:
            tell("warning", "tokenize", f"{error.text().splitlines()[0]} It is made anew.", folder=str(folder))
    return write_token_file(
        folder, texts() if callable(texts) else texts, tokenizer, word_starts=word_starts, chinese_words=chinese_words,
        key=key,
    )  # fmt: skip


def key_of(
    source: str | Path | Sequence[str | Path], tokenizer: Tokenizer, word_starts: bool, chinese_words: bool
) -> str:
    """SHA-256 of all that decides the arrays."""
    parts = [source] if isinstance(source, str | Path) else list(source)
    hashes = [fingerprint(part) if isinstance(part, Path) else str(part) for part in parts]
    given = [VERSION, hashes, tokenizer.fingerprint, word_starts, chinese_words]
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()
