"""P-tuning (arXiv:2103.10385): embeddings before the text that a small network makes of learnt vectors.

When training is over the network is dropped: what it made stays, as a plain prompt.

Shapes: P places, W width of the embeddings, N width within.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import OptionError, PenjingError
from penjing.changes import change, peft_ahead, prompt
from penjing.changes.ahead import BeforeDecoder, Vectors
from penjing.changes.edits import Edit

if TYPE_CHECKING:
    from penjing.changes.peft import Layout


class MadeVectors(nn.Module):
    """Learnt vectors through an LSTM that reads both ways, if any, and through products with ReLU between them."""

    def __init__(self, length: int, width: int, inner: int, kind: str, layers: int):
        super().__init__()
        self.table = nn.Parameter(torch.zeros(length, width))
        lstm = kind == "lstm"
        self.lstm = nn.LSTM(width, inner, layers, bidirectional=True, batch_first=True) if lstm else None
        sizes = (2 * inner, 2 * inner, width) if lstm else (width, inner, inner, width)
        pairs = zip(sizes[:-1], sizes[1:], strict=True)
        self.products = nn.ModuleList(nn.Linear(inputs, outputs) for inputs, outputs in pairs)

    def forward(self) -> Tensor:
        x = self.table if self.lstm is None else self.lstm(self.table[None])[0][0]
        for number, product in enumerate(self.products):
            x = product(x.relu() if number else x)
        return x

    def begin(self, size: float, generator: torch.Generator) -> None:
        """Vectors of the embeddings' size; matrices even up to one over the root of their inputs."""
        for name, parameter in self.named_parameters():
            if name == "table":
                parameter.copy_(torch.empty(parameter.shape).normal_(0, size, generator=generator))
            elif parameter.dim() == 1:
                parameter.zero_()
            else:
                most = parameter.shape[1] ** -0.5
                parameter.copy_(torch.empty(parameter.shape).uniform_(-most, most, generator=generator))


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(peft_ahead.Before):
    """Options of p-tuning."""

    length: Annotated[int, Field(ge=1, description="learnt embeddings before the text")] = 16
    kind: Annotated[Literal["mlp", "lstm"], Field(description="what makes them")] = "mlp"
    inner: Annotated[int, Field(ge=1, description="width of what makes them (an LSTM: of each direction)")] = 128
    layers: Annotated[int | None, Field(ge=1, description="layers of the LSTM; left out: 2")] = None
    first: Annotated[
        Literal["text", "prompt"],
        Field(description="what a head that reads an encoder's first state gets; prompt: of its first vector, as PEFT"),
    ] = "text"

    name: ClassVar[str] = "ptuning"
    silent: ClassVar[bool] = False
    peft: ClassVar[str | None] = "P_TUNING"
    peft_keys: ClassVar[tuple[str, ...]] = (
        *peft_ahead.ABOUT, "encoder_reparameterization_type", "encoder_num_layers", "encoder_dropout",
    )  # fmt: skip

    def problems(self) -> list[PenjingError]:
        found = self.layers is not None and self.kind != "lstm"
        return [OptionError("P-CHANGE-046", field="layers", given=self.layers)] if found else []

    def edits(self, network: Any) -> dict[str, Edit]:
        made = MadeVectors(self.length, network.config.embedded, self.inner, self.kind, self.layers or 2)
        return prompt.before(network, self.name, made, self.length, self.first)

    def fit(
        self, network: Any, edits: Mapping[str, Edit], generator: torch.Generator, batches: change.Batches = None
    ) -> None:
        for edit in edits.values():
            edit.vectors.begin(float(network.embedding.weight.std()), generator)  # type: ignore[operator, union-attr]

    def finished(self, edits: Mapping[str, Edit]) -> tuple[change.Change, Mapping[str, Edit]]:
        found: dict[str, Edit] = {}
        for path, edit in edits.items():
            rows = edit.vectors()
            plain = Vectors(*rows.shape)
            plain.table.copy_(rows)
            way = {} if isinstance(edit, BeforeDecoder) else {"first": edit.first}
            found[path] = type(edit)(self.length, plain, **way)
        return prompt.Change(self.length, first=self.first), found

    def unsaid(self, layout: Layout) -> list[PenjingError]:
        return peft_ahead.prompt_unsaid(layout, self.first)

    def to_peft(self, edits: Mapping[str, Edit], layout: Layout) -> tuple[dict[str, Any], dict[str, Tensor]]:
        return peft_ahead.vectors_to_peft(self, edits, layout)

    @classmethod
    def from_peft(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], layout: Layout, wrong: list[str]
    ) -> peft_ahead.Found:
        """As `Change.from_peft`: the prompt that was made."""
        return peft_ahead.vectors_from_peft(prompt.Change, config, tensors, layout, wrong)
