"""The answers of an encoder-decoder to many records: batches of like lengths, the same answers whatever their size."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penjing.tasks.batches import Batches
from penjing.tasks.defaults import read_defaults
from penjing.tasks.writer import Writer

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.seq2seq import Task
    from penjing.tasks.task import Record

SHORT = 128  # tokens of an answer, where nobody knows how long targets are
ROWS = 512  # beams of a batch


def written(
    task: Task, model: Model, records: Sequence[Record], batch_tokens: int, drawing: Mapping[str, Any] | None = None
) -> list[dict[str, Any]]:
    """For each record the text, and the mean log-probability of its tokens.

    drawing: options of generation by which tokens are drawn (temperature, seed), in the place of the task's beams.
    """
    from penjing.generate.loop import complete

    pieces = task.pieces(model, records, False)
    writer = Writer(model.network, model.tokenizer, read_defaults(model.generation, True))
    task = task if drawing is None else dataclasses.replace(task, beams=1)
    asked = writer.asked(decoding(task, model) | dict(drawing or {}))
    found: list[dict[str, Any]] = [{}] * len(records)
    batches = Batches(pieces.lengths, batch_tokens, 0, shuffle=False, largest=max(1, ROWS // task.beams))
    for rows in batches.epoch(0):
        prompts = [pieces.tokens(int(row)).tolist() for row in rows]
        answers = complete(model.network, prompts, asked.options, asked.rules)
        for row, several in zip(rows, answers, strict=True):
            best = several[0]
            logs = best.log_probabilities + ([] if best.end is None else [best.end[1]])
            text = model.tokenizer.decode(best.tokens).strip()
            found[pieces.owner[row]] = {"text": text, "log_probability": sum(logs) / max(1, len(logs))}
    return found


def asked_by(generation: Mapping[str, Any]) -> dict[str, Any]:
    """The options of the task by which answers are those that a checkpoint's makers get."""
    theirs = read_defaults(generation, True).options
    names = ("beams", "length_penalty", "max_new_tokens", "no_repeat_ngram")
    return {"beams": 1} | {name: theirs[name] for name in names if name in theirs}


def said(task: Task, model: Model) -> dict[str, Any]:
    """The options of the task in the words of generation_config.json."""
    found = {"do_sample": False, "num_beams": task.beams, "max_new_tokens": most(task, model),
             "no_repeat_ngram_size": task.no_repeat_ngram, "decoder_start_token_id": model.decoder_start}  # fmt: skip
    found |= {"length_penalty": task.length_penalty} if task.beams > 1 else {}
    return dict.fromkeys(("max_length", "min_length", "min_new_tokens", "length_penalty")) | found


def most(task: Task, model: Model) -> int:
    """Most tokens of an answer."""
    return min(task.max_new_tokens or SHORT, model.window)


def decoding(task: Task, model: Model) -> dict[str, Any]:
    """The options of generation: the task's over those of the checkpoint."""
    found: dict[str, Any] = {
        "beams": task.beams, "max_new_tokens": most(task, model),
        "decoder_start": model.decoder_start, "no_repeat_ngram": task.no_repeat_ngram,
    }  # fmt: skip
    return found | ({"temperature": 0.0} if task.beams == 1 else {"length_penalty": task.length_penalty})
