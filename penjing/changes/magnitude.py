"""Single weights that go, the smallest of each row; with data those that matter least for what the matrix reads (Wanda).

Size times the inputs' root mean square: arXiv:2306.11695. `2:4` leaves two of each four neighbours, as some GPUs want it.
On disk stand the weights that are left and one bit for each place; healing trains those that are left.

Shapes: I inputs, O outputs, K weights of a row that are left.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import OptionError, PenjingError
from penjing.changes import change
from penjing.changes.calibration import second_moments
from penjing.changes.edits import Edit, StandIn
from penjing.changes.lowrank import USUAL
from penjing.changes.paths import holders

FOUR, TWO = 4, 2


class Sparse(StandIn):
    """A matrix of which some numbers are none. `values`: the others, O K; `places`: a bit for each number, O I/8."""

    def __init__(self, inputs: int, outputs: int, left: int):
        super().__init__()
        self.inputs = inputs
        self.values = nn.Parameter(torch.zeros(outputs, left))
        self.register_buffer("places", torch.zeros(outputs, -(-inputs // 8), dtype=torch.uint8))

    def dense(self, name: str) -> Tensor:
        bits = 1 << torch.arange(8, dtype=torch.uint8, device=self.places.device)
        mask = ((self.places[:, :, None] & bits) != 0).flatten(1)[:, : self.inputs]
        return self.values.new_zeros(mask.shape).masked_scatter(mask, self.values)

    def fill(self, weight: Tensor, mask: Tensor) -> None:
        """The weights O I that are left where the mask says so."""
        self.values.copy_(weight[mask].view_as(self.values))
        bits = nn.functional.pad(mask, (0, 8 * self.places.shape[1] - self.inputs)).unflatten(1, (-1, 8))
        self.places.copy_((bits.long() << torch.arange(8, device=mask.device)).sum(-1).to(torch.uint8))


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of pruning single weights."""

    share: Annotated[float, Field(gt=0, lt=1, description="the share of each row that goes; 2:4: a half")] = 0.5
    pattern: Annotated[Literal["row", "2:4"], Field(description="anywhere in the row, or two of each four")] = "row"
    where: Annotated[str, Field(description="paths of products; usual: all of the blocks (LSTM: gates)")] = USUAL

    name: ClassVar[str] = "magnitude"
    silent: ClassVar[bool] = False
    adapts: ClassVar[bool] = False

    def problems(self) -> list[PenjingError]:
        odd = self.pattern == "2:4" and self.share != TWO / FOUR
        return [OptionError("P-CHANGE-074", field="share", given=self.share)] if odd else []

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        found: dict[str, Edit] = {}
        for path, module in holders(network, self.where, (nn.Linear,)).items():
            outputs, inputs = module.weight.shape  # type: ignore[union-attr, misc]
            if self.pattern == "2:4" and inputs % FOUR:
                raise OptionError("P-CHANGE-075", field="where", given=self.where, path=path, count=inputs)
            found[path] = Sparse(inputs, outputs, self.left(inputs))
        return found

    def left(self, inputs: int) -> int:
        """Weights of a row that are left: one at least."""
        return inputs * TWO // FOUR if self.pattern == "2:4" else max(1, inputs - round(self.share * inputs))

    def fit(
        self, network: Any, edits: Mapping[str, Edit], generator: torch.Generator, batches: change.Batches = None
    ) -> None:
        modules = {path: network.get_submodule(path) for path in edits}
        moments = {} if batches is None else second_moments(network, modules, batches)
        for path, edit in edits.items():
            weight = modules[path].weight.detach()
            scores = weight.float().abs()
            if path in moments:
                scores *= moments[path].diagonal().sqrt().to(weight.device)
            edit.fill(weight, self.best(scores))  # type: ignore[operator]

    def best(self, scores: Tensor) -> Tensor:
        """Which of the scores O I are left."""
        groups = scores.unflatten(1, (-1, FOUR)) if self.pattern == "2:4" else scores
        count = TWO if self.pattern == "2:4" else self.left(scores.shape[1])
        chosen = groups.topk(count, dim=-1).indices
        return torch.zeros_like(groups, dtype=torch.bool).scatter(-1, chosen, True).view_as(scores)
