"""From a data folder to the pieces that training walks through: tokenized once, kept under the hash of its content."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penjing.base.errors import DataError, TrainError
from penjing.base.files import existing
from penjing.base.progress import tell
from penjing.base.records import read_records
from penjing.base.texts import two_texts
from penjing.tasks.pairs import PairPieces, Pairs
from penjing.tasks.pieces import LongText, MovingPieces, Pieces
from penjing.text.token_file import TokenFile, cached_token_file

if TYPE_CHECKING:
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


def pairs(file: Path) -> Iterator[str]:
    """Two texts for each record, one after the other; the second is empty where there is none."""
    for record in read_records(file, needs=("text",)):
        first, second = two_texts(record)
        if second is not None and not isinstance(second, str):
            raise DataError("P-DATA-021", file=record.file, line=record.line, field="text_b", given=second)
        yield first
        yield second or ""


class Part:
    """Some documents of a token file, by number."""

    def __init__(self, whole: TokenFile, numbers: np.ndarray):
        self.whole, self.numbers, self.lengths = whole, numbers, np.asarray(whole.lengths)[numbers]

    def document(self, number: int) -> np.ndarray:
        return self.whole.document(int(self.numbers[number]))

    def starts(self, number: int) -> np.ndarray:
        return self.whole.starts(int(self.numbers[number]))


def raw_pieces(
    cache: Path, files: Sequence[Path], tokenizer: Tokenizer, window: int, valid_share: float, seed: int,
    whole_words: bool = False, chinese_words: bool = False, moving: bool = False,
) -> tuple[Pieces, Pieces | None]:  # fmt: skip
    """Pieces for training, cut anew in each epoch if `moving`, and, if a share is wanted, for validation."""
    if not files:
        raise TrainError("P-TRAIN-003", what="no texts")
    whole = cached_token_file(
        cache, lambda: texts(files), tokenizer, source=files, word_starts=whole_words, chinese_words=chinese_words
    )
    order = np.random.Generator(np.random.PCG64([seed, 7])).permutation(len(whole))
    held = min(len(order) // 2, max(1, round(valid_share * len(order)))) if valid_share else 0
    part = Part(whole, np.sort(order[held:]))
    kept = (partial(MovingPieces, seed=seed) if moving else Pieces)(part, tokenizer, window, empty=False)
    if len(kept) == 0:
        raise TrainError("P-TRAIN-003", what=", ".join(map(str, files)))
    valid = Pieces(Part(whole, np.sort(order[:held])), tokenizer, window, empty=False) if held else None
    return kept, valid if valid is not None and len(valid) else None


def labelled_pieces(
    cache: Path, file: Path, tokenizer: Tokenizer, window: int, long_text: LongText, targets: np.ndarray,
    both: np.ndarray | None = None, typed: bool = False,
) -> Pieces:  # fmt: skip
    """Pieces of labelled records; what does not fit in the window is told.

    both: which records have a second text, where any has one. typed: with token types.
    """
    ways = {"windows": "read in several windows", "head": "cut at the end", "head_tail": "cut in the middle"}
    if both is not None:
        two = cached_token_file(cache, lambda: pairs(file), tokenizer, source=[file, "two texts each"])
        pieces, long_text = PairPieces(Pairs(two, both), tokenizer, window, targets, typed), "pairs"  # type: ignore
        ways = {"pairs": "cut, the longer of the two first"}
    else:
        whole = cached_token_file(cache, lambda: texts([file]), tokenizer, source=[file])
        pieces = Pieces(whole, tokenizer, window, long_text, targets)
    if pieces.cut:
        share = 100 * pieces.cut / len(targets)
        what = f"{pieces.cut} texts ({share:.1f} %) are longer than {pieces.room} tokens"
        text = f"{file.name}: {what} and are {ways[long_text]}"
        tell("warning", "finetune", text, cut=pieces.cut)
    return pieces


def drop_cache(out: Path) -> None:
    """Remove the tokenized texts of a run that has ended."""
    shutil.rmtree(out / "cache", ignore_errors=True)


def records_of(data: Path, split: str) -> list[dict[str, Any]]:
    """The records of one split of a clean step; none if the split is absent."""
    file = existing(data) / f"{split}.jsonl"
    return list(read_records(file, needs=("text",))) if file.exists() else []
