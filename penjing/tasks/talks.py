"""Conversations as rows of tokens: what is learnt of them, and what is asked.

A conversation longer than the window loses whole turns from its front, what the system said excepted; a single turn longer
than that loses tokens from the middle of what was asked, and only then from the end of the answer. Both are counted and told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from penjing.base.errors import PenjingError, TextError
from penjing.base.progress import tell
from penjing.tasks.pieces import InMemory, Pieces
from penjing.text.chat import Chat
from penjing.text.dialogues import placed
from penjing.text.history import fitted, without_oldest
from penjing.text.loss_mask import Masked, Turns, learnt, masked

if TYPE_CHECKING:
    from penjing.text.tokenizer import Tokenizer

LEAST = 2  # one part in so many of the window stays for what was asked


class Row(NamedTuple):
    """A conversation as the network reads it."""

    tokens: np.ndarray  # T int32
    carries: np.ndarray  # T bool: carries loss
    said: list[Mapping[str, Any]]  # the messages that do
    gone: int = 0  # messages that the window has no room for
    cut: int = 0  # tokens


class TalkPieces(Pieces):
    """One row for each conversation."""

    def __init__(self, rows: Sequence[Row], tokenizer: Tokenizer, window: int, learn: bool):
        super().__init__(InMemory([row.tokens for row in rows]), tokenizer, window, "head")
        self.rows, self.learn = rows, learn
        self.lengths = self.documents.lengths
        self.cut = sum(bool(row.gone or row.cut) for row in rows)

    def tokens(self, piece: int) -> np.ndarray:
        """A whole row."""
        return self.rows[piece].tokens.astype(np.int64)

    def fingerprint(self) -> str:
        """All tokens, and which carry loss, as one hash."""
        found = hashlib.sha256()
        for row in self.rows:
            found.update(row.tokens.tobytes() + row.carries.tobytes())
        return found.hexdigest()


def learning_row(chat: Chat, record: Mapping[str, Any], window: int, turns: Turns) -> Row:
    """A conversation up to the last of the assistant's turns that is learnt. Raises P-CHAT-027 where nothing is."""
    messages, tools = record["messages"], record.get("tools")
    said = learnt(messages, turns)
    if not said:
        raise placed(TextError("P-CHAT-027", field="messages"), record)
    messages = list(messages[: said[-1] + 1])
    made: dict[int, Masked] = {}

    def fits(found: list[Any]) -> bool:
        made[len(found)] = masked(chat, found, tools, turns=turns)
        return len(made[len(found)].tokens) <= window

    try:
        kept, gone = without_oldest(messages, fits)
        found = made[len(kept)] if len(kept) in made else masked(chat, kept, tools, turns=turns)
    except PenjingError as error:
        raise placed(error, record) from error
    tokens, carries = np.asarray(found.tokens, np.int32), np.asarray(found.carries, bool)
    if not carries.any():
        raise placed(TextError("P-CHAT-027", field="messages"), record)
    stays = in_window(carries, window)
    return Row(tokens[stays], carries[stays], [kept[number] for number in learnt(kept, turns)], gone,
               len(tokens) - len(stays))  # fmt: skip


def in_window(carries: np.ndarray, window: int, answer: int = 0) -> np.ndarray:
    """The places of a row that stay where it is longer than the window; at least one of them carries loss.

    answer: the least number of tokens that an answer is taken to have, so that rows of one question keep the same of it.
    """
    asked = int(carries.argmax())  # tokens before the first answer
    answer = max(answer, len(carries) - asked)
    if asked + answer <= window:
        return np.arange(len(carries))
    room = min(asked, max(window // LEAST, window - answer))
    rest = np.arange(asked, min(len(carries), asked + window - room))
    return np.concatenate([middle_out(asked, room), rest])


def middle_out(length: int, room: int) -> np.ndarray:
    """The places that stay of `length`: a quarter of the room at the beginning, the rest at the end."""
    if length <= room:
        return np.arange(length)
    head = room // 4
    return np.concatenate([np.arange(head), np.arange(length - (room - head), length)])


def asking_row(chat: Chat, messages: Sequence[Any], tools: Any, room: int) -> Row:
    """A conversation that is open for the assistant's answer, in at most `room` tokens."""
    kept, gone = fitted(chat, messages, room, tools)
    tokens = np.asarray(chat.encode(kept, tools, add_generation_prompt=True), np.int32)
    stays = middle_out(len(tokens), room)
    return Row(tokens[stays], np.zeros(len(stays), bool), [], gone, len(tokens) - len(stays))


def tell_cuts(rows: Sequence[Row], window: int, what: str) -> None:
    """Say how many conversations are longer than the window, and what became of them."""
    long = [row for row in rows if row.gone]
    if long:
        gone = sum(row.gone for row in long)
        text = f"{len(long)} of {len(rows)} conversations exceed {window} tokens: their {gone} oldest messages are left out"
        tell("warning", what, text, conversations=len(long), messages=gone)
    cut = [row.cut for row in rows if row.cut]
    if cut:
        text = f"{len(cut)} of {len(rows)} conversations have a turn longer than {window} tokens: {sum(cut)} tokens are cut"
        tell("warning", what, text, conversations=len(cut), tokens=sum(cut))


def tell_unknown(rows: Sequence[Row], tokenizer: Tokenizer) -> None:
    """Say how much of the answers the tokenizer cannot write."""
    said = [row.tokens[row.carries] for row in rows]
    unknown = sum(int((tokens == tokenizer.unknown).sum()) for tokens in said) if tokenizer.unknown is not None else 0
    if unknown:
        share = 100 * unknown / sum(map(len, said))
        text = f"{share:.1f} % of the answers' tokens are unknown to the tokenizer: they cannot be written, and cost little"
        tell("warning", "unknown", text, tokens=unknown)
