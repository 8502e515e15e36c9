"""Changes that make modules really smaller: rows and columns of matrices go, and nothing stands around what is left.

A cut module stays a plain one, so it is joined, packed and written out as before, only with less to do. Which units go
(heads, neurons) is found once, from the weights or from the gradients of a loss, and recorded: a folder repeats it.

Shapes: I inputs, O outputs, U units (heads of keys with their queries, or neurons).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from penjing.base.errors import ModelError, OptionError, PenjingError
from penjing.changes import change
from penjing.changes.edits import edits_at, originals
from penjing.changes.paths import matching

Kept = dict[str, tuple[int, ...]]  # by the path of a module: the numbers of the units that are left, in their order


class Slice(NamedTuple):
    """Which rows (side 0) or columns (side 1) of a parameter are left; of a product also how wide it then is."""

    name: str
    side: int
    kept: list[int]


class Cut(change.Change):
    """Base of what cuts. Its options say, once they are chosen, all that is left."""

    silent: ClassVar[bool] = False
    adapts: ClassVar[bool] = False

    def cut(self, network: Any) -> dict[str, Any]:
        self.untouched(network)
        return self.sliced(network)

    def touched(self, network: Any) -> list[str]:
        """Paths of the modules that it cuts."""
        raise AssertionError(f"change {self.name} says nothing here")

    def sliced(self, network: Any) -> dict[str, Any]:
        """Cut; what was there before, by its name."""
        raise AssertionError(f"change {self.name} says nothing here")

    def untouched(self, network: nn.Module) -> None:
        """P-CHANGE-068 where an earlier change stands on, in or around what it cuts."""
        for path, module in originals(network):
            near = any(f"{cut}.".startswith(f"{path}." if path else "") or f"{path}.".startswith(f"{cut}.")
                       for cut in self.touched(network))  # fmt: skip
            if near and edits_at(module):
                raise ModelError("P-CHANGE-068", change=self.name, field=path)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Units(Cut):
    """Options of what cuts units out of modules that have several: heads of attentions, neurons of MLPs."""

    share: Annotated[float, Field(gt=0, lt=1, description="the share of all that goes")] = 0.5
    across: Annotated[
        Literal["module", "network"], Field(description="the same share of each module, or the least important of all")
    ] = "module"
    by: Annotated[
        Literal["magnitude", "taylor"] | None,
        Field(
            description="importance: size of the weights, or what the loss would lose; left out: taylor where there is a loss"
        ),
    ] = None
    kept: Annotated[
        dict[str, tuple[Annotated[int, Field(ge=0)], ...]] | None,
        Field(description="what is left, by the path of the module; follows from the others"),
    ] = None

    kind: ClassVar[type[nn.Module]]
    last: ClassVar[str]  # the product whose columns are the units' outputs

    # ---- what a kind of units says ----

    def count(self, module: Any) -> int:
        """How many units a module has."""
        raise AssertionError(f"change {self.name} says nothing here")

    def slices(self, module: Any, kept: Sequence[int]) -> Iterator[Slice]:
        """The parts of its parameters that are left."""
        raise AssertionError(f"change {self.name} says nothing here")

    def resize(self, module: Any, kept: Sequence[int]) -> dict[str, Any]:
        """Tell a module how many units it has now; what it was told before, by the name of the attribute."""
        return {}

    # ---- choosing ----

    def chosen(self, network: Any, batches: change.Batches, loss: change.Loss | None = None) -> Self:
        modules = matching(network, self.where, (self.kind,))  # type: ignore[attr-defined]
        if self.kept is not None:
            return self.checked(network)
        by = self.by or ("magnitude" if loss is None or batches is None else "taylor")
        self.untouched(network)
        if by == "magnitude":
            scores = {path: self.sizes(module) for path, module in modules.items()}
        else:
            scores = self.lost(network, modules, batches, loss)
        counts = {path: len(one) for path, one in scores.items()}
        going = (
            self.least(scores)
            if self.across == "network"
            else {
                path: set(one.argsort(stable=True)[: round(self.share * len(one))].tolist())
                for path, one in scores.items()
            }
        )
        kept = {path: tuple(unit for unit in range(counts[path]) if unit not in going[path]) or (int(scores[path].argmax()),)
                for path in scores}  # fmt: skip
        kept = {path: units for path, units in kept.items() if len(units) < counts[path]}
        if not kept:
            raise OptionError(
                "P-CHANGE-069", field="share", given=self.share, change=self.name, most=max(counts.values())
            )
        return replace(self, kept=kept)  # type: ignore[type-var]

    def checked(self, network: Any) -> Self:
        """The same if the network has the units that are to be left."""
        known = matching(network, ".*", (self.kind,))
        for path, units in self.kept.items():  # type: ignore[union-attr]
            count = self.count(known[path]) if path in known else 0
            if not units or list(units) != sorted(set(units)) or units[-1] >= count or len(units) == count:
                raise OptionError("P-CHANGE-070", field="kept", given=list(units), path=path, count=count)
        return self

    def least(self, scores: Mapping[str, Tensor]) -> dict[str, set[int]]:
        """The least important of all modules, whose scores are set in relation to each module's; each keeps one."""
        ranked = sorted(
            (score / max(float(one.norm()), torch.finfo(torch.float32).tiny), path, unit)
            for path, one in scores.items() for unit, score in enumerate(one.tolist())
        )  # fmt: skip
        going: dict[str, set[int]] = {path: set() for path in scores}
        left = round(self.share * len(ranked))
        for _, path, unit in ranked:
            if left and len(going[path]) < len(scores[path]) - 1:
                going[path].add(unit)
                left -= 1
        return going

    def sizes(self, module: nn.Module) -> Tensor:
        """The root of the sum of squares of each unit's weights, U."""
        total = torch.zeros(self.count(module))
        for unit in range(len(total)):
            for part in self.slices(module, [unit]):
                if part.name.endswith("weight"):
                    held = module.get_parameter(part.name).detach()
                    rows = held[part.kept] if part.side == 0 else held[:, part.kept]
                    total[unit] += rows.float().square().sum().cpu()
        return total.sqrt()

    def lost(
        self, network: nn.Module, modules: Mapping[str, nn.Module], batches: change.Batches, loss: change.Loss | None
    ) -> dict[str, Tensor]:
        """How much a loss would change if a unit went, to first order (arXiv:1905.10650): the mean over batches of the
        slope by a factor on its output, U."""
        if loss is None or batches is None:
            raise OptionError("P-CHANGE-071", field="by", given="taylor")
        weights = {path: one.get_parameter(f"{self.last}.weight") for path, one in modules.items()}
        asked = {name: p.requires_grad for name, p in network.named_parameters()}
        found, seen, training = (
            {path: torch.zeros(self.count(one)) for path, one in modules.items()},
            0,
            network.training,
        )
        try:
            network.eval().requires_grad_(False)
            for weight in weights.values():
                weight.requires_grad_(True)
            for batch in batches:
                with torch.enable_grad():
                    slopes = torch.autograd.grad(loss(batch), list(weights.values()))
                for (path, weight), slope in zip(weights.items(), slopes, strict=True):
                    columns = (weight.detach() * slope).float().sum(0).cpu()  # I
                    found[path] += columns.view(len(found[path]), -1).sum(1).abs()
                seen += 1
        finally:
            network.train(training)
            for name, parameter in network.named_parameters():
                parameter.requires_grad_(asked[name])
        if not seen:
            raise OptionError("P-CHANGE-065", field="data", path=next(iter(modules)), count=len(modules))
        return {path: total / seen for path, total in found.items()}

    # ---- cutting ----

    def touched(self, network: Any) -> list[str]:
        return list(self.kept) if self.kept is not None else list(matching(network, self.where, (self.kind,)))  # type: ignore[attr-defined]

    def sliced(self, network: Any) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for path, units in (self.kept or {}).items():
            module = network.get_submodule(path)
            for part in list(self.slices(module, units)):
                found[f"{path}.{part.name}"] = shorten(module, part)
            found |= {f"{path}.{name}": value for name, value in self.resize(module, units).items()}
        return found

    def restore(self, network: Any, taken: Mapping[str, Any]) -> None:
        for name, value in taken.items():
            path, _, leaf = name.rpartition(".")
            if isinstance(value, Tensor):
                set_parameter(network, name, value)
            else:
                setattr(network.get_submodule(path), leaf, value)

    # ---- as a network of its own ----

    def hindrances(self, network: Any, number: int) -> list[PenjingError]:
        return [] if self.plain(network) else [ModelError("P-CHANGE-072", change=self.name)]

    def plain(self, network: Any) -> dict[str, Any] | None:
        """The fields of the config of a network that has what is left everywhere; None if no config can say it."""
        raise AssertionError(f"change {self.name} says nothing here")

    def fuse(self, network: Any, number: int) -> None:
        told(network, **(self.plain(network) or {}))


