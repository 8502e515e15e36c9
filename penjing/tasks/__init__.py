"""What a network is asked to do. One file per task; pre-training objectives are tasks too.

To add a task: write `tasks/<name>.py` with a class `Task` (see `task.py`) and put its name in TASKS.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from penjing.base.errors import known

if TYPE_CHECKING:
    from penjing.tasks.task import Task

OBJECTIVES = ("masked", "causal", "contrast", "next_sentence", "denoise", "replaced")  # learnt from raw text alone
USES = (
    "classify",
    "regress",
    "tag",
    "span",
    "embed",
    "chat",
    "preference",
    "reward",
    "seq2seq",
)  # learnt from records that hold the answers
AROUND = ("distil",)  # tasks around one of these
TASKS = (*OBJECTIVES, *USES, *AROUND, "base")  # also the file names


def task_named(name: str, **options: Any) -> Task:
    """The task `name` with its options; an unknown option is an error."""
    from penjing.base.options import check_options

    kind = kind_of_task(name)
    return kind(**check_options(kind, options, f"task {name}"))


def kind_of_task(name: str) -> type[Task]:
    """The class of the task `name`."""
    return importlib.import_module(f"penjing.tasks.{known(name, TASKS, 'task')}").Task


def said_of(kind: type[Task]) -> Callable[..., Any]:
    """Whose signature holds what a user may say of a task: `made`, if it names options, else the task itself."""
    named = inspect.signature(kind.made).parameters.values()
    return kind.made if any(one.kind is inspect.Parameter.KEYWORD_ONLY for one in named) else kind


def made_task(name: str, records: Sequence[Mapping[str, Any]], options: Mapping[str, Any]) -> Task:
    """The task `name` for training records, with what a user says of it; an unknown option is an error."""
    from penjing.base.options import check_options

    kind = kind_of_task(name)
    return kind.made(records, **check_options(said_of(kind), options, f"task {name}"))


def task_choice(choice: Any, names: Sequence[str]) -> tuple[type[Task], dict[str, Any]]:
    """The class of the task that a choice names and what is said of it; of a task around a task the class for that one."""
    from penjing.base.options import check_options, chosen

    name, said = chosen(choice, (*names, *AROUND), "task")
    kind = kind_of_task(name)
    check_options(said_of(kind), said, f"task {name}", needed=False)
    return kind.around(said, names), said


def check_family(name: str, family: str) -> None:
    """A task is for families that store a network for its purpose; P-TASK-100 says which, and what else this one can."""
    from penjing.base.errors import TaskError
    from penjing.model.families import FAMILIES, family_of

    can = {one: {purpose for table in family_of(one).architectures.values() for purpose in table} for one in FAMILIES}
    purpose, own = kind_of_task(name).purpose, can[family_of(family).name]
    if purpose not in own:
        fits = [one for one in (*OBJECTIVES, *USES) if kind_of_task(one).purpose in own]
        families = [one for one in FAMILIES if purpose in can[one]]
        raise TaskError("P-TASK-100", task=name, given=family, fits=", ".join(fits), families=", ".join(families))
