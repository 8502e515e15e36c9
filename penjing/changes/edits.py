"""Modules edited from outside: they keep their place, their parameters and their names, and edits stand around their calls.

The class of an edited module is exchanged for one made here, as torch's parametrizations do it. So a path is the
original path however many changes there are, a checkpoint of the base finds its names, whoever looks for a plain module
(joined products, the tape of a step) sees that this one is not, and without its edits it is the very module it was.

An edit may also stand in for parameters of its module (`StandIn`): the module then has them no more, says what the edit
says in their place, and gets them back when the edit is taken off.
"""

from __future__ import annotations

import re
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
    awake = True  # asleep, it is as if it were not there

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Weights that say alone what `weight` and `bias` say with this edit around them."""
        raise AssertionError(f"{type(self).__name__} says nothing here")

    @property
    def linear(self) -> bool:
        """Whether it can be folded."""
        return type(self).folded is not Edit.folded

    def trained(self) -> Iterator[tuple[str, nn.Parameter]]:
        """Its parameters that training moves, by name."""
        return ((name, one) for name, one in self.named_parameters() if name not in self.fixed and not is_edits(name))


class StandIn(Edit):
    """What stands in for parameters of its module, in fewer numbers or fewer bits: they are taken from the module.

    Whoever asks the module for one of them (an adapter around it, a fold, its own plain method) gets `dense(name)`. Its
    verbs, if any, are the innermost of the module, whatever the order of the changes, and never ask the inner one.
    While it is being filled (`Change.fit`) it sleeps: the network still says what it said before; who fills them one
    after the other may wake each, so that the next sees what it made.
    Tensors of whole numbers are buffers: they keep their type, all others get the module's. Products within it are
    `Linear` modules: a later change that stands in for matrices stands in for theirs (`holders` in `paths.py`).
    """

    verbs = ()
    takes: ClassVar[tuple[str, ...]] = ("weight",)  # the parameters it stands in for, where the module has them

    def __init__(self) -> None:
        super().__init__()
        self.taken: dict[str, Tensor] = {}  # what they were; on `meta`, without values, where nobody has them any more

    def dense(self, name: str) -> Tensor:
        """A parameter that it stands in for, as large as that was."""
        raise AssertionError(f"{type(self).__name__} says nothing here")

    def folded(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        return weight, bias  # what the module says already

    @property
    def gone(self) -> bool:
        """Whether nobody has any more what it stands in for."""
        return any(tensor.is_meta for tensor in self.taken.values())

    def forget(self) -> None:
        """Let go of what it stands in for."""
        self.taken = {name: tensor.to("meta") for name, tensor in self.taken.items()}


@cache
def edited_kind(kind: type[nn.Module], verbs: tuple[str, ...], taken: tuple[str, ...]) -> type[nn.Module]:
    """The class of modules of a kind with edits around these methods, and in the place of these parameters."""
    said: dict[str, Any] = {name: surrounded(name, getattr(kind, name)) for name in verbs}
    said |= {name: property(partial(asked, name)) for name in taken}
    return type(f"Edited{kind.__name__}", (kind,), said | {"plain_kind": kind, "__module__": __name__})


def asked(name: str, module: nn.Module) -> Tensor:
    """A parameter of a module as its stand-in says it."""
    edit = next(edit for edit in stand_ins(module).values() if name in edit.taken)
    return edit.dense(name) if edit.awake else like_its_module(edit.taken[name], numbers_of(module))


def surrounded(name: str, plain: Callable[..., Any]) -> Callable[..., Any]:
    """A method that goes through the edits, the newest outermost."""

    def method(self: nn.Module, *inputs: Any, **named: Any) -> Any:
        inner = partial(plain, self)
        for edit in getattr(self, SLOT).values():
            if edit.awake and name in edit.verbs:
                inner = partial(getattr(edit, name), self, inner)
        return inner(*inputs, **named)

    return method


def kind_of(module: nn.Module) -> type[nn.Module]:
    """The class of a module without its edits."""
    return getattr(type(module), "plain_kind", type(module))


def edits_at(module: nn.Module) -> dict[str, Edit]:
    """The edits of a module, the innermost first."""
    return dict(module._modules.get(SLOT) or {})  # type: ignore[arg-type]


def stand_ins(module: nn.Module) -> dict[str, StandIn]:
    """Those of them that stand in for parameters."""
    return {number: edit for number, edit in edits_at(module).items() if isinstance(edit, StandIn)}


def put(module: nn.Module, number: int, edit: Edit) -> None:
    """Put the edit of a change on a module, in the place of an earlier one of the same change if there is one."""
    if not edits_at(module):
        module.add_module(SLOT, nn.ModuleDict().train(module.training))
    like, slot = numbers_of(module), module.get_submodule(SLOT)
    if like is not None:
        edit = edit.to(dtype=like.dtype) if like.is_meta else edit.to(device=like.device, dtype=like.dtype)
    if isinstance(edit, StandIn):
        edit.taken = taken_from(module, edit, stand_ins(module).get(str(number)))
    slot[str(number)] = edit.train(module.training)  # type: ignore[index]
    adjust(module)


def taken_from(module: nn.Module, edit: StandIn, earlier: StandIn | None) -> dict[str, Tensor]:
    """What an edit stands in for, no longer the module's; an earlier edit hands on what it took."""
    found = {} if earlier is None else earlier.taken
    for name in edit.takes:
        if module._parameters.get(name) is not None:
            found[name] = module._parameters[name].detach()  # type: ignore[union-attr]
            module._parameters[name] = None  # its place stays, so that the order of names does
    return {name: tensor if tensor.is_meta else tensor.cpu() for name, tensor in found.items()}


