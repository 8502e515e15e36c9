"""Whether two models say the same: the certificate of every change of form, folds and exports alike.

What a model says is its tokens of sample texts, its scores of sample batches and, where there are records, its answers.
Shapes: N rows, T tokens, C scores.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from penjing.model.batch import Batch
from penjing.model.mask import last_place
from penjing.tasks.model import Model

ROWS, LONGEST = 4, 48  # of the sample that both read
SCORES = 20_000_000  # of a sample, about, so that a large vocabulary needs no more memory than the network
STEPS = 2  # tokens that follow one by one
TEXTS = ("The parcel is late.", "退款何时到账？", "a  b\tc\n", "x = 3.14; naïve café 😀", "")
SURE = ("probability", "probabilities", "log_probability", "measured")  # of an answer: how sure, not what

Records = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Limits:
    """How far two models may be apart."""

    distance: float  # of scores, over the largest of them
    answers: float  # share of the answers that may be others
    choices: float | None = None  # share of the rows of scores whose best may be another; None: any


# ---- what a model says ----


def sample_batches(model: Model, seed: int = 0) -> Iterator[Batch]:
    """Tokens by chance: without padding, padded at the right, padded at the left."""
    network, random = model.network, torch.Generator().manual_seed(seed)
    size = min(network.config.vocab_size, model.tokenizer.size)
    length = max(1, min(LONGEST, model.window - STEPS, max(8, SCORES // (3 * ROWS * network.config.vocab_size))))
    both = network.encoder is not None and network.decoder is not None
    counts = torch.tensor([length, max(1, length - 1), max(1, length // 2), min(2, length)])[:ROWS, None]
    ahead = torch.arange(length) < counts
    for mask in (None, ahead, ahead.flip(1)):
        tokens = torch.randint(0, size, (ROWS, length), generator=random)
        target = torch.randint(0, size, (ROWS, max(STEPS + 1, length // 2)), generator=random) if both else None
        if both and model.decoder_start is not None:
            target[:, 0] = model.decoder_start
        if mask is not None:
            tokens[~mask] = model.tokenizer.pad
        if model.tokenizer.end is not None:  # where a text ends, since a head may look for it
            tokens.scatter_(1, last_place(mask, tokens), model.tokenizer.end)
        yield Batch(tokens, mask, target=target)


@torch.inference_mode()
def sample_scores(model: Model, seed: int = 0) -> Tensor:
    """Scores of the vocabulary, of the labels or hidden states, of the real tokens of sample batches: N C."""
    model.eval()
    found = []
    for batch in sample_batches(model, seed):
        found.append(scores_of(model, batch).flatten(0, -2))
        if model.network.decoder is not None and model.network.output is not None:
            found.append(stepped_scores(model, batch))
    return torch.cat(found)


def scores_of(model: Model, batch: Batch) -> Tensor:
    """What comes out, ... C, float32: of texts B C, or of the real tokens."""
    if model.head is not None and not hasattr(model.task, "class_scores"):
        scores = model.head(model.network(batch), batch)
    elif model.head is not None:
        return model.task.class_scores(model, batch)
    else:
        hidden = model.network(batch)
        scores = hidden if model.network.output is None else model.network.logits(hidden)
    real = batch.mask if batch.target is None else batch.target_mask
    flat = scores.dim() < 3 or real is None
    return (scores if flat else scores[real]).float()


def stepped_scores(model: Model, batch: Batch) -> Tensor:
    """Scores N C of a generation: after the prompts, then step by step."""
    network, both = model.network, batch.target is not None
    tokens = batch.target if both else batch.tokens
    prompt = Batch(batch.tokens, batch.mask, target=tokens[:, :-STEPS]) if both else batch
    memory = network.start(prompt, capacity=tokens.shape[1] + STEPS)
    found = [network.logits(memory.hidden)[:, 0]]
    for column in tokens[:, -STEPS:].unbind(1):
        found.append(network.logits(network.step(column[:, None], memory))[:, 0])
    return torch.cat(found).float()


def token_ids(model: Model) -> list[list[int]]:
    """The tokens of sample texts."""
    return [list(map(int, row)) for row in model.tokenizer.encode_many(list(TEXTS))]


def decision(model: Model, record: Mapping[str, Any], answer: Mapping[str, Any]) -> Any:
    """What was decided, without how sure it is: labels, texts, or numbers."""
    if hasattr(model.task, "probabilities"):
        return {name: value for name, value in answer.items() if name in ("label", "labels")}
    if model.task.purpose in ("tag", "span"):
        return ["".join(text for text, _ in line) for line in model.task.lines(record, answer)]
    return {name: value for name, value in answer.items() if name not in SURE}


def seen(model: Model, records: Records, measured: Callable[..., Any] | None = None) -> dict[str, Any]:
    """What a model says: tokens, scores, and of records its decisions and, by `measured`, the task's scores."""
    found: dict[str, Any] = {"tokens": token_ids(model), "scores": sample_scores(model)}
    if records:
        answers = model.answer(records)
        pairs = zip(records, answers, strict=True)
        found["decisions"] = [decision(model, record, answer) for record, answer in pairs]
        found["metrics"] = {} if measured is None else measured(model, answers, records)
    return found


# ---- whether two say the same ----


def distance(one: Tensor, other: Tensor) -> float:
    """The largest difference of scores, over the largest score; of another shape or no numbers: no end of it."""
    if one.shape != other.shape or not bool(torch.isfinite(other).all()):
        return float("inf")
    return float((one - other).abs().max() / one.abs().max().clamp(min=1))


def other_choices(one: Tensor, other: Tensor) -> int:
    """Rows N C whose best is another; one of several that are best within rounding is as good."""
    if one.shape != other.shape:
        return len(one)
    best, found = one.amax(-1), one.gather(1, other.argmax(-1, keepdim=True))[:, 0]
    return int((best - found > 1e-5 * best.abs().clamp(min=1)).sum())


def same(one: Any, other: Any, room: float) -> bool:
    """Whether two decisions are one; numbers within `room`."""
    if isinstance(one, float) and isinstance(other, float | int):
        return abs(one - other) <= room * max(1.0, abs(one))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(value, other[name], room) for name, value in one.items())
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b, room) for a, b in zip(one, other, strict=True))
    return one == other


def compared(before: Mapping[str, Any], after: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """A certificate: what was said before beside what is said after, and whether that is the same."""
    one, other = before["scores"], after["scores"]
    found = {
        "texts": len(TEXTS), "same_tokens": before["tokens"] == after["tokens"],
        "distance": distance(one, other), "allowed_distance": limits.distance,
        "rows": len(one), "other_choices": other_choices(one, other),
    }  # fmt: skip
    if "decisions" in before:
        pairs = list(zip(before["decisions"], after["decisions"], strict=True))
        found |= {
            "records": len(pairs),
            "other_answers": sum(not same(one, other, limits.distance) for one, other in pairs),
            "allowed_answers": limits.answers,
            "before": before["metrics"],
            "after": after["metrics"],
        }
    found["passed"] = bool(
        found["same_tokens"] and found["distance"] <= limits.distance
        and (limits.choices is None or found["other_choices"] <= limits.choices * found["rows"])
        and found.get("other_answers", 0) <= limits.answers * found.get("records", 0)
    )  # fmt: skip
    return found
