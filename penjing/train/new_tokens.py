"""New tokens of a given model: words of one's own field, or marks, that its tokenizer cuts into pieces.

A new token's row is the mean of the rows of the pieces that its text was cut into until now, so the network begins from
what it knows of them. Rows of the vocabulary's head, where it has its own, likewise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import tokenizers
import torch
from torch import Tensor

from penjing.base.errors import PenjingError, TrainError, raise_all
from penjing.model.grown import BY_TOKEN, grown
from penjing.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from penjing.model.transformer import Network
    from penjing.tasks.model import Model


def with_new_tokens(model: Model, words: Sequence[str]) -> Model:
    """The model with these tokens more, and rows for them. Raises P-TRAIN-068 and P-TRAIN-069."""
    from penjing.tasks.model import Model

    raise_all(token_problems(words, model.tokenizer))
    if model.changes or model.tokenizer.target is not None:
        why = (
            "its changes hold rows for the tokens of before"
            if model.changes
            else "it cuts what it writes by a second one"
        )
        raise TrainError("P-TRAIN-069", reason=why)
    inner = tokenizers.Tokenizer.from_str(model.tokenizer.inner.to_str())
    inner.add_tokens([tokenizers.AddedToken(word, normalized=False) for word in words])
    tokenizer = Tokenizer(inner, dict(model.tokenizer.config))
    # no spare rows: whoever opens an adapter in PEFT's form gives the base exactly as many as there are tokens
    network = grown(model.network, model.family, max(tokenizer.size, model.network.config.vocab_size))
    fill_rows(network, {inner.token_to_id(word): model.tokenizer.encode(word) for word in words})
    return Model(network, model.head, model.task, tokenizer, model.family, model.lineage, model.long_text, model.piece,
                 model.generation, model.pairs)  # fmt: skip


def token_problems(words: Sequence[str], tokenizer: Tokenizer | None = None) -> list[PenjingError]:
    """What is wrong with the words by themselves, and beside a tokenizer's own tokens."""
    found = [(word, "it is empty or has spaces at its ends") for word in words if not word or word != word.strip()]
    found += [(word, "it is named twice") for word in dict.fromkeys(words) if words.count(word) > 1]
    if tokenizer is not None:
        found += [(word, "it is a token already") for word in words if tokenizer.inner.token_to_id(word) is not None]
        found += [(word, "nothing of it can be read") for word in words if word.strip() and not tokenizer.encode(word)]
    return [TrainError("P-TRAIN-068", given=word, reason=reason) for word, reason in found]


@torch.no_grad()
def fill_rows(network: Network, pieces: Mapping[int, Sequence[int]]) -> None:
    """Give each new token the mean of the rows of its pieces."""
    named: dict[str, Tensor] = dict(network.named_parameters())
    for name in BY_TOKEN:
        for number, numbers in pieces.items() if name in named else ():
            named[name][number] = named[name][list(numbers)].mean(0)


def check_learnt(model: Model) -> None:
    """The rows of new tokens are trained, also those by which they are written, or P-TRAIN-070."""
    named = dict(model.network.named_parameters())
    fixed = [name for name in BY_TOKEN[:2] if name in named and not named[name].requires_grad]
    if fixed:
        raise TrainError("P-TRAIN-070", paths=", ".join(fixed), where="|".join(name.split(".")[0] for name in fixed))
