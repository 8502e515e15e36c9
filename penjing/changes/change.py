"""The protocol of a change: a recorded edit of a network that can be repeated, folded into its weights, or taken back.

A change is a frozen dataclass of options. It says which edits it puts where (`edits`), which of the network's own
parameters it also trains (`trains`), and the values they start from (`fit`). The rest is the same for all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from torch import Tensor, nn

from penjing.base.errors import ModelError, PenjingError, raise_all
from penjing.changes.applied import Applied, Lifted
from penjing.changes.beside import Beside, Outdated, Texts
from penjing.changes.edits import (
    SLOT,
    Edit,
    StandIn,
    dissolve,
    edits_of,
    fold,
    is_edits,
    number_in,
    put,
    renumbered,
    stand_ins,
    take,
)
from penjing.changes.paths import is_shared
from penjing.model.batch import Batch
from penjing.model.grown import BY_TOKEN

if TYPE_CHECKING:
    from penjing.changes.peft import Layout

Batches = Iterable[Batch] | None  # calibration data; it may be gone through several times
Loss = Callable[[Batch], Tensor]  # what the network is for, of a batch of them


class Change:
    """Base of all changes. `network` is the network as earlier changes left it; `number`: its place among them.

    Paths are those of the original network, and stay so (see `edits.py`). Patterns: see `paths.py`.
    """

    name: ClassVar[str]
    silent: ClassVar[bool] = True  # whether the network answers as before until something is learnt
    adapts: ClassVar[bool] = True  # whether it alone is trained; else (what makes a network smaller) all that is there
    peft: ClassVar[str | None] = None  # what PEFT calls it, if it has a form there (see `peft.py`)
    peft_keys: ClassVar[tuple[str, ...]] = ()  # keys of its adapter_config.json that `from_peft` reads
    peft_root: ClassVar[str] = "base_model.model."  # what their names of its tensors begin with
    tokens_left: ClassVar[tuple[int, ...] | None] = None  # the tokens that it leaves, which the config tells; None: all
    before_text: ClassVar[bool] = False  # whether it stands before a text and edits no module that they have

    # ---- what a change says of itself ----

    def edits(self, network: nn.Module) -> dict[str, Edit]:
        """The edits by the path of their module; structure only, from the options and the network's shapes alone."""
        return {}

    def trains(self, network: nn.Module) -> set[str]:
        """Names of the network's own parameters that it trains in place, beside all of its edits."""
        return set()

    def chosen(self, network: Any, batches: Batches, loss: Loss | None = None) -> Self:
        """The same with all options that its structure needs: those left to it are found in the network and the data."""
        return self

    def fit(self, network: Any, edits: Mapping[str, Edit], generator: torch.Generator, batches: Batches = None) -> None:
        """Fill the edits with the values that they start from; what stands in for parameters sleeps until then."""

    def cut(self, network: Any) -> dict[str, Any]:
        """Make the network itself smaller; structure only, as `edits`. What was there before, by its name: parameters of
        another shape, modules that went, attributes."""
        return {}

    def restore(self, network: Any, taken: Mapping[str, Any]) -> None:
        """Give the network back what was cut."""

    def rate(self, name: str, network: nn.Module) -> float:
        """The factor on the learning rate of a parameter that it trains."""
        return 1.0

    def turn(self, name: str, network: nn.Module) -> float:
        """The share of the steps after which a parameter that it trains begins to be trained."""
        return 0.0

    def told(self, beside: Beside, batches: Batches = None) -> Self:
        """The same with the words among its options as token numbers, and what follows from tokenizer and texts."""
        return self

    def finished(self, edits: Mapping[str, Edit]) -> tuple[Change, Mapping[str, Edit]]:
        """What says the same without the parts that only training needs; itself, where there are none."""
        return self, edits

    def problems(self) -> list[PenjingError]:
        """What is wrong with the options together."""
        return []

    # ---- in PEFT's form ----

    def unsaid(self, layout: Layout) -> list[PenjingError]:
        """Why their form cannot hold it, by its options; nothing if it can."""
        return []

    def to_peft(self, edits: Mapping[str, Edit], layout: Layout) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Its keys of adapter_config.json, and its tensors under their names without the prefix."""
        raise AssertionError(f"change {self.name} says nothing here")

    @classmethod
    def from_peft(
        cls, config: Mapping[str, Any], tensors: Mapping[str, Mapping[str, Tensor]], layout: Layout, wrong: list[str]
    ) -> tuple[list[Change], dict[str, dict[str, Tensor]]]:
        """Changes that say the same, and the values of their edits by path, from tensors by their module and kind.

        Tensors that do not fit are written into `wrong`.
        """
        raise AssertionError(f"change {cls.name} says nothing here")

    # ---- what is done with it ----

    def install(self, network: nn.Module, number: int, edits: Mapping[str, Edit] | None = None) -> None:
        """Put its edits in their places: fresh ones, or those that were taken off before."""
        for path, edit in (self.edits(network) if edits is None else edits).items():
            put(network.get_submodule(path), number, edit)

    def remove(self, network: nn.Module, number: int) -> dict[str, Edit]:
        """Take its edits off again; returns them."""
        return {path: take(network.get_submodule(path), number) for path in edits_of(network, number)}

    def hindrances(self, network: nn.Module, number: int) -> list[PenjingError]:
        """Why it cannot be folded into the network's weights; nothing if it can."""
        stuck = [path for path, edit in edits_of(network, number).items() if not edit.linear]
        found: list[PenjingError] = [
            ModelError("P-CHANGE-004", change=self.name, count=len(stuck), field=path) for path in stuck[:1]
        ]
        around = [path for path, edit in edits_of(network, number).items() if not isinstance(edit, StandIn)]
        shared = [path for path in around if is_shared(network, path)]
        return found + [ModelError("P-CHANGE-005", change=self.name, field=path) for path in shared]

    def dissolve(self, network: nn.Module, number: int) -> None:
        """Make what its edits stand in for parameters again, with the values that the edits say."""
        for path, edit in edits_of(network, number).items():
            if isinstance(edit, StandIn):
                dissolve(network.get_submodule(path), number)

    def fuse(self, network: nn.Module, number: int) -> None:
        """Fold it into the network's weights; its edits must be the innermost ones, so the first change goes first."""
        for path in edits_of(network, number):
            fold(path, network.get_submodule(path), number)

    def record(self) -> dict[str, Any]:
        """As recipes and checkpoints write it: {name: {option: value}}."""
        return {self.name: dataclasses.asdict(self)}  # type: ignore[call-overload]


