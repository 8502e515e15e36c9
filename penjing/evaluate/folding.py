"""The round-trip certificate of a fold: a model with its changes and the same model folded and read again say the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from penjing.evaluate.intervals import interval
from penjing.model.batch import Batch
from penjing.tasks.model import Model

DISTANCE = 1e-3  # of scores, over the largest of them
OTHERWISE = 0.001  # share of the answers that rounding may turn
ROWS, LONGEST = 4, 48  # of the sample that both read
TEXTS = ("The parcel is late.", "退款何时到账？", "a  b\tc\n", "x = 3.14; naïve café 😀", "")
CONFIDENCE = 0.95

Records = Sequence[Mapping[str, Any]]


@torch.inference_mode()
def sample_scores(model: Model, seed: int = 0) -> Tensor:
    """Scores of the vocabulary, of the labels or hidden states, of tokens by chance: ROWS T C."""
    network, random = model.eval().network, torch.Generator().manual_seed(seed)
    tokens = torch.randint(0, network.config.vocab_size, (ROWS, min(LONGEST, model.window)), generator=random)
    both = network.encoder is not None and network.decoder is not None
    batch = Batch(tokens, target=tokens if both else None)
    hidden = network(batch)
    if model.head is not None:
        return model.head(hidden, batch).float()
    return (hidden if network.output is None else network.logits(hidden)).float()


def token_ids(model: Model) -> list[list[int]]:
    """The tokens of sample texts."""
    return [list(map(int, row)) for row in model.tokenizer.encode_many(list(TEXTS))]


def distance(one: Tensor, other: Tensor) -> float:
    """The largest difference of scores, over the largest score."""
    return float((one - other).abs().max() / one.abs().max().clamp(min=1))


def compared(before: dict[str, Any], model: Model, records: Records) -> dict[str, Any]:
    """A certificate: what `seen` says of the model with its changes beside what it says of the folded one."""
    after = seen(model, records)
    found = {
        "texts": len(TEXTS), "same_tokens": before["tokens"] == after["tokens"],
        "distance": distance(before["scores"], after["scores"]), "allowed_distance": DISTANCE,
    }  # fmt: skip
    if records:
        differ = sum(one != other for one, other in zip(before["decisions"], after["decisions"], strict=True))
        found |= {
            "records": len(records),
            "other_answers": differ,
            "before": before["metrics"],
            "after": after["metrics"],
        }
    found["passed"] = bool(
        found["same_tokens"] and found["distance"] <= DISTANCE
        and found.get("other_answers", 0) <= OTHERWISE * len(records)
    )  # fmt: skip
    return found


def seen(model: Model, records: Records) -> dict[str, Any]:
    """What a model says: tokens, scores, and of records its decisions and the task's scores with intervals."""
    found: dict[str, Any] = {"tokens": token_ids(model), "scores": sample_scores(model)}
    if records:
        answers = model.answer(records)
        found["decisions"] = [["".join(text for text, _ in line) for line in model.task.lines(record, answer)]
                              if not hasattr(model.task, "probabilities") else decision(answer)
                              for record, answer in zip(records, answers, strict=True)]  # fmt: skip
        found["metrics"] = metrics(model, answers, records)
    return found


def decision(answer: Mapping[str, Any]) -> Any:
    """What a classifier decided, without its probabilities."""
    return {name: value for name, value in answer.items() if name in ("label", "labels")}


def metrics(model: Model, answers: Sequence[dict[str, Any]], records: Records, resamples: int = 500) -> dict[str, Any]:
    """The task's scores with their intervals."""
    values = model.task.score(answers, records)
    times = np.random.default_rng(0).multinomial(len(records), [1 / len(records)] * len(records), size=resamples)
    samples = model.task.resampled(answers, records, times.astype(float))
    return {name: interval(samples[name], value, CONFIDENCE) for name, value in values.items() if name in samples}