def take(module: nn.Module, number: int) -> Edit:
    """Take the edit of a change off a module."""
    like, slot = numbers_of(module), module.get_submodule(SLOT)
    edit = slot.pop(str(number))  # type: ignore[operator]
    if not edits_at(module):
        delattr(module, SLOT)
    adjust(module)
    if isinstance(edit, StandIn):
        for name, tensor in edit.taken.items():
            module._parameters[name] = nn.Parameter(like_its_module(tensor, like))
    return edit


def like_its_module(tensor: Tensor, like: Tensor | None) -> Tensor:
    """What was taken from a module in the type that the module has now, and where it is now."""
    return tensor if like is None else tensor.to(tensor.device if tensor.is_meta else like.device, like.dtype)


def numbers_of(module: nn.Module) -> Tensor | None:
    """A tensor that tells the type and the place of a module's numbers, if it has any; one with values before others."""
    found = [one for one in (*module.parameters(), *module.buffers()) if one.is_floating_point()]
    return next((one for one in found if not one.is_meta), next(iter(found), None))


def adjust(module: nn.Module) -> None:
    """Give a module the class that its edits ask for; what stands in for parameters is innermost."""
    found, inner = edits_at(module), stand_ins(module)
    if not found:
        module.__class__ = kind_of(module)
        return
    module.get_submodule(SLOT)._modules = inner | {number: found[number] for number in found if number not in inner}
    verbs = sorted({verb for edit in found.values() for verb in edit.verbs})
    taken = sorted({name for edit in inner.values() for name in edit.taken})
    module.__class__ = edited_kind(kind_of(module), tuple(verbs), tuple(taken))


def edits_of(network: nn.Module, number: int) -> dict[str, Edit]:
    """What a change has put into a network, by the path of the module: an original one, or one within a stand-in."""
    found = {path: edits_at(module).get(str(number)) for path, module in network.named_modules()}
    return {path: edit for path, edit in found.items() if edit is not None}


def originals(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Path and module of all that a network is made of, its edits left out."""
    return ((path, module) for path, module in network.named_modules() if SLOT not in path.split("."))


def is_edits(name: str) -> bool:
    """Whether a parameter belongs to an edit."""
    return SLOT in name.split(".")


def number_in(name: str) -> int:
    """The number of the change whose edit a parameter belongs to: the inner one's, where one stands in another."""
    parts = name.split(".")[::-1]
    return int(parts[parts.index(SLOT) - 1])


def renumbered(path: str, gone: int) -> str:
    """A path within an edit, when the change of this number is no longer there."""
    return re.sub(rf"(?<=\b{SLOT}\.)\d+", lambda found: str(int(found[0]) - (int(found[0]) > gone)), path)


def base_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The state of a network without its edits: what a checkpoint of it holds."""
    return {name: tensor for name, tensor in network.state_dict().items() if not is_edits(name)}


def whole_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The same with what stand-ins say, whole."""
    whole = {".".join(filter(None, (path, name))): edit.dense(name).detach() for path, module in originals(network)
             for edit in stand_ins(module).values() for name in edit.taken}  # fmt: skip
    return base_tensors(network) | whole


@torch.no_grad()
def dissolve(module: nn.Module, number: int) -> None:
    """Take a stand-in off a module that has from then on, as parameters of its own, what the stand-in says."""
    edit = stand_ins(module)[str(number)]
    edit.taken = {name: edit.dense(name).clone() for name in edit.taken}
    take(module, number)


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
