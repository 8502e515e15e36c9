"""From a data folder to what training walks through: raw text tokenized once and kept under its hash, and records."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penjing.base.errors import TrainError
from penjing.base.files import existing
from penjing.base.readers.parallel import parallel_files, read_parallel
from penjing.base.records import read_records, split_file
from penjing.base.texts import two_texts
from penjing.tasks.pieces import Pieces
from penjing.text.token_file import TokenFile, cached_token_file

if TYPE_CHECKING:
    from penjing.tasks.task import Task
    from penjing.text.tokenizer import Tokenizer

STEP = 64  # vocabularies are padded to a multiple of this: fast products, spare rows


def rows(size: int) -> int:
    """Rows of the embedding for a tokenizer of `size` tokens."""
    return -(-size // STEP) * STEP


def check_length(*lengths: float | None) -> None:
    """Exactly one of steps, epochs and minutes is given, or P-TRAIN-005."""
    given = sum(length is not None for length in lengths)
    if given != 1:
        raise TrainError("P-TRAIN-005", given=given)


def text_files(data: Path) -> list[Path]:
    """What may be learnt from: the raw and training texts of a clean step, never its validation or test texts."""
    data = existing(data)
    if data.is_file():
        return [data]
    return [data / name for name in ("train.jsonl", "raw.jsonl") if (data / name).exists()]


def texts(files: Sequence[Path]) -> Iterator[str]:
    """The texts of all records; of two texts each by itself."""
    for file in files:
        for record in read_records(file, needs=("text",)):
            yield from (text for text in two_texts(record) if text is not None)


class Part:
    """Some documents of a token file, by number."""

    def __init__(self, whole: TokenFile, numbers: np.ndarray):
        self.whole, self.numbers, self.lengths = whole, numbers, np.asarray(whole.lengths)[numbers]

    def document(self, number: int) -> np.ndarray:
        return self.whole.document(int(self.numbers[number]))

    def starts(self, number: int) -> np.ndarray:
        return self.whole.starts(int(self.numbers[number]))

    def fingerprint(self) -> str:
        return self.whole.fingerprint() + hashlib.sha256(np.asarray(self.numbers).tobytes()).hexdigest()


def raw_pieces(
    cache: Path, files: Sequence[Path], task: Task, tokenizer: Tokenizer, window: int, valid_share: float, seed: int,
    moving: bool = False,
) -> tuple[Pieces, Pieces | None]:  # fmt: skip
    """Pieces as the task cuts them for training, anew in each epoch if `moving`, and, if a share is wanted, for
    validation."""
    if not files:
        raise TrainError("P-TRAIN-003", what="no texts")
    whole = cached_token_file(
        cache, lambda: texts(files), tokenizer, source=files, word_starts=task.word_starts,
        chinese_words=task.chinese_words,
    )  # fmt: skip
    order = np.random.Generator(np.random.PCG64([seed, 7])).permutation(len(whole))
    held = min(len(order) // 2, max(1, round(valid_share * len(order)))) if valid_share else 0
    kept = task.raw_pieces(Part(whole, np.sort(order[held:])), tokenizer, window, seed if moving else None)
    if len(kept) == 0:
        raise TrainError("P-TRAIN-003", what=", ".join(map(str, files)))
    valid = task.raw_pieces(Part(whole, np.sort(order[:held])), tokenizer, window) if held else None
    return kept, valid if valid is not None and len(valid) else None


def drop_cache(out: Path) -> None:
    """Remove the tokenized texts of a run that has ended."""
    shutil.rmtree(out / "cache", ignore_errors=True)


def records_of(data: Path, split: str) -> list[Any]:
    """The records of one split of a clean step, or of any folder with a file of that name; none if it is absent."""
    return list(records_in(data, split))


def records_in(data: Path, split: str) -> Iterator[Any]:
    """The same, one by one; two files such as train.en and train.de are pairs of lines."""
    file = split_file(data, split)
    if file is not None:
        return iter(()) if file.stat().st_size == 0 else read_records(file)
    two = parallel_files(data, split)
    return iter(()) if two is None else read_parallel(*two)
