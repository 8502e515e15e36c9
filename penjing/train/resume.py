"""The state of an unfinished run, kept so that it goes on to the same bits: weights, optimizer, place in the data.

A state is one safetensors file named by its step; `resume.json`, renamed into place after it, names the file. Killed
between the two, the older state still stands.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from penjing.base.errors import TrainError
from penjing.base.files import read_json, told, write_json
from penjing.model.tensors import write_file
from penjing.tasks.batches import Position
from penjing.train.optimizers import Optimizers

INDEX = "resume.json"


@dataclass
class State:
    """Everything a run must remember between two steps, besides its tensors."""

    step: int = 0
    position: Position = field(default_factory=Position)
    best_score: float | None = None
    best_step: int = 0
    worse: int = 0  # validations since the best
    seconds: float = 0.0  # of training so far
    tokens: int = 0
    log_bytes: int = 0  # length of the log at this state; what came later is cut off
    rollout_bytes: int = 0  # the same of the rollouts


def moved(model: nn.Module) -> dict[str, Tensor]:
    """What training moves, by name: all of the state but frozen parameters."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor.detach() for name, tensor in model.state_dict().items() if name not in frozen}


def put_moved(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Give the model what `moved` gave; other names than those are a RuntimeError, as of `load_state_dict`."""
    other = moved(model).keys() ^ tensors.keys()
    if other:
        raise RuntimeError(f"other parameters are trained: {', '.join(sorted(other)[:5])}")
    model.load_state_dict(tensors, strict=False)


class Kept(NamedTuple):
    """A state that was taken up, and the tensors that are neither the model's nor the optimizers', by their group."""

    state: State
    groups: dict[str, dict[str, Tensor]]


def keep(
    folder: Path, state: State, model: nn.Module, optimizers: Optimizers, groups: Mapping[str, Mapping[str, Tensor]]
) -> None:
    """Write the whole state of a run; `groups`: what it holds beside weights and the optimizers' memory."""
    every = {"model": moved(model), "optimizer": optimizers.state(), **groups}
    save_state(folder, state, {f"{group}/{name}": t for group, held in every.items() for name, t in held.items()})


def take_up(folder: Path, model: nn.Module, optimizers: Optimizers) -> Kept | None:
    """Give model and optimizers what `keep` wrote, and return the rest; None where a run has not begun."""
    found = load_state(folder)
    if found is None:
        return None
    groups: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for name, tensor in found[1].items():
        group, key = name.split("/", 1)
        groups[group][key] = tensor
    try:
        put_moved(model, groups.pop("model", {}))
    except RuntimeError as error:
        raise TrainError("P-TRAIN-004", file=folder, reason=str(error).splitlines()[0]) from error
    optimizers.load(groups.pop("optimizer", {}))
    return Kept(found[0], groups)


def save_state(folder: Path, state: State, tensors: dict[str, Tensor]) -> None:
    """Write the state whole, then forget older ones."""
    name = f"state-{state.step:08d}.safetensors"
    write_file(folder / name, tensors)
    write_json(folder / INDEX, {"file": name, "state": asdict(state)})
    for old in folder.glob("state-*.safetensors*"):
        if old.name != name:
            old.unlink(missing_ok=True)


def load_state(folder: Path) -> tuple[State, dict[str, Tensor]] | None:
    """The newest whole state, or None where a run has not begun."""
    if not (folder / INDEX).exists():
        return None
    about = read_json(folder / INDEX)
    try:
        file, values = folder / about["file"], dict(about["state"])
        state = State(**{**values, "position": Position(**values["position"])})
    except (KeyError, TypeError, ValueError) as error:
        raise TrainError("P-TRAIN-004", file=folder / INDEX, reason=f"its form is unknown ({error})") from error
    try:
        with told(file):
            return state, load_file(file)
    except SafetensorError as error:
        raise TrainError("P-TRAIN-004", file=file, reason=str(error)) from error


def drop_state(folder: Path) -> None:
    """Remove the state of a run that has ended."""
    (folder / INDEX).unlink(missing_ok=True)
    for file in folder.glob("state-*.safetensors*"):
        file.unlink(missing_ok=True)
