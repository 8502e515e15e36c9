"""Preferences as rows of tokens, two of each record, and what the model as it came in made of them.

Both answers of a pair follow the same question, cut alike where it is too long. N records, B examples, T tokens.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from penjing.base.errors import PenjingError, TextError
from penjing.base.progress import tell
from penjing.model.batch import Batch
from penjing.model.tensors import digest, write_file
from penjing.tasks.batches import Batches
from penjing.tasks.pieces import InMemory, Pieces
from penjing.tasks.talks import Row, in_window
from penjing.tasks.task import IGNORED, padded, row_losses
from penjing.text.chat import Chat
from penjing.text.dialogues import placed
from penjing.text.history import without_oldest
from penjing.text.loss_mask import Masked, Turns, learnt, masked
from penjing.text.preferences import answers_of

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.text.tokenizer import Tokenizer

READ = 4096  # tokens of a batch in which the reference is read


class PreferencePieces(Pieces):
    """Two rows for each record: see `preference_losses.py` for what stands on which side.

    Batches are made of rows of like lengths. Of a pair the shorter row is read with the other shorter ones (half 0), so
    that which of two answers is the longer one does not decide which pairs meet in a batch.
    """

    def __init__(
        self, sides: Sequence[Sequence[Row]], tokenizer: Tokenizer, window: int, good: np.ndarray, pairs: bool
    ):  # fmt: skip
        super().__init__(InMemory([row.tokens for row in sides[0]]), tokenizer, window, "head")
        self.sides, self.good = sides, good
        lengths = np.stack([[len(row.tokens) for row in side] for side in sides], axis=1).astype(np.int64)
        self.swapped = (lengths[:, 0] > lengths[:, 1]) & pairs  # whether side 0 is the longer one
        self.lengths = np.where(self.swapped[:, None], lengths[:, ::-1], lengths)
        self.cut = sum(bool(row.gone or row.cut) for row in sides[0])
        self.reference = np.zeros(self.lengths.shape, np.float32)  # log-probabilities, N 2

    def fingerprint(self) -> str:
        """All tokens, which carry loss, which are good, and the reference, as one hash."""
        return hashlib.sha256(self.rows_fingerprint().encode() + self.reference.tobytes()).hexdigest()

    def rows_fingerprint(self) -> str:
        """The same without the reference."""
        found = hashlib.sha256(self.good.tobytes())
        for side in self.sides:
            for row in side:
                found.update(row.tokens.tobytes() + row.carries.tobytes())
        return found.hexdigest()

    def half(self, number: int, rows: np.ndarray) -> tuple[torch.Tensor, torch.Tensor | None, torch.Tensor]:
        """Tokens B T, their mask, and which of them are the answer's, B T bool."""
        chosen = [self.sides[number ^ int(self.swapped[row])][int(row)] for row in rows]
        tokens, mask = padded([row.tokens for row in chosen], self.tokenizer.pad)
        return tokens, mask, padded([row.carries for row in chosen], 0)[0] > 0


def answer_rows(
    chat: Chat, record: Mapping[str, Any], answers: Sequence[list[dict[str, Any]]], window: int, turns: Turns
) -> list[Row]:
    """One question with each of some answers; where the longest does not fit, all lose the same of the question."""
    asked = [one | {"weight": 0} if one["role"] == "assistant" else one for one in record["messages"]]
    tools = record.get("tools")

    def read(kept: list[Any]) -> list[Masked]:
        return [masked(chat, [*kept, *answer], tools, turns=turns) for answer in answers]

    try:
        kept, gone = without_oldest(asked, lambda some: max(len(one.tokens) for one in read(some)) <= window)
        found = read(kept)
    except PenjingError as error:
        raise placed(error, record) from error
    carries = [np.asarray(one.carries, bool) for one in found]
    if not all(one.any() for one in carries):
        raise placed(TextError("P-CHAT-027", field="chosen"), record)
    longest = max(len(one) - int(one.argmax()) for one in carries)
    rows = []
    for one, carried, answer in zip(found, carries, answers, strict=True):
        stays = in_window(carried, window, longest)
        tokens = np.asarray(one.tokens, np.int32)[stays]
        spoken = [answer[number] for number in learnt(answer, turns)]
        rows.append(Row(tokens, carried[stays], spoken, gone, len(carried) - len(stays)))
    return rows


def partners(count: int) -> np.ndarray:
    """For each record another one, whose answer does not belong to its question: drawn once, the same each time."""
    order = np.random.Generator(np.random.PCG64([count])).permutation(count)
    found = np.empty(count, np.int64)
    found[order] = np.roll(order, 1)
    return found


