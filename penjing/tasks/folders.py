"""What a model folder says of itself: in penjing.json, or, written by others, in its config."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.base.errors import FileError
from penjing.base.files import read_json
from penjing.tasks.tag import of_others

if TYPE_CHECKING:
    from penjing.model.checkpoint import Checkpoint

KIND = "penjing.json"


def about_model(folder: Path) -> dict[str, Any]:
    """What penjing.json says; it must name a task."""
    about = read_json(folder / KIND, dict)
    if not isinstance(about.get("task"), dict) or "task" not in about["task"]:
        raise FileError("P-FILE-004", path=folder / KIND, reason="it does not say which task the model is for")
    return about


def recorded_changes(folder: Path) -> list[Any]:
    """The records of the changes that its network has."""
    about = read_json(folder / KIND, dict) if (folder / KIND).exists() else {}
    return about.get("changes", [])


def foreign_model(folder: Path, found: Checkpoint) -> dict[str, Any]:
    """What penjing.json would say of a folder that others wrote."""
    from penjing.tasks.sentence_folders import is_sentence_folder, read_sentence_folder
    from penjing.tasks.writing import asked_by

    if found.purpose == "seq2seq":
        return {"task": {"task": "seq2seq", **asked_by(found.generation)}}
    if found.purpose != "base" or not is_sentence_folder(folder):
        return {"task": foreign_task(found.foreign, found.purpose)}
    options, longest = read_sentence_folder(folder)
    return {"task": {"task": "embed", **options}, "window": longest, "long_text": "head"}  # as they read long texts


def foreign_task(config: dict[str, Any], purpose: str) -> dict[str, Any]:
    """The task of a folder that others wrote, from its config."""
    if purpose in ("classify", "tag"):
        labels = [config["id2label"][key] for key in sorted(config["id2label"], key=int)]
        if purpose == "tag":
            return of_others(labels)
        kind = config.get("problem_type")
        if kind == "regression" or len(labels) == 1:  # what transformers takes one label for
            return {"task": "regress"}
        return {"task": "classify", "labels": labels, "several": kind == "multi_label_classification"}
    return {"task": purpose}  # of the others, one task each
