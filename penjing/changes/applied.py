"""A change in its place in a network, and what it holds so that it can be taken back."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from penjing.changes.edits import Edit

if TYPE_CHECKING:
    from penjing.changes.change import Change


@dataclasses.dataclass
class Applied:
    """A change in its place, what stood in the network's own parameters that it trains, and what it cut."""

    change: Change
    before: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    taken: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def gone(self) -> bool:
        """Whether nobody has any more what it cut."""
        return any(tensor.is_meta for one in self.taken.values() for tensor in tensors_in(one))

    def forget(self) -> None:
        """Let go of what it cut."""
        self.taken = {name: one.to("meta") if tensors_in(one) else one for name, one in self.taken.items()}


def tensors_in(taken: Any) -> list[Tensor]:
    """The tensors among what was cut: itself, or the parameters of a module."""
    return [taken] if isinstance(taken, Tensor) else list(taken.parameters()) if isinstance(taken, nn.Module) else []


class Lifted(NamedTuple):
    """A change that was taken off: its edits, and what it had made of the network's own parameters."""

    applied: Applied
    edits: dict[str, Edit]
    values: dict[str, Tensor]