def shorten(module: nn.Module, part: Slice) -> Tensor:
    """Leave a part of a parameter; returns the whole."""
    whole = module.get_parameter(part.name).detach()
    left = whole[part.kept] if part.side == 0 else whole[:, part.kept]
    set_parameter(module, part.name, left.clone())
    return whole


def set_parameter(root: nn.Module, name: str, tensor: Tensor) -> None:
    """Put a parameter in the place of one of another shape, and tell its product."""
    path, _, leaf = name.rpartition(".")
    module = root.get_submodule(path)
    like = module._parameters[leaf]
    module._parameters[leaf] = nn.Parameter(tensor if tensor.is_meta else tensor.to(like.device, like.dtype))
    if leaf == "weight" and isinstance(module, nn.Linear):
        module.out_features, module.in_features = tensor.shape


def told(network: Any, **fields: Any) -> None:
    """Give a network and its stacks a config with other values."""
    network.config = dataclasses.replace(network.config, **fields)
    for stack in stacks(network).values():
        stack.config = network.config


def stacks(network: Any) -> dict[str, Any]:
    """The columns of blocks by their path."""
    both = {"encoder": network.encoder, "decoder": network.decoder}
    return {path: stack for path, stack in both.items() if stack is not None}


def same_everywhere(counts: Iterable[int]) -> int | None:
    """The one number that all are; None if they differ."""
    found = set(counts)
    return found.pop() if len(found) == 1 else None
