"""Find the model that a path means: a run, a finetune step, a model folder, a saved baseline, or a model on the hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.base.errors import FileError, RecipeError
from penjing.base.files import read_json
from penjing.base.hub import local_folder
from penjing.recipe.folder import followed
from penjing.recipe.manifest import read_manifest
from penjing.recipe.runner import RUN

if TYPE_CHECKING:
    from penjing.tasks.task import Task

ABOUT = "penjing.json"
NETWORKS = ("finetune", "ensemble", "merge", "shrink", "compress")  # stages that make one
MODELS = (*NETWORKS, "distil_linear")  # stages that make whatever answers


def load_answerer(path: str | Path) -> Any:
    """An object with `answer(texts) -> list of dicts`, by the kind that its penjing.json gives."""
    from penjing.evaluate.ensemble import load_candidate

    return load_candidate(model_folder(path))


def task_of(answerer: Any) -> Task:
    """The task that something answers: a linear model's and an ensemble's is classification."""
    from penjing.tasks import task_named

    found = getattr(answerer, "task", None)
    return found or task_named("classify", labels=answerer.labels, several=answerer.several)


def kind_in(folder: Path) -> str:
    """The kind of what a folder holds, "" if it does not say."""
    about = read_json(folder / ABOUT) if (folder / ABOUT).exists() else {}
    return str(about.get("kind", "")) if isinstance(about, dict) else ""


def model_folder(path: str | Path, stages: Sequence[str] = MODELS) -> Path:
    """The folder with the weights that `path` means. Raises P-RECIPE-020 when there is none.

    stages: of a run, the last step that one of these made.
    """
    folder = followed(Path(path))
    folder = followed(folder if folder.exists() else local_folder(path))
    if (folder / RUN).exists():
        folder = last_made(folder, stages)
    if not (folder / ABOUT).exists() and not (folder / "config.json").exists() and (folder / "model").is_dir():
        folder = folder / "model"
    if not any((folder / name).exists() for name in (ABOUT, "config.json")):
        raise RecipeError("P-RECIPE-020", path=path)
    return folder


def last_made(run: Path, stages: Sequence[str]) -> Path:
    """The last step of a run that one of these stages has made."""
    try:
        steps = [step["folder"] for step in read_json(run / RUN)["steps"].values() if step["stage"] in stages]
    except (FileError, KeyError, TypeError, AttributeError) as error:
        raise RecipeError("P-RECIPE-014", path=run) from error
    if not steps or not read_manifest(run / steps[-1]):
        raise RecipeError("P-RECIPE-020", path=run)
    return run / steps[-1]
