"""IA3 (arXiv:2205.05638): learned factors on keys, values and what the MLP's last product reads. Ones at the start.

Shapes: I inputs, O outputs.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import OptionError
from penjing.changes import change
from penjing.changes.edits import Edit
from penjing.changes.paths import matching, pattern_for

if TYPE_CHECKING:
    from penjing.changes.peft import Layout


class ScaledOutput(Edit):
    """A factor O on what a product says."""

    def __init__(self, module: nn.Linear):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(module.out_features))

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        return inner(x) * self.factor

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight * self.factor[:, None], None if bias is None else bias * self.factor


class ScaledInput(Edit):
    """A factor I on what a product reads."""

    def __init__(self, module: nn.Linear):
        super().__init__()
        self.factor = nn.Parameter(torch.ones(module.in_features))

    def forward(self, host: nn.Module, inner: Callable[..., Tensor], x: Tensor) -> Tensor:  # type: ignore[override]
        return inner(x * self.factor)

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight * self.factor, bias


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Change(change.Change):
    """Options of IA3."""

    where: Annotated[
        str | None,
        Field(description="paths of products whose outputs are scaled; usual: keys and values (LSTM: gates)"),
    ] = r"(attention|cross)\.(key|value)|(ahead|back)\.recurrent"
    inputs: Annotated[
        str | None,
        Field(description="paths of products whose inputs are scaled; usual: the MLPs' last (LSTM: gates)"),
    ] = r"mlp\.down|(ahead|back)\.input"

    name: ClassVar[str] = "ia3"
    peft: ClassVar[str | None] = "IA3"
    peft_keys: ClassVar[tuple[str, ...]] = ("feedforward_modules", "fan_in_fan_out", "init_ia3_weights")

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        outputs = {} if self.where is None else matching(network, self.where, (nn.Linear,))
        inputs = {} if self.inputs is None else matching(network, self.inputs, (nn.Linear,), "inputs")
        if both := outputs.keys() & inputs.keys():
            raise OptionError("P-CHANGE-009", field="inputs", given=self.inputs, paths=", ".join(sorted(both)))
        found: dict[str, Edit] = {path: ScaledOutput(module) for path, module in outputs.items()}
        return found | {path: ScaledInput(module) for path, module in inputs.items()}

    def to_peft(self, edits: Mapping[str, Edit], layout: Layout) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """As `Change.to_peft`: factors of outputs are columns, of inputs rows."""
        outputs: dict[str, dict[int, Tensor]] = defaultdict(dict)
        found = {}
        for path, edit in edits.items():
            place, factor = layout.places[path], edit.factor
            if isinstance(edit, ScaledInput):
                found[f"{place.module}.ia3_l"] = factor[None]
            else:
                outputs[place.module][place.part] = factor
        inputs = sorted(name.removesuffix(".ia3_l") for name in found)
        for module, parts in outputs.items():
            whole = layout.join(module, parts, lambda path: torch.ones(layout.rows(path)[0]))
            found[f"{module}.ia3_l"] = whole[:, None]
        return {
            "target_modules": sorted([*inputs, *outputs]), "feedforward_modules": inputs, "init_ia3_weights": True,
            "fan_in_fan_out": any(layout.places[path].transposed for path in edits),
        }, found  # fmt: skip

    @classmethod
    def from_peft(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], layout: Layout, wrong: list[str]
    ) -> tuple[list[change.Change], dict[str, dict[str, Tensor]]]:
        """As `Change.from_peft`; what has one row scales inputs."""
        values, outputs, inputs = {}, [], []
        for module, held in tensors.items():
            if held.keys() != {"ia3_l"}:
                wrong += [f"+ {module}.{kind}" for kind in held if kind != "ia3_l"]
                continue
            factor, rows = held["ia3_l"], factor_shapes(module, layout)
            if tuple(factor.shape) not in rows:
                wrong.append(f"≠ {module}.ia3_l {tuple(factor.shape)}, not {rows[0]} or {rows[1]}")
                continue
            scales_inputs = tuple(factor.shape) == rows[1]
            for path in layout.modules[module].values():
                (inputs if scales_inputs else outputs).append(path)
                values[path] = {"factor": factor[0] if scales_inputs else layout.places[path].cut(factor[:, 0])}
        said = {"where": pattern_for(outputs) if outputs else None, "inputs": pattern_for(inputs) if inputs else None}
        return [cls(**said)], values


def factor_shapes(module: str, layout: Layout) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shapes of factors on the outputs and on the inputs of one of their modules."""
    sizes = [layout.rows(path) for path in layout.modules[module].values()]
    return (sum(rows for rows, _ in sizes), 1), (1, sizes[0][1])
