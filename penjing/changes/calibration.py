"""What the products of a network read while it reads texts: the second moments of their inputs.

Shapes: B texts, T tokens, I inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from penjing.base.errors import OptionError
from penjing.changes.change import Batches
from penjing.model.batch import Batch


@torch.no_grad()
def second_moments(network: nn.Module, modules: Mapping[str, nn.Module], batches: Batches) -> dict[str, Tensor]:
    """For each product the mean of x xT over all real tokens it reads, I I in float32; P-CHANGE-065 without any token.

    `modules` by their paths. The network runs as it answers: without dropout and without gradients.
    """
    found = {path: torch.zeros(one.in_features, one.in_features) for path, one in modules.items()}  # type: ignore[arg-type]
    counts, reading = dict.fromkeys(modules, 0), [Batch(torch.zeros(1, 1, dtype=torch.long))]

    def look(path: str, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        x = real(inputs[0], path, reading[0]).float()  # N I
        found[path] += (x.T @ x).cpu()
        counts[path] += len(x)

    training = network.training
    handles = [module.register_forward_pre_hook(partial(look, path)) for path, module in modules.items()]
    try:
        network.eval()
        for reading[0] in batches or ():
            hidden = network(reading[0])
            if network.output is not None:
                network.logits(hidden)
    finally:
        network.train(training)
        for handle in handles:
            handle.remove()
    if unread := [path for path, count in counts.items() if not count]:
        raise OptionError("P-CHANGE-065", field="data", path=unread[0], count=len(unread))
    return {path: total / counts[path] for path, total in found.items()}


def real(x: Tensor, path: str, batch: Batch) -> Tensor:
    """The rows N I of x B T I that no padding made; all of them, where only some places are asked for."""
    writes = path.startswith("decoder.") and batch.target is not None and ".cross.key" not in path
    mask = batch.target_mask if writes and ".cross.value" not in path else batch.mask
    return x[mask.bool()] if mask is not None and mask.shape == x.shape[:2] else x.reshape(-1, x.shape[-1])
