"""What an answer is worth. One file per reward.

To add a reward: write `rewards/<name>.py` with a class `Reward` (see `reward.py`) and put its name in REWARDS.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.base.errors import known
from penjing.base.options import Choice, check_options, chosen, with_paths

if TYPE_CHECKING:
    from penjing.train.rewards.reward import Reward

REWARDS = ("exact", "regex", "json_schema", "arithmetic", "classifier", "model", "function")  # also the file names


def kind_of_reward(name: str) -> type[Reward]:
    """The class of the reward `name`."""
    return importlib.import_module(f"penjing.train.rewards.{known(name, REWARDS, 'reward')}").Reward


def rewards_of(said: Choice | Sequence[Choice]) -> list[Reward]:
    """What a user says, one choice or a list: `exact`, or `[exact, {regex: {pattern: "[0-9]+", weight: 0.2}}]`."""
    found = []
    for name, options in (chosen(one, REWARDS, "reward") for one in listed(spelled(said))):
        kind = kind_of_reward(name)
        found.append(kind(**check_options(kind, options, f"reward {name}")))
    return found


def spelled(said: Any) -> Any:
    """The same with `place/file.py:name` written out as the reward `function`, and its files as paths."""
    if isinstance(said, list):
        return [spelled(one) for one in said]
    if isinstance(said, str) and ".py:" in said:
        file, _, name = said.rpartition(":")
        return {"function": {"file": Path(file), "name": name}}
    return with_paths(said)


def listed(said: Any) -> list[Any]:
    """One choice or several as a list."""
    return list(said) if isinstance(said, list | tuple) else [said]
