"""Several models become one: by the mean of their answers, or by the mean of their weights."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from penjing.base.errors import EvaluateError, raise_all
from penjing.base.progress import tell

if TYPE_CHECKING:
    from penjing.tasks.committee import Committee
    from penjing.tasks.model import Model
    from penjing.tasks.task import Task

Way = Literal["average", "soup", "greedy_soup"]
Found = dict[str, Any]


def models_of(paths: Sequence[Path]) -> dict[str, Model]:
    """The models of steps, runs or model folders, by the names of these."""
    from penjing.evaluate.ensemble import load_candidate
    from penjing.recipe.models import NETWORKS, model_folder
    from penjing.tasks.model import Model

    folders = [model_folder(path, NETWORKS).resolve() for path in paths]
    raise_all([EvaluateError("P-EVAL-050", file=path) for number, path in enumerate(paths)
               if folders[number] in folders[:number]])  # fmt: skip
    models = [load_candidate(folder) for folder in folders]
    raise_all([EvaluateError("P-EVAL-049", file=path) for path, model in zip(paths, models, strict=True)
               if not isinstance(model, Model)])  # fmt: skip
    names = [path.name for path in paths]
    unique = [name if names.count(name) == 1 else f"{name} ({n})" for n, name in enumerate(names, 1)]
    return dict(zip(unique, models, strict=True))


def joined(models: Mapping[str, Model], way: Way, valid: Sequence[Any]) -> tuple[Model | Committee, Found]:
    """One model of several, and what is known of it: each member's score on valid, and its own.

    `models` are used up by a soup. valid: records in the task's form; a greedy soup is chosen by them.
    """
    from penjing.tasks.committee import Committee, check_alike
    from penjing.train.soup import check_same

    check_alike(models)
    task, names = next(iter(models.values())).task, list(models)
    valid = some_of(valid, getattr(task, "watch_records", None))
    if way == "average":
        committee = Committee(list(models.values()), {"ensemble": {"way": way, "members": names}})
        scores = [valid_score(model, task, valid) for model in (*models.values(), committee)] if valid else []
        return committee, described(way, task, dict(zip(names, scores, strict=False)), names, names, scores[-1:])
    if way == "greedy_soup" and not valid:
        raise EvaluateError("P-EVAL-046")
    for model in models.values():
        model.changes.fuse(cuts=False)  # of lora's factors: the mean of products is not the product of means
    check_same(models)
    return stirred(models, way, valid)


def stirred(models: Mapping[str, Model], way: Way, valid: Sequence[Any]) -> tuple[Model, Found]:
    """A soup in the first model, and what is known of it."""
    from penjing.train.soup import State, greedy, mean_of, state_of

    names, soup = list(models), next(iter(models.values()))
    task, states = soup.task, [state_of(model) for model in models.values()]

    def score(state: State) -> float:
        soup.load_state_dict(state)
        value = sign_of(task) * valid_score(soup, task, valid)
        return -math.inf if math.isnan(value) else value

    scores = [score(state) for state in states] if valid else []
    chosen = greedy(states, scores, score)[0] if way == "greedy_soup" else list(range(len(states)))
    soup.load_state_dict(mean_of([states[number] for number in chosen]))
    soup.task = task.settled(soup, valid) if valid else task
    kept = [names[number] for number in chosen]
    soup.lineage |= {"ensemble": {"way": way, "members": kept}}
    found = {name: sign_of(task) * value for name, value in zip(names, scores, strict=False)}
    return soup, described(way, task, found, names, kept, [valid_score(soup, task, valid)] if valid else [])


def described(
    way: Way,
    task: Task,
    scores: Mapping[str, float],
    names: Sequence[str],
    chosen: Sequence[str],
    whole: Sequence[float],
) -> Found:
    """The evidence; one that is worse on valid than the best of its members is told aloud. whole: its score, if known."""
    metric, sign = metric_of(task), sign_of(task)
    members = [{"name": name, "chosen": name in chosen} | ({metric: scores[name]} if scores else {}) for name in names]
    found: Found = {"way": way, "task": task.name, "metric": metric, "members": members}
    if not whole:
        if way == "soup":
            text = "no valid records: whether the mean of these weights is worth anything is not known"
            tell("warning", "ensemble", text)
        return found
    best, value = max(names, key=lambda name: sign * scores[name]), whole[0]
    if sign * value < sign * scores[best]:
        text = f"{metric} on valid: {value:.4f}, and member {best} by itself has {scores[best]:.4f}"
        tell("warning", "ensemble", text, value=value, best=best)
    return found | {"valid": {metric: value}, "best_member": best}


def some_of(records: Sequence[Any], most: int | None) -> Sequence[Any]:
    """At most so many records, from all along the file: tasks that write say how many are worth the time."""
    if most is None or len(records) <= most:
        return records
    return [records[number * len(records) // most] for number in range(most)]


def valid_score(model: Any, task: Task, valid: Sequence[Any]) -> float:
    """The score by which members and the whole are set beside one another."""
    return task.score(model.answer(valid), valid)[metric_of(task)]


def metric_of(task: Task) -> str:
    """The main score; of several labels micro-F1, which answering nothing does not earn."""
    return "micro_f1" if getattr(task, "several", False) else task.main_score


def sign_of(task: Task) -> int:
    return -1 if task.main_score in task.lower else 1


def task_records(task: Task, data: Path) -> tuple[list[Any], list[Any]]:
    """The records of train and valid in the task's form, all of them sound."""
    from penjing.recipe.learning import problems_of
    from penjing.train.prepare import records_of

    train, valid = ([task.normal(record) for record in records_of(data, split)] for split in ("train", "valid"))
    raise_all(problems_of(lambda: task.check(train, True), lambda: task.check(valid, True)))
    return train, valid