class Changes(list[Applied]):
    """The changes of one network, in their order."""

    def __init__(self, network: nn.Module, beside: Beside | None = None):
        super().__init__()
        self.network, self.beside = network, beside

    def add(
        self, change: Change, seed: int | None = None, batches: Batches = None, loss: Loss | None = None
    ) -> Applied:
        """One change more. Its values follow from the seed and the data; without a seed they are left to be filled."""
        if seed is not None:
            change = change if self.beside is None else change.told(self.beside, batches)
            change = change.chosen(self.network, batches, loss)
        if stuck := [
            name for one in self for name in one.before if change.tokens_left is not None and name in BY_TOKEN
        ]:
            raise ModelError("P-CHANGE-068", change=change.name, field=stuck[0])
        number, named = len(self), dict(self.network.named_parameters())
        applied = Applied(change, {name: named[name].detach().clone() for name in sorted(change.trains(self.network))})
        applied.cut(self.network, self.beside)
        change.install(self.network, number)
        self.append(applied)
        if seed is not None:
            self.fit(number, seed, batches)
        self.settle()
        return applied

    @torch.no_grad()
    def fit(self, number: int, seed: int, batches: Batches) -> None:
        """Fill the edits of a change; what stands in for parameters sleeps meanwhile."""
        edits = edits_of(self.network, number)
        for edit in edits.values():
            edit.awake = not isinstance(edit, StandIn)
        try:
            generator = torch.Generator().manual_seed(seed * 1_000_003 + number)
            self[number].change.fit(self.network, edits, generator, batches)
        finally:
            for edit in edits.values():
                edit.awake = True

    def adopt(self, changes: Sequence[Change], seed: int, batches: Batches = None, loss: Loss | None = None) -> None:
        """Several changes more, or none if one of them does not fit; if they adapt the network, they alone are trained."""
        first = len(self)
        try:
            for change in changes:
                applied = self.add(change, seed, batches, loss)
                if applied.said is not None and batches is not None and not isinstance(batches, Texts):
                    batches = Outdated()
        except PenjingError:
            while len(self) > first:
                self.drop()
            raise
        self.train_from(first)

    def drop(self, number: int = -1) -> None:
        """Take one change back: without changes the network has the bits it had.

        P-CHANGE-061: nobody has what it stands in for any more. P-CHANGE-062: a later change stands within it.
        """
        number %= len(self)
        raise_all(self.held(number))
        later = [(one, one.change.remove(self.network, at)) for at, one in list(enumerate(self))[:number:-1]][::-1]
        self[number].change.remove(self.network, number)
        self[number].restore(self.network, self.beside)
        self.put_back(self[number].before, [one for one, _ in later])
        del self[number:]
        for one, edits in later:
            moved = {renumbered(path, number): edit for path, edit in edits.items()}
            one.change.install(self.network, len(self), moved)
            self.append(one)
        self.settle()

    def held(self, number: int) -> list[PenjingError]:
        """Why a change cannot be taken back; nothing if it can."""
        name, own = self[number].change.name, edits_of(self.network, number)
        gone = [path for path, edit in own.items() if isinstance(edit, StandIn) and edit.gone]
        gone += [next(iter(self[number].taken))] if self[number].gone else []
        found: list[PenjingError] = [ModelError("P-CHANGE-061", change=name, field=path) for path in gone[:1]]
        for at, one in list(enumerate(self))[number + 1 :]:
            within = [p for p in edits_of(self.network, at) if is_edits(p) and number_in(p) == number]
            if within or self[number].taken or one.taken:
                found.append(ModelError("P-CHANGE-062", change=name, later=one.change.name))
        return found

    def lift(self, first: int = 0) -> list[Lifted]:
        """Take the changes from this one on off, to be laid on again: the network is what it was before, to the bit."""
        found = []
        while len(self) > first:
            named = dict(self.network.named_parameters())
            moved = [*self[-1].before, *(name for name, one in self[-1].taken.items() if isinstance(one, Tensor))]
            values = {name: named[name].detach().clone() for name in moved}
            found.append(Lifted(self[-1], edits_of(self.network, len(self) - 1), values))
            self.drop()
        return found[::-1]

    @torch.no_grad()
    def lay(self, lifted: Sequence[Lifted]) -> None:
        """Put changes that were taken off around what is there."""
        for applied, edits, values in lifted:
            applied.cut(self.network, self.beside)
            named = dict(self.network.named_parameters())
            applied.change.install(self.network, len(self), edits)
            self.append(applied)
            for name, tensor in values.items():
                named[name].copy_(tensor)
        self.settle()

    @torch.no_grad()
    def put_back(self, before: Mapping[str, Tensor], later: Sequence[Applied]) -> None:
        """Give the network its parameters back; one that a later change trains too is that change's to give back."""
        named = dict(self.network.named_parameters())
        for name, tensor in before.items():
            heirs = [one for one in later if name in one.before]
            (heirs[0].before[name] if heirs else named[name]).copy_(tensor)

    def fuse(self, *, cuts: bool = True) -> None:
        """Fold all changes into the network's weights; all that hinders is one error, and nothing is folded.

        `cuts`: also what was cut becomes the network's own shape; else such changes stay.
        """
        folding = [(number, one) for number, one in enumerate(self) if cuts or not one.taken]
        raise_all([error for n, one in folding for error in one.change.hindrances(self.network, n)])
        self.dissolve()
        for number, one in folding:
            one.change.fuse(self.network, number)
        self[:] = [one for number, one in enumerate(self) if number not in dict(folding)]
        self.settle()

    def dissolve(self) -> None:
        """Make parameters of all that edits stand in for; what stands within another goes first."""
        for number, one in list(enumerate(self))[::-1]:
            one.change.dissolve(self.network, number)

    def folded(self) -> Iterator[str]:
        """Names of the network's own parameters that folding the changes moves."""
        paths = {path for number, _ in enumerate(self) for path in edits_of(self.network, number)}
        yield from (name for name, _ in self.network.named_parameters()
                    if name.rpartition(".")[0] in paths and not is_edits(name))  # fmt: skip

    def finish(self) -> None:
        """Training is over: drop what only it needed, and what was stood in for. The network answers as before."""
        for number, one in enumerate(self):
            own = edits_of(self.network, number)
            with torch.no_grad():
                one.change, edits = one.change.finished(own)
            for path, edit in edits.items():
                put(self.network.get_submodule(path), number, edit)
                if isinstance(edit, StandIn):
                    edit.forget()
            one.forget()
        self.settle()

    def settle(self) -> None:
        """Which parameters are trained has changed, and a step that was written out no longer holds."""
        if getattr(self.network, "tape", None) is not None:
            self.network.tape = None
        self.train_from(0)

    def train_from(self, number: int) -> None:
        """Train what the changes from this one on train, and nothing else."""
        chosen = set(self.trained(number))
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(name in chosen)

    def trained(self, number: int = 0) -> Iterator[str]:
        """Names of the parameters that the changes from this one on train; all, where none of them adapts a network."""
        number = number if any(one.change.adapts for one in self[number:]) else 0
        if some := any(one.change.adapts for one in self):
            yield from (name for one in self[number:] for name in one.before)
        else:
            yield from (name for name, _ in self.network.named_parameters() if not is_edits(name))
        for at, one in enumerate(self[number:], number):
            for path, edit in edits_of(self.network, at).items() if one.change.adapts or not some else ():
                yield from (f"{path}.{SLOT}.{at}.{name}".removeprefix(".") for name, _ in edit.trained())

    def rate(self, name: str) -> float:
        """The factor on a parameter's learning rate."""
        one = self.of(name)
        return 1.0 if one is None else one.rate(name, self.network)

    def turn(self, name: str) -> float:
        """The share of the steps after which a parameter begins to be trained."""
        one = self.of(name)
        return 0.0 if one is None else one.turn(name, self.network)

    def of(self, name: str) -> Change | None:
        """The change that trains a parameter, the first of several; none, where it was trained before all of them."""
        if is_edits(name):
            return self[number_in(name)].change
        return next((one.change for one in self if name in one.before), None)

    @property
    def standing(self) -> bool:
        """Whether the network is no longer what its config says: parameters are stood in for, or were cut."""
        cut = any(one.taken and one.change.tokens_left is None for one in self)
        return cut or any(stand_ins(module) for module in self.network.modules())

    @property
    def shortened(self) -> set[str]:
        """Names of the parameters that were cut and are still there."""
        cut = [one.taken for one in self if one.change.tokens_left is None]
        return {name for taken in cut for name, value in taken.items() if isinstance(value, Tensor)}

    def records(self) -> list[dict[str, Any]]:
        """As a checkpoint keeps them."""
        return [one.change.record() for one in self]

    def tensors(self) -> dict[str, Tensor]:
        """All that a checkpoint of the network lacks: the edits, and what stood where a change trained in place."""
        edits = {name: tensor for name, tensor in self.network.state_dict().items() if is_edits(name)}
        return edits | {f"before.{n}.{name}": t for n, one in enumerate(self) for name, t in one.before.items()}

    @torch.no_grad()
    def fill(self, tensors: Mapping[str, Tensor], file: Any = None) -> None:
        """Take back what `tensors` gave; what is missing, left over or of another shape is one error."""
        own = self.tensors()
        wrong = [f"- {name}" for name in own if name not in tensors]
        wrong += [f"+ {name}" for name in tensors if name not in own]
        wrong += [f"≠ {name} {tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
                  for name, tensor in own.items() if name in tensors and tensors[name].shape != tensor.shape]  # fmt: skip
        if wrong:
            raise ModelError("P-CHANGE-007", file=file, count=len(wrong), names="\n    ".join(wrong))
        empty = {name: tensors[name].to(tensor.dtype, copy=True) for name, tensor in own.items() if tensor.is_meta}
        for name, tensor in own.items():
            if name not in empty:
                tensor.copy_(tensors[name])
        self.network.load_state_dict({n: t for n, t in empty.items() if is_edits(n)}, strict=False, assign=True)
        for number, one in enumerate(self):
            one.before |= {name: empty.get(f"before.{number}.{name}", t) for name, t in one.before.items()}
        self.settle()

    def repeat(self, others: Changes) -> None:
        """The same changes as those of another network, with what they stand in for; their values are to be filled."""
        for number, one in enumerate(others):
            self.add(one.change).hold(one)
            theirs = edits_of(others.network, number)
            for path, edit in edits_of(self.network, number).items():
                if isinstance(edit, StandIn):
                    edit.taken = {name: t.clone() for name, t in theirs[path].taken.items()}  # type: ignore[union-attr]
