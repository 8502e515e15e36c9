"""How rewards move a network. One file per method of reinforcement.

To add a method: write `methods/<name>.py` with a class `Method` (see `method.py`) and put its name in METHODS.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from penjing.base.errors import known, raise_all
from penjing.base.options import Choice, check_options, chosen

if TYPE_CHECKING:
    from penjing.train.methods.method import Method

METHODS = ("grpo", "rloo")  # also the file names


def kind_of_method(name: str) -> type[Method]:
    """The class of the method `name`."""
    return importlib.import_module(f"penjing.train.methods.{known(name, METHODS, 'method')}").Method


def method_of(said: Choice) -> Method:
    """What a user says: `grpo`, or `{grpo: {kl: 0.01}}`."""
    name, options = chosen(said, METHODS, "method")
    kind = kind_of_method(name)
    method = kind(**check_options(kind, options, f"method {name}"))
    raise_all(method.problems())
    return method
