"""A change in its place in a network, and what it holds so that it can be taken back."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

from torch import Tensor, nn

from penjing.changes.edits import Edit

if TYPE_CHECKING:
    from penjing.changes.beside import Beside, Said
    from penjing.changes.change import Change


@dataclasses.dataclass
class Applied:
    """A change in its place, what stood in the network's own parameters that it trains, and what it cut."""

    change: Change
    before: dict[str, Tensor] = dataclasses.field(default_factory=dict)
    taken: dict[str, Any] = dataclasses.field(default_factory=dict)
    said: Said | None = None  # what was said in token numbers before some of them went

    def cut(self, network: Any, beside: Beside | None) -> None:
        """Cut, and let what is beside the network say the numbers that are left."""
        left = self.change.tokens_left
        said = None
        if beside is not None and left is not None and network.config.vocab_size > len(left):
            said = beside.left(left)
        self.taken = self.change.cut(network)
        if beside is not None and left is not None and said is not None:
            self.said = beside.say(said, left.index)

    def restore(self, network: Any, beside: Beside | None) -> None:
        """Give back what was cut, and what was said."""
        self.change.restore(network, self.taken)
        if beside is not None and self.said is not None and self.change.tokens_left is not None:
            beside.say(self.said, self.change.tokens_left.__getitem__)

    def hold(self, other: Applied) -> None:
        """Hold what another one holds, of a network that is the same."""
        self.taken, self.said = copy.deepcopy(other.taken), other.said

    @property
    def gone(self) -> bool:
        """Whether nobody has any more what it cut."""
        return any(tensor.is_meta for one in self.taken.values() for tensor in tensors_in(one))

    def forget(self) -> None:
        """Let go of what it cut."""
        self.taken = {name: one.to("meta") if tensors_in(one) else one for name, one in self.taken.items()}
        self.said = None


def tensors_in(taken: Any) -> list[Tensor]:
    """The tensors among what was cut: itself, or the parameters of a module."""
    return [taken] if isinstance(taken, Tensor) else list(taken.parameters()) if isinstance(taken, nn.Module) else []


class Lifted(NamedTuple):
    """A change that was taken off: its edits, and what it had made of the network's own parameters."""

    applied: Applied
    edits: dict[str, Edit]
    values: dict[str, Tensor]
