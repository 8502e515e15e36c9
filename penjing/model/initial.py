"""The values a network starts from, from one generator, in the order of its parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from penjing.model.config import ModelConfig


@torch.no_grad()
def initialize(network: nn.Module, config: ModelConfig, generator: torch.Generator) -> None:
    """Biases 0, norms 1, matrices normal with the deviation that `deviation` gives."""
    for name, parameter in network.named_parameters():
        if parameter.dim() < 2:
            parameter.fill_(0.0 if name.endswith("bias") else 1.0)
        else:
            draw(parameter, deviation(name, parameter, config), generator)


def draw(parameter: Tensor, std: float, generator: torch.Generator) -> None:
    """Normal values, drawn in float32 on the CPU so that every dtype and device starts alike."""
    values = torch.empty(parameter.shape, dtype=torch.float32).normal_(0.0, std, generator=generator)
    parameter.copy_(values)


def deviation(name: str, parameter: Tensor, config: ModelConfig) -> float:
    """The standard deviation of a matrix.

    Norms before sub-layers: what is added to the residual is scaled by 1/sqrt(2 layers) (GPT-2). `initial_std` None:
    one over the root of the inputs, embeddings 1 once they are scaled, and queries also carry the scale that attention
    lacks (T5).
    """
    part = name.rsplit(".", 2)[-2] if name.count(".") else name
    if config.initial_std is None:
        if name.startswith(("embedding.", "output.weight")):
            return 1.0 / config.embedding_scale
        inputs = config.width if part == "table" else parameter.shape[1]
        return carried(name, config) * inputs**-0.5
    layers = max(config.encoder_layers, config.decoder_layers)
    if config.norm_place == "before" and ".blocks." in name and part in ("output", "down"):
        return config.initial_std * (2 * layers) ** -0.5
    return config.initial_std


def carried(name: str, config: ModelConfig) -> float:
    """The scale that a matrix carries because its family leaves it out of the arithmetic: T5's queries that of attention.

    Whatever moves matrices by steps of a size of its own (Muon) takes steps smaller by as much, and of a low rank beside
    such a matrix those of its second factor: else attention is soon so sharp that nothing is learnt.
    """
    query = name.endswith("query.weight") or (".query.edits." in name and name.endswith(".up"))
    return config.inner**-0.5 if query and config.attention_scale == 1.0 else 1.0
