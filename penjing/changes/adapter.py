"""Adapters: small networks with a bottleneck, trained among the frozen products; they begin as if they were not there.

houlsby    behind the attention's last product and behind the MLP's (arXiv:1902.00751)
pfeiffer   behind the MLP's alone (arXiv:2005.00247)
parallel   beside the MLP: both read the same input, and their outputs are added (arXiv:2110.04366)
An LSTM has them at the products that read a layer's input.

Shapes: I inputs, O outputs, N width of the bottleneck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import OptionError, PenjingError
from penjing.changes import change
from penjing.changes.edits import Edit
from penjing.changes.paths import matching
from penjing.model.layers import ACTIVATIONS, MLP

LSTM = r"(ahead|back)\.input"
USUAL = {
    "houlsby": rf"(attention|cross)\.output|mlp\.down|{LSTM}",
    "pfeiffer": rf"mlp\.down|{LSTM}",
    "parallel": rf"mlp|{LSTM}",
}
REDUCTION = 16


class Bottleneck(Edit):
    """y + scale B f(A y + a) + scale b, behind a product. `down` is A, N O; `up` is B, O N, and zero at the start."""

    def __init__(self, inputs: int, outputs: int, width: int, activation: str, scale: float):
        super().__init__()
        self.down, self.up = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.activation, self.scale = ACTIVATIONS[activation], scale

    def added(self, x: Tensor) -> Tensor:
        """What it adds for its input."""
        return self.up(self.activation(self.down(x))) * self.scale

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        y = inner(x)
        return y + self.added(y)

    def begin(self, generator: torch.Generator) -> None:
        """Random directions in, and nothing out."""
        most = self.down.in_features**-0.5
        self.down.weight.copy_(torch.empty(self.down.weight.shape).uniform_(-most, most, generator=generator))
        for nothing in (self.down.bias, self.up.weight, self.up.bias):
            nothing.zero_()


class Beside(Bottleneck):
    """The same beside a module: it reads what the module reads."""

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        return inner(x) + self.added(x)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of adapters."""

    kind: Annotated[
        Literal["houlsby", "pfeiffer", "parallel"],
        Field(description="behind attention and MLP, behind the MLP alone, or beside the MLP"),
    ] = "houlsby"
    width: Annotated[int | None, Field(ge=1, description="width of the bottleneck; left out: by the reduction")] = None
    reduction: Annotated[
        int | None, Field(ge=1, description=f"the outputs' width over the bottleneck's; left out: {REDUCTION}")
    ] = None
    activation: Annotated[
        Literal["relu", "gelu", "gelu_tanh", "silu"], Field(description="function within the bottleneck")
    ] = "relu"
    scale: Annotated[float, Field(gt=0, description="what is added is multiplied by it; parallel often has 4")] = 1.0
    where: Annotated[
        str | None, Field(description="paths of products (parallel: or MLPs) instead of the kind's usual ones")
    ] = None

    name: ClassVar[str] = "adapter"

    def problems(self) -> list[PenjingError]:
        if self.width is None or self.reduction is None:
            return []
        return [OptionError("P-CHANGE-040", field="reduction", width=self.width, given=self.reduction)]

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        kinds = (nn.Linear, MLP) if self.kind == "parallel" else (nn.Linear,)
        return {path: self.edit(one) for path, one in matching(network, self.where or USUAL[self.kind], kinds).items()}

    def edit(self, module: nn.Module) -> Bottleneck:
        """The adapter of one module."""
        first, last = (module.up, module.down) if isinstance(module, MLP) else (module, module)
        inputs, outputs = first.in_features, last.out_features  # type: ignore[union-attr]
        width = self.width or max(1, outputs // (self.reduction or REDUCTION))  # type: ignore[operator]
        kind, inputs = (Beside, inputs) if self.kind == "parallel" else (Bottleneck, outputs)
        return kind(inputs, outputs, width, self.activation, self.scale)  # type: ignore[arg-type]

    def fit(
        self, network: nn.Module, edits: Mapping[str, Edit], generator: torch.Generator, batches: change.Batches = None
    ) -> None:
        for edit in edits.values():
            edit.begin(generator)  # type: ignore[operator]
