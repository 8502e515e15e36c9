"""Several taggers as one: the mean of their scores of tags and of steps, which is the normalised product of their chances.

The mean of scores is the geometric mean of the members' distributions over whole sequences, so the best sequence is
found by the same search. M members, L tokens, C tags
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from penjing.model import crf as chains
from penjing.tasks.task import Record
from penjing.text.tagging import spans

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.tag import Task


def together(task: Task, models: Sequence[Model], records: Sequence[Record], batch_tokens: int) -> list[dict[str, Any]]:
    """The answers. `disagreement`: the deviation, over the members, of the chance of a given tag, where it is greatest
    in the text, and in each entity."""
    from penjing.tasks.tag import best_sequences

    scores = [model.task.scored(model, records, batch_tokens) for model in models]  # type: ignore[attr-defined]
    steps = [model.task.chain_here(model) for model in models]  # type: ignore[attr-defined]
    marginal = any(model.task.crf for model in models)  # type: ignore[attr-defined]
    mean = [torch.stack(parts).mean(0) for parts in zip(*scores, strict=True)]
    chain = chains.Chain(*(torch.stack(parts).mean(0) for parts in zip(*steps, strict=True)))
    answers = best_sequences(task, records, mean, chain, marginal)
    sure = [
        likelihoods(task, answers, one, own, model.task.crf)  # type: ignore[attr-defined]
        for one, own, model in zip(scores, steps, models, strict=True)
    ]
    return [apart(answer, torch.stack(each), task.scheme) for answer, *each in zip(answers, *sure, strict=True)]


@torch.no_grad()
def likelihoods(
    task: Task, answers: Sequence[dict[str, Any]], scores: Sequence[Tensor], chain: chains.Chain, marginal: bool
) -> list[Tensor]:
    """The chance L (float64) that one member gives each tag of the answers."""
    from penjing.tasks.tag import blocks, chances_in

    number = {tag: i for i, tag in enumerate(task.tags)}
    found = [torch.zeros(len(one), dtype=torch.float64) for one in scores]
    for rows, block, lengths in blocks(scores, len(task.tags)):
        chances = chances_in(block, lengths, chain, marginal)
        for place, row in enumerate(rows):
            tags = torch.tensor([number[tag] for tag in answers[row]["tags"]])
            found[row] = chances[place, torch.arange(len(tags)), tags]
    return found


def apart(answer: dict[str, Any], chances: Tensor, scheme: str) -> dict[str, Any]:
    """The answer with how far the members' chances M L of its tags are apart."""
    deviation = chances.numpy().std(0).tolist()
    if scheme != "none":
        for entity, span in zip(answer["entities"], spans(answer["tags"]), strict=True):
            entity["disagreement"] = max(deviation[span.start : span.end], default=0.0)
    return answer | {"disagreement": max(deviation, default=0.0)}
