"""A student that begins as some of its teacher's blocks (DistilBERT, arXiv:1910.01108): the rest of it is the teacher's own."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from penjing.base.errors import ModelError, TaskError
from penjing.changes.edits import base_tensors
from penjing.model.families import family_of
from penjing.tasks.distilling.watching import stacks_of

if TYPE_CHECKING:
    from penjing.tasks.model import Model
    from penjing.tasks.task import Task

BLOCK = re.compile(r"(encoder|decoder)\.blocks\.(\d+)\.(.*)")


def copied(teacher: Model, task: Task, blocks: int | Sequence[int], seed: int, **more: Any) -> Model:
    """A model for `task` with the blocks of a teacher; `more` as `Model.with_task` takes it. Raises P-TASK-148."""
    from penjing.tasks.model import Model

    if teacher.changes:
        teacher = copy.deepcopy(teacher)
        teacher.changes.fuse()
    kept = {side: chosen(blocks, len(stack.blocks), side) for side, stack in stacks_of(teacher.network).items()}
    check_first(teacher.network.config, kept)
    config = shorter(teacher.network.config, kept)
    family = family_of(teacher.family)
    if lost := family.changed(config):
        raise ModelError("P-MODEL-021", family=family.name, names=", ".join(lost))
    network = type(teacher.network).new(config, seed, vocabulary=teacher.network.output is not None)
    network.load_state_dict(moved(base_tensors(teacher.network), kept))
    head = copy.deepcopy(teacher.head)
    plain = Model(network, head, teacher.task, teacher.tokenizer, teacher.family, dict(teacher.lineage),
                  window=teacher.piece, generation=teacher.generation)  # fmt: skip
    return plain.requires_grad_(True).with_task(task, seed, **more)


def check_first(config: Any, kept: dict[str, list[int]]) -> None:
    """Where only the first block lacks a norm, no other one can stand first."""
    wrong = [side for side, numbers in kept.items() if numbers[0] and not getattr(config, "first_norm", True)]
    if wrong:
        raise TaskError("P-TASK-149", side=wrong[0])


def chosen(blocks: int | Sequence[int], count: int, side: str) -> list[int]:
    """The numbers of the blocks that stay, from 0: those named, from 1, or as many, spread from the first to the last."""
    numbers = blocks if not isinstance(blocks, int) else np.rint(np.linspace(1, count, blocks)).astype(int).tolist()
    if len(numbers) > count or max(numbers) > count or len(set(numbers)) < len(numbers):
        raise TaskError("P-TASK-148", given=blocks, side=side, most=count)
    return [number - 1 for number in numbers]


def shorter(config: Any, kept: dict[str, list[int]]) -> Any:
    """The config of a network with these blocks alone."""
    found: dict[str, Any] = {f"{side}_layers": len(numbers) for side, numbers in kept.items()}
    if getattr(config, "window_layers", ()):
        (numbers,) = kept.values()
        local = tuple(new for new, old in enumerate(numbers) if config.local(old))
        found |= {"window_layers": local, "window": config.window if local else None}
    return dataclasses.replace(config, **found)


def moved(tensors: dict[str, Any], kept: dict[str, list[int]]) -> dict[str, Any]:
    """The tensors of the blocks that stay under their new numbers, and all that is in no block."""
    found = {}
    for name, tensor in tensors.items():
        block = BLOCK.fullmatch(name)
        if block is None:
            found[name] = tensor
        elif (number := int(block[2])) in kept[block[1]]:
            found[f"{block[1]}.blocks.{kept[block[1]].index(number)}.{block[3]}"] = tensor
    return found
