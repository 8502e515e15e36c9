"""Modules edited from outside: they keep their place, their parameters and their names, and edits stand around their calls.

The class of an edited module is exchanged for one made here, as torch's parametrizations do it. So a path is the
original path however many changes there are, a checkpoint of the base finds its names, whoever looks for a plain module
(joined products, the tape of a step) sees that this one is not, and without its edits it is the very module it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from penjing.base.errors import ModelError

SLOT = "edits"  # where an edited module keeps them, by the number of their change: `query.edits.0.down`


class Edit(nn.Module):
    """What one change puts on one module. For each verb, a method of that name: `verb(host, inner, *inputs)`.

    `host` is the edited module, `inner(*inputs)` what its method said before this edit.
    """

    verbs: ClassVar[tuple[str, ...]] = ("forward",)  # methods of the module that it stands around
    fixed: ClassVar[tuple[str, ...]] = ()  # its parameters that are never trained

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Weights that say alone what `weight` and `bias` say with this edit around them."""
        raise AssertionError(f"{type(self).__name__} says nothing here")

    @property
    def linear(self) -> bool:
        """Whether it can be folded."""
        return type(self).folded is not Edit.folded

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Its parameters that training moves, by name."""
        return ((name, one) for name, one in self.named_parameters() if name not in self.fixed)


@cache
def edited_kind(kind: type[nn.Module], verbs: tuple[str, ...]) -> type[nn.Module]:
    """The class of modules of a kind with edits around these methods."""
    around = {name: surrounded(name, getattr(kind, name)) for name in verbs}
    return type(f"Edited{kind.__name__}", (kind,), around | {"plain_kind": kind, "__module__": __name__})


def surrounded(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    """A method that goes through the edits, the newest outermost."""

    def method(self: nn.Module, *inputs: Any, **named: Any) -> Any:
        inner = partial(plain, self)
        for edit in getattr(self, SLOT).values():
            if name in edit.verbs:
                inner = partial(getattr(edit, name), self, inner)
        return inner(*inputs, **named)

    return method


def kind_of(module: nn.Module) -> type[nn.Module]:
    """The class of a module without its edits."""
    return getattr(type(module), "plain_kind", type(module))


def edits_at(module: nn.Module) -> dict[str, Edit]:
    """The edits of a module, the innermost first."""
    return dict(module._modules.get(SLOT) or {})  # type: ignore[arg-type]


def put(module: nn.Module, number: int, edit: Edit) -> None:
    """Put the edit of a change around a module."""
    if not edits_at(module):
        module.add_module(SLOT, nn.ModuleDict().train(module.training))
    like = next(module.parameters(), None)
    edit = edit if like is None else edit.to(device=like.device, dtype=like.dtype)
    module.get_submodule(SLOT)[str(number)] = edit.train(module.training)  # type: ignore[index]
    adjust(module)


def take(module: nn.Module, number: int) -> Edit:
    """Take the edit of a change off a module."""
    edit = module.get_submodule(SLOT).pop(str(number))  # type: ignore[operator]
    if not edits_at(module):
        delattr(module, SLOT)
    adjust(module)
    return edit


def adjust(module: nn.Module) -> None:
    """Give a module the class that its edits ask for."""
    verbs = sorted({verb for edit in edits_at(module).values() for verb in edit.verbs})
    module.__class__ = edited_kind(kind_of(module), tuple(verbs)) if verbs else kind_of(module)


def edits_of(network: nn.Module, number: int) -> dict[str, Edit]:
    """What a change has put into a network, by the path of the module."""
    found = {path: edits_at(module).get(str(number)) for path, module in originals(network)}
    return {path: edit for path, edit in found.items() if edit is not None}


def originals(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Path and module of all that a network is made of, its edits left out."""
    return ((path, module) for path, module in network.named_modules() if SLOT not in path.split("."))


def is_edits(name: str) -> bool:
    """Whether a parameter belongs to an edit."""
    return SLOT in name.split(".")


def number_in(name: str) -> int:
    """The number of the change whose edit a parameter belongs to."""
    parts = name.split(".")
    return int(parts[parts.index(SLOT) + 1])


def base_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The state of a network without its edits: what a checkpoint of it holds."""
    return {name: tensor for name, tensor in network.state_dict().items() if not is_edits(name)}


@torch.no_grad()
def fold(path: str, module: nn.Module, number: int) -> None:
    """Take an edit, the innermost one, off a module and into its weights."""
    if next(iter(edits_at(module))) != str(number):
        raise ModelError("P-CHANGE-006", field=path)
    bias = getattr(module, "bias", None)  # a table has none
    weight, bias = take(module, number).folded(module.weight, bias)  # type: ignore[arg-type]
    module.weight.copy_(weight)  # type: ignore[operator]
    if bias is not None:
        module.bias.copy_(bias)  # type: ignore[operator]
