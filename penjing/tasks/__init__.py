"""What a network is asked to do. One file per task; pre-training objectives are tasks too.

To add a task: write `tasks/<name>.py` with a class `Task` (see `task.py`) and put its name in TASKS.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from penjing.base.errors import known

if TYPE_CHECKING:
    from penjing.tasks.task import Task

TASKS = ("masked", "causal", "seq2seq", "classify", "chat", "base")  # also the file names


def task_named(name: str, **options: Any) -> Task:
    """The task `name` with its options; an unknown option is an error."""
    from penjing.base.options import check_options

    kind = importlib.import_module(f"penjing.tasks.{known(name, TASKS, 'task')}").Task
    return kind(**check_options(kind, options, f"task {name}"))
