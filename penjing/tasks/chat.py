"""Dialogue and instructions: write the assistant's next message, when all before it was read.

Loss is on the assistant's tokens alone, the one that ends its turn included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import PenjingError, raise_all
from penjing.base.readers.source import Record
from penjing.model.batch import Batch
from penjing.tasks import task
from penjing.tasks.batches import Batches
from penjing.tasks.talks import Row, TalkPieces, asking_row, learning_row, tell_cuts, tell_unknown
from penjing.tasks.task import IGNORED, Vocabulary, labels_loss, padded, row_losses, states_for
from penjing.text.chat import Chat
from penjing.text.chat_form import for_chat
from penjing.text.dialogues import conversation, form_of, placed, tell_forms, unlearnable, words_of
from penjing.text.loss_mask import learnt
from penjing.text.overlap import Runs, f1
from penjing.text.tool_calls import calls_of, canonical, parsed, same_calls, shown

TURNS, OVERLAP, EXACT, WANTED, GIVEN, RIGHT, NATS, TOKENS, BYTES = range(9)  # what a record adds to the sums


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Task(Vocabulary, task.Task):
    """Options of dialogue."""

    turns: Annotated[
        Literal["all", "last"], Field(description="which of the assistant's turns are learnt and measured")
    ] = "all"
    template: Annotated[
        str | None,
        Field(description="chatml, plain, the name of one of the tokenizer's, or a Jinja text; left out: its own, else chatml"),
    ] = None  # fmt: skip
    max_new_tokens: Annotated[int, Field(ge=1, description="most tokens of an answer")] = 128
    repetition_penalty: Annotated[
        float, Field(gt=0, description="scores of tokens seen before are weakened by this factor in answers")
    ] = 1.0

    name: ClassVar[str] = "chat"
    purpose: ClassVar[str] = "causal"
    needs: ClassVar[tuple[str, ...]] = ("messages",)
    main_score: ClassVar[str] = "word_f1"
    lower: ClassVar[tuple[str, ...]] = ("bits_per_byte", "perplexity")
    baselines: ClassVar[tuple[str, ...]] = ("retrieval",)

    # ---- records ----

    @classmethod
    def normal(cls, record):
        """Any known form of conversation as `messages` and `tools`; what is wrong with it, `check` tells."""
        if form_of(record) is None and isinstance(record.get("text"), str):
            record = Record({"prompt": record["text"]}, *place(record))  # what is typed or stands in a text file
        try:
            found = conversation(record)
        except PenjingError:
            return record
        found |= {"form": form} if (form := form_of(record)) != "messages" else {}
        return Record(found, *place(record))

    def subject(self, record):
        """What the user says."""
        return "\n".join(words_of(m for m in conversation(record)["messages"] if m["role"] == "user"))

    def check(self, records, learn):
        problems: list[PenjingError] = []
        for record in records:
            try:
                found = conversation(record)
            except PenjingError as error:
                problems += [error, *error.others]
                continue
            problems += [placed(one, record) for one in unlearnable(found["messages"], self.turns)] if learn else []
        raise_all(problems)
        tell_forms((record.get("form", "messages") for record in records), "chat")

    def prepared(self, tokenizer, rows):
        return for_chat(tokenizer, rows, self.template)

    def item(self, texts):
        return {"messages": [{"role": "user", "content": text} for text in texts]}

    # ---- rows and loss ----

    def pieces(self, model, records, learn):
        chat = Chat(model.tokenizer)
        if learn:
            rows = [learning_row(chat, record, model.window, self.turns) for record in records]
            tell_unknown(rows, model.tokenizer)
        else:
            rows = [asking_row(chat, one["messages"], one.get("tools"), self.room(model)) for one in records]
        tell_cuts(rows, model.window, "chat")
        return TalkPieces(rows, model.tokenizer, model.window, learn)

    def collate(self, pieces, rows, tokenizer, random):
        tokens, mask = padded([pieces.tokens(int(row)) for row in rows], tokenizer.pad)
        batch = Batch(tokens=tokens, mask=mask, records=pieces.records(rows))
        if pieces.learn:
            carries, _ = padded([pieces.rows[int(row)].carries for row in rows], 0)
            batch.labels = torch.where(carries[:, 1:] > 0, tokens[:, 1:], IGNORED)
        return batch

    def says(self, model, batch):
        return states_for(model.network(batch)[:, :-1], batch)

    def loss_of(self, model, said, batch):
        return labels_loss(model, said, batch)

    def nats(self, model: Any, batch: Batch) -> torch.Tensor:
        """What the labels of each row cost: B float32."""
        return row_losses(model, model.network(batch)[:, :-1], batch.labels)

    def unanswered(self, record):
        """The conversation before the assistant's last message."""
        return {**record, "messages": record["messages"][: len(record["messages"]) - closed(record)]}

    def answered_with(self, record, answer):
        calls = {name: answer[name] for name in ("tool_calls",) if name in answer}
        if not (answer["text"].strip() or calls):
            return None
        said = {"role": "assistant", "content": answer["text"]} | calls
        return Record({**record, "messages": [*self.unanswered(record)["messages"], said]}, *place(record))

    # ---- answers ----

    def most(self, model: Any) -> int:
        """Most tokens of an answer: at most half the window."""
        return max(1, min(self.max_new_tokens, model.window // 2))

    def room(self, model: Any) -> int:
        """Tokens that are left for what was said before."""
        return max(1, model.window - self.most(model))

    def answer(self, model, records, batch_tokens=4096):
        """The assistant's next message. Where the last one is the assistant's own, each of its turns is answered anew from
        the true messages before, and what the true answers cost is measured."""
        chat, asked = Chat(model.tokenizer), [self.asked(record) for record in records]
        rows = [asking_row(chat, record["messages"][:number], record.get("tools"), self.room(model))
                for record, numbers in zip(records, asked, strict=True) for number in numbers]  # fmt: skip
        tell_cuts(rows, self.room(model), "answer")
        texts = iter(self.texts(model, rows, batch_tokens))
        whole = [number for number, record in enumerate(records) if closed(record)]
        costs = dict(zip(whole, self.costs(model, [records[i] for i in whole], batch_tokens), strict=True))
        found = [self.answer_of(record, [answered(next(texts), record) for _ in numbers])
                 for record, numbers in zip(records, asked, strict=True)]  # fmt: skip
        return [one | ({"measured": costs[row]} if row in costs else {}) for row, one in enumerate(found)]

    def answer_of(self, record: Mapping[str, Any], turns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """The answer to a record from that to each of its turns: the last one, and all where they can be compared."""
        numbered = [{"number": number, **turn} for number, turn in zip(self.asked(record), turns, strict=True)]
        return dict(turns[-1]) | ({"turns": numbered} if closed(record) else {})

    def asked(self, record: Mapping[str, Any]) -> list[int]:
        """The numbers of the messages to be written."""
        messages = record["messages"]
        numbers = learnt(messages, self.turns) if closed(record) else []
        return numbers or [len(messages) - closed(record)]

    def texts(self, model: Any, rows: Sequence[Row], batch_tokens: int) -> list[tuple[str, str]]:
        """What the model writes after each row, and why it ended; rows of like length together."""
        from penjing.tasks.writer import Ending, Writer

        writer = Writer(model.network, model.tokenizer)
        options = {
            "temperature": 0.0,
            "max_new_tokens": self.most(model),
            "repetition_penalty": self.repetition_penalty,
        }
        asked, found = writer.asked(options, chat=True), {}
        lengths = np.asarray([len(row.tokens) + self.most(model) for row in rows], np.int64)
        for part in Batches(lengths, batch_tokens, 0, shuffle=False).epoch(0):
            answers = writer.complete([rows[int(one)].tokens.tolist() for one in part], Ending(), asked)
            found |= {int(one): (several[0].text.strip(), several[0].reason)
                      for one, several in zip(part, answers, strict=True)}  # fmt: skip
        return [found[number] for number in range(len(rows))]

    @torch.inference_mode()
    def costs(self, model: Any, records: Sequence[Any], batch_tokens: int) -> list[dict[str, float]]:
        """Of each conversation that teaches something: what a byte of its answers costs (nats), their tokens, and their bytes."""
        found: list[dict[str, float]] = [{"nats_per_byte": 0.0, "tokens": 0, "bytes": 0} for _ in records]
        able = [number for number, record in enumerate(records) if learnt(record["messages"], self.turns)]
        if not able:
            return found
        pieces = self.pieces(model.eval(), [records[number] for number in able], True)
        for rows in Batches(pieces.lengths, batch_tokens, 0, shuffle=False).epoch(0):
            batch = self.collate(pieces, rows, model.tokenizer, None).to(next(model.parameters()).device)
            for row, nats in zip(rows, self.nats(model, batch).tolist(), strict=True):
                one = pieces.rows[int(row)]
                size = max(1, bytes_of(one, model))
                found[able[int(row)]] = {"nats_per_byte": nats / size, "tokens": int(one.carries.sum()), "bytes": size}
        return found

    # ---- scores ----

    def statistics(self, answers, records):
        sums = np.zeros((len(records), 9))
        for row, (answer, record) in enumerate(zip(answers, records, strict=True)):
            for turn in answer.get("turns", ()):
                sums[row] += compared(turn, record["messages"][turn["number"]])
            if "measured" in answer:
                cost, tokens, size = (answer["measured"][name] for name in ("nats_per_byte", "tokens", "bytes"))
                sums[row, [NATS, TOKENS, BYTES]] = cost * size, tokens, size
        return sums

    def scores(self, sums):
        def share(of: int, by: int) -> np.ndarray:
            return sums[..., of] / np.maximum(sums[..., by], 1)

        found = {"word_f1": share(OVERLAP, TURNS), "exact_match": share(EXACT, TURNS)}
        if sums[..., [WANTED, GIVEN]].any():
            both = np.maximum(sums[..., WANTED] + sums[..., GIVEN], 1)
            found |= {"exact_calls": share(RIGHT, WANTED), "calls_f1": 2 * sums[..., RIGHT] / both}
        if sums[..., BYTES].any():
            found["bits_per_byte"] = share(NATS, BYTES) / np.log(2)
        if sums[..., TOKENS].any():
            found["perplexity"] = np.exp(share(NATS, TOKENS))
        return found

    def resampled(self, answers, records, weights):
        """Distinct-n is no sum over records: each resample is counted anew."""
        found = self.scores(weights @ self.statistics(answers, records))
        texts = [[written(turn) for turn in answer.get("turns", [answer])] for answer in answers]
        for n in (1, 2):
            runs = Runs(texts, n)
            found[f"distinct_{n}"] = np.asarray([runs.distinct(row) for row in weights])
        return found

    # ---- for people ----

    def truth(self, record):
        """What the assistant should say, turn by turn."""
        return " ⏎ ".join(written(one) for one in record["messages"] if one["role"] == "assistant")

    def lines(self, record, answer):
        messages, turns = record["messages"], {one["number"]: one for one in answer.get("turns", ())}
        for number, message in enumerate(messages):
            yield said(message["role"], message, "dim" if message["role"] == "assistant" else "")
            if number in turns:
                yield [("→ ", "dim"), *said("", turns[number], "strong")[1:]]
        if not turns:
            yield said("assistant", answer, "strong")


def place(record: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Where a record stands."""
    return getattr(record, "file", None), getattr(record, "line", None)


def closed(record: Mapping[str, Any]) -> bool:
    """Does the conversation end with the assistant's word?"""
    return bool(record["messages"]) and record["messages"][-1]["role"] == "assistant"


def answered(made: tuple[str, str], record: Mapping[str, Any]) -> dict[str, Any]:
    """An answer with its calls apart. A bare JSON table is a call only where there are tools to call."""
    text, calls = parsed(made[0], bare=bool(record.get("tools")))
    return {"text": text} | ({"tool_calls": calls} if calls else {}) | {"reason": made[1]}


def written(message: Mapping[str, Any]) -> str:
    """What a message says: its text, and its calls a line each."""
    content = message.get("content", message.get("text")) or ""
    if not isinstance(content, str):
        content = "".join(part.get("text", "") for part in content)
    return "\n".join([content, *map(shown, calls_of(message))]).strip()


def said(role: str, message: Mapping[str, Any], style: str) -> list[tuple[str, str]]:
    """A message in one line."""
    return [(f"{role}: ", "dim"), (written(message).replace("\n", " ⏎ "), style)]


def compared(turn: Mapping[str, Any], wanted: Mapping[str, Any]) -> np.ndarray:
    """What one turn adds to the sums."""
    given_calls, wanted_calls = calls_of(turn), calls_of(wanted)
    same = same_calls(given_calls, wanted_calls)
    one, other = written(turn), written(wanted)
    exact = same and (one == other or bool(wanted_calls) and plain_text(turn) == plain_text(wanted))
    right = bool(wanted_calls) and same
    return np.asarray([1, f1(one, other), exact, bool(wanted_calls), bool(given_calls), right, 0, 0, 0], np.float64)


def plain_text(message: Mapping[str, Any]) -> str:
    """A message's text without its calls."""
    return written({name: value for name, value in message.items() if name != "tool_calls"})


def plain_words(message: Mapping[str, Any]) -> str:
    """A message's text, and its calls as JSON: what is counted in bytes, whatever the template writes."""
    return "\n".join(filter(None, [plain_text(message), *map(canonical, calls_of(message))]))


def bytes_of(row: Row, model: Any) -> int:
    """UTF-8 bytes of the answers in a row, as the record has them; of one that was cut, as its tokens have them."""
    if row.cut:
        return len(model.tokenizer.decode(row.tokens[row.carries]).encode())
    return sum(len(plain_words(message).encode("utf-8", "replace")) for message in row.said)
