"""The state of an unfinished run, kept so that it goes on to the same bits: weights, optimizer, place in the data.

A state is one safetensors file named by its step; `resume.json`, renamed into place after it, names the file. Killed
between the two, the older state still stands.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from penjing.base.errors import TrainError
from penjing.base.files import read_json, told, write_json
from penjing.model.tensors import write_file
from penjing.tasks.batches import Position

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


def moved(model: nn.Module) -> dict[str, torch.Tensor]:
    """What training moves, by name: all of the state but frozen parameters."""
    frozen = {name for name, parameter in model.named_parameters() if not parameter.requires_grad}
    return {name: tensor.detach() for name, tensor in model.state_dict().items() if name not in frozen}


def put_moved(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Give the model what `moved` gave; other names than those are a RuntimeError, as of `load_state_dict`."""
    other = moved(model).keys() ^ tensors.keys()
    if other:
        raise RuntimeError(f"other parameters are trained: {', '.join(sorted(other)[:5])}")
    model.load_state_dict(tensors, strict=False)


def save_state(folder: Path, state: State, tensors: dict[str, torch.Tensor]) -> None:
    """Write the state whole, then forget older ones."""
    name = f"state-{state.step:08d}.safetensors"
    write_file(folder / name, tensors)
    write_json(folder / INDEX, {"file": name, "state": asdict(state)})
    for old in folder.glob("state-*.safetensors*"):
        if old.name != name:
            old.unlink(missing_ok=True)


def load_state(folder: Path) -> tuple[State, dict[str, torch.Tensor]] | None:
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
