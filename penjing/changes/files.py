"""The changes of a network in its folder: their records stand in penjing.json, their tensors in a file of their own.

The folder's model.safetensors is the base under its own names, with what a change trained in place (freeze, bitfit);
`changes.safetensors` holds the edits, and what stood where something was trained in place, so that it can be taken back.
Where edits stand in for parameters there is no whole base: `remaining.safetensors` is what is left of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from penjing.base.errors import FileError
from penjing.base.files import existing
from penjing.changes import changes_of
from penjing.changes.beside import Beside
from penjing.changes.change import Changes
from penjing.changes.edits import is_edits
from penjing.model.tensors import read_file, write_file

FILE = "changes.safetensors"


CARD = """# A changed model

Its changes ({names}) stand in for weights of the network that they were made of, which are no longer here. The file
`remaining.safetensors` is what is left of them, `changes.safetensors` what stands in for the others; neither is a model
without the other, and only Penjing puts them together:

```python
import penjing

model = penjing.Model.load("model")
```

`penjing merge` makes a model of it that others open too, as large as the one that was changed.
"""


def lone_card(changes: Changes) -> str:
    """What a folder says that others cannot open, where it has no other card."""
    return CARD.format(names=", ".join(one.change.name for one in changes))


def write_changes(folder: Path, changes: Changes) -> None:
    """Write the tensors of the changes, if there are any."""
    if changes:
        write_file(folder / FILE, changes.tensors())


class Replay:
    """Recorded changes of a folder: made again on the empty network, so that it is known which tensors are the base's,
    and filled when these are there.
    """

    def __init__(self, folder: Path, records: Any):
        if not isinstance(records, list):
            raise FileError("P-FILE-004", path=folder / "penjing.json", reason="`changes` is no list")
        self.file, self.recorded = folder / FILE, changes_of(records)
        self.tensors = read_file(existing(self.file)) if records else {}
        self.changes: Changes | None = None

    def __call__(self, network: nn.Module) -> set[str]:
        """Make them on a network; the names of the tensors that they fill."""
        self.changes = Changes(network)
        for change in self.recorded:
            self.changes.add(change)
        return {name for name in network.state_dict() if is_edits(name)}

    def filled(self, network: nn.Module, beside: Beside | None = None) -> Changes:
        """The changes of the network that they were made on last, filled; `beside`: what stands beside it."""
        if self.changes is None or self.changes.network is not network:
            raise AssertionError("made on another network")
        self.changes.fill(self.tensors, self.file)
        self.changes.beside = beside
        return self.changes


def repeat(
    changes: Changes, records: Sequence[Any], tensors: Mapping[str, Tensor], file: str | Path | None = None
) -> None:
    """Make recorded changes again and fill them."""
    for change in changes_of(records):
        changes.add(change)
    if records:
        changes.fill(tensors, file)
