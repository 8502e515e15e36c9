"""The same network with rows for more tokens."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch

from penjing.model.families import family_of

if TYPE_CHECKING:
    from penjing.model.transformer import Network

BY_TOKEN = ("embedding.weight", "output.weight", "output.bias")  # a network's parameters with a row for each token


@torch.no_grad()
def grown(network: Network, family: str, size: int) -> Network:
    """The network with so many rows: the first are its own, the others a fresh network's."""
    config = dataclasses.replace(network.config, vocab_size=size)
    found = family_of(family).network.new(config, 0, vocabulary=network.output is not None)
    own = found.state_dict()
    for name, tensor in network.state_dict().items():
        (own[name][: len(tensor)] if name in BY_TOKEN else own[name]).copy_(tensor)
    return found.train(network.training)
