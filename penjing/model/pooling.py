"""One state for a whole text from the states of its tokens.

mean   of all real tokens (Reimers & Gurevych 2019)
first  the first token's, as BERT's [CLS]
last   the last token's: the only one that has read all of the text in a decoder
max    of each feature over all real tokens
Shapes: B texts, T tokens, W width.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import torch
from torch import Tensor

from penjing.model.batch import Batch
from penjing.model.mask import first_place, last_place
from penjing.model.transformer import Network

Pooling = Literal["mean", "first", "last", "max"]
PLACES = {"first": first_place, "last": last_place}


def text_states(network: Network, batch: Batch, pooling: Pooling) -> Tensor:
    """One state for each text of a batch, B W, of a network with an encoder or a decoder."""
    if pooling in PLACES:  # the last layer computes no other place
        places = PLACES[pooling](batch.mask, batch.tokens)
        return network(dataclasses.replace(batch, places=places))[:, 0]
    return over_tokens(network(batch), batch.mask, pooling)


def over_tokens(hidden: Tensor, mask: Tensor | None, pooling: Literal["mean", "max"]) -> Tensor:
    """The mean or the greatest of the real tokens' states, B W from B T W."""
    if mask is None:
        return hidden.mean(1) if pooling == "mean" else hidden.amax(1)
    if pooling == "max":
        return hidden.masked_fill(~mask[:, :, None], -torch.inf).amax(1)
    weight = mask[:, :, None].to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1).clamp(min=1)