def preference_pieces(
    model: Model, records: Sequence[Mapping[str, Any]], judged: bool, turns: Turns
) -> PreferencePieces:
    """The rows of records in the one form, without the reference."""
    chat, other = Chat(model.tokenizer), partners(len(records))
    answers = [answers_of(record) for record in records]
    pairs = [[own[0], answers[other[n]][0]] for n, own in enumerate(answers)] if judged else answers
    rows = [answer_rows(chat, record, two, model.window, turns) for record, two in zip(records, pairs, strict=True)]
    tell_same(rows, judged)
    good = np.asarray([record.get("label", True) for record in records], bool)
    return PreferencePieces(list(zip(*rows, strict=True)), model.tokenizer, model.window, good, not judged)


def tell_same(rows: Sequence[Sequence[Row]], judged: bool) -> None:
    """Say how many pairs differ only behind the window: nothing can be learnt of them."""
    same = 0 if judged else sum(np.array_equal(one.tokens, other.tokens) for one, other in rows)
    if same:
        text = f"{same} of {len(rows)} pairs differ only where the window has ended: they teach nothing"
        tell("warning", "preference", text, pairs=same)


def half_batch(batch: Batch, number: int) -> Batch:
    """One half of a batch by itself, with the answers' tokens as labels."""
    assert batch.more is not None
    tokens, mask = ((batch.tokens, batch.mask), (batch.target, batch.target_mask))[number]
    assert tokens is not None
    labels = torch.where(batch.more[f"carries_{number}"][:, 1:], tokens[:, 1:], IGNORED)
    return Batch(tokens=tokens, mask=mask, labels=labels, records=batch.records)


def half_logs(model: Model, batch: Batch, number: int) -> torch.Tensor:
    """Log-probabilities of the answers of one half, B float32."""
    half = half_batch(batch, number)
    assert half.labels is not None
    return -row_losses(model, model.network(half)[:, :-1], half.labels)


def by_sides(batch: Batch, halves: Sequence[torch.Tensor]) -> torch.Tensor:
    """What is known of both halves, B each, by sides: B 2."""
    assert batch.more is not None
    both = torch.stack(list(halves), 1)
    return torch.where(batch.more["swapped"][:, None], both.flip(1), both)


def reference_kept(model: Model, pieces: PreferencePieces, file: Path | None) -> None:
    """Fill in the log-probabilities that the model as it is has for all answers, read again from `file` if they are of
    this model and these rows."""
    key = f"{digest(model)} {pieces.rows_fingerprint()}"
    key = hashlib.sha256(key.encode()).hexdigest()
    found = None if file is None else kept(file, key)
    if found is None or found.shape != pieces.reference.shape:
        found = reference_of(model, pieces)
        if file is not None:
            write_file(file, {key: torch.from_numpy(found)})
    pieces.reference = found


def kept(file: Path, key: str) -> np.ndarray | None:
    """What a file holds under a key; None where it holds something else."""
    if not file.exists():
        return None
    try:
        found = load_file(file).get(key)
    except SafetensorError:
        return None
    return None if found is None else found.numpy()


@torch.inference_mode()
def reference_of(model: Model, pieces: PreferencePieces) -> np.ndarray:
    """Log-probabilities of all answers under the model as it is, N 2 float32."""
    model.eval()
    found = np.zeros(pieces.lengths.shape, np.float32)
    tell("begin", "reference", "what the model makes of the answers before it learns", total=len(pieces))
    done = 0
    for rows in Batches(pieces.lengths, READ, 0, shuffle=False).epoch(0):
        batch = collated(pieces, rows).to(next(model.parameters()).device)
        found[rows] = by_sides(batch, [half_logs(model, batch, number) for number in (0, 1)]).cpu().numpy()
        done += len(rows)
        tell("step", "reference", done=done, total=len(pieces))
    tell("end", "reference", done=done, total=len(pieces))
    return found


def collated(pieces: PreferencePieces, rows: np.ndarray) -> Batch:
    """Both halves of some records: the second stands as `target`, each padded by itself."""
    (tokens, mask, carries), (others, other_mask, other_carries) = (pieces.half(number, rows) for number in (0, 1))
    good = torch.from_numpy(pieces.good[rows])
    more = {"carries_0": carries, "carries_1": other_carries, "good": good,
            "swapped": torch.from_numpy(pieces.swapped[rows]), "reference": torch.from_numpy(pieces.reference[rows])}  # fmt: skip
    return Batch(tokens=tokens, mask=mask, target=others, target_mask=other_mask, labels=good.long(), more=more,
                 records=pieces.records(rows))  # fmt: skip
