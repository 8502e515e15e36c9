"""Whose answers are learnt: the teacher's, written once before training (Kim & Rush 2016, arXiv:1606.07947), or the
student's own, written as it learns, which the teacher then judges token by token (GKD, arXiv:2306.13649).

Shapes: B texts, T tokens.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from penjing.base.files import whole_file
from penjing.base.progress import tell
from penjing.generate.loop import complete
from penjing.generate.options import GenerateOptions
from penjing.model.batch import Batch
from penjing.tasks.distilling.teacher import Teacher, key_of
from penjing.tasks.task import IGNORED, padded
from penjing.tasks.writer import Within

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.task import Task

Records = Sequence[Mapping[str, Any]]


# ---- the teacher's ----


def retold(task: Task, teacher: Teacher, records: Records, file: Path | None) -> list[Any]:
    """Records with the teacher's answers, kept beside `file` to be read by people and when a run goes on; a record that
    it has nothing to say to keeps its own."""
    path, key = None if file is None else file.with_suffix(".teacher.jsonl"), key_of(task, teacher, records)
    answers = None if path is None else kept_answers(path, key)
    if answers is None or len(answers) != len(records):
        tell("note", "teacher", f"the teacher answers {len(records)} records once", total=len(records))
        answers = teacher.under(task).answer([task.unanswered(record) for record in records])
        if path is not None:
            write_answers(path, key, answers)
    pairs = zip(records, answers, strict=True)
    found = [(record, task.answered_with(record, answer)) for record, answer in pairs]
    silent = sum(new is None for _, new in found)
    if silent:
        tell(
            "warning", "teacher", f"to {silent} of {len(records)} records the teacher says nothing: they keep their own"
        )
    return [record if new is None else new for record, new in found]


def kept_answers(path: Path, key: str) -> list[Any] | None:
    """Answers that were written for this teacher and these records; None where there are none."""
    try:
        first, *lines = path.read_text("utf-8").splitlines()
        return [json.loads(line) for line in lines] if json.loads(first) == {"of": key} else None
    except (OSError, ValueError):
        return None


def write_answers(path: Path, key: str, answers: Sequence[Mapping[str, Any]]) -> None:
    """A line that says what they answer, then one for each answer."""
    with whole_file(path) as file:
        for line in ({"of": key}, *answers):
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


# ---- the student's own ----


@torch.no_grad()
def own_answers(model: Model, batch: Batch) -> Batch:
    """The batch with answers that the model draws now, at most as long as the batch's longest; chance is torch's, which
    follows from the step."""
    return continued(model, batch) if model.network.encoder is None else written(model, batch)


def continued(model: Model, batch: Batch) -> Batch:
    """Of a network that reads and writes in one row: the last answer of each row anew."""
    assert batch.labels is not None
    asked = (batch.labels != IGNORED).cpu().numpy()  # B T-1: whether the next token is an answer's
    starts = [last_start(row) for row in asked]
    prompts = [row[: start + 1].tolist() for row, start in zip(batch.tokens, starts, strict=True)]
    most = max(int(row[start:].sum()) for row, start in zip(asked, starts, strict=True))
    answers = drawn(model, prompts, min(most, max(1, model.window - max(map(len, prompts)))))
    rows = [np.asarray(prompt + answer, np.int64) for prompt, answer in zip(prompts, answers, strict=True)]
    tokens, mask = padded(rows, model.tokenizer.pad)
    labels = torch.full_like(tokens[:, 1:], IGNORED)
    for row, (start, answer) in enumerate(zip(starts, answers, strict=True)):
        labels[row, start : start + len(answer)] = torch.tensor(answer)
    return Batch(tokens=tokens, mask=mask, labels=labels, records=batch.records).to(batch.tokens.device)


def written(model: Model, batch: Batch) -> Batch:
    """Of an encoder-decoder: the targets anew. Where its decoder begins with a text's last token, all of them end so."""
    assert batch.labels is not None
    rows = zip(batch.tokens, [None] * len(batch.tokens) if batch.mask is None else batch.mask, strict=True)
    sources = [(row if mask is None else row[mask]).tolist() for row, mask in rows]
    answers = drawn(model, sources, int((batch.labels != IGNORED).sum(1).max()))
    if model.network.config.decoder_start is None:
        last = list(model.tokenizer.suffix)
        answers = [answer if answer[-len(last) :] == last else answer + last for answer in answers]
    target, mask = padded([np.asarray(answer, np.int64) for answer in answers], model.tokenizer.pad)
    labels = target if mask is None else target.masked_fill(~mask, IGNORED)
    device = batch.tokens.device
    fresh = Batch(tokens=batch.tokens, target=target, target_mask=mask, labels=labels).to(device)
    return dataclasses.replace(fresh, mask=batch.mask, records=batch.records)


def drawn(model: Model, prompts: list[list[int]], most: int) -> list[list[int]]:
    """An answer to each prompt in tokens, with the one that ended it."""
    network, cutter = model.network, model.tokenizer
    start = {} if network.encoder is None else {"decoder_start": model.decoder_start}
    options = GenerateOptions(max_new_tokens=most, stop_tokens=() if cutter.end is None else (cutter.end,),
                              seed=int(torch.randint(2**31 - 1, ())), **start)  # fmt: skip
    rules = [Within(cutter.size)] if cutter.size < network.config.vocab_size else []
    answers = [several[0] for several in complete(network, prompts, options, rules)]
    return [one.tokens + ([] if one.end is None else [one.end[0]]) for one in answers]


def last_start(asked: np.ndarray) -> int:
    """Where the last run of True begins."""
    return int(np.flatnonzero(asked & ~np.concatenate([[False], asked[:-1]]))[-1])
