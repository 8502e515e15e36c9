"""Folders of sentence-transformers: beside the checkpoint they tell how a text's vector is made of its tokens' states.

modules.json lists the steps; ours are Transformer, Pooling (`1_Pooling/config.json`) and Normalize.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from penjing.base.errors import TaskError
from penjing.base.files import read_json, write_json

MODULES, POOLING, LENGTH = "modules.json", "1_Pooling", "sentence_bert_config.json"
ABOUT = "config_sentence_transformers.json"
KINDS = "sentence_transformers.models."  # what their types begin with
FLAGS = {  # theirs: ours
    "pooling_mode_cls_token": "first", "pooling_mode_mean_tokens": "mean", "pooling_mode_max_tokens": "max",
    "pooling_mode_lasttoken": "last",
}  # fmt: skip
WORDS = {"cls": "first", "mean": "mean", "max": "max", "lasttoken": "last"}  # the same since their version 6
STEPS = ("Transformer", "Pooling", "Normalize")


def is_sentence_folder(folder: Path) -> bool:
    """Did sentence-transformers, or somebody for it, write this folder?"""
    return (folder / MODULES).exists()


def read_sentence_folder(folder: Path) -> tuple[dict[str, Any], int | None]:
    """The options pooling and normalise, and the most tokens that are read; what we cannot do is an error."""
    steps = {}
    for module in read_json(folder / MODULES, list):
        kind = str(module.get("type", "")).rpartition(".")[2]
        if kind not in STEPS or kind in steps:
            raise TaskError("P-TASK-092", file=folder / MODULES, given=module.get("type"), known=STEPS)
        steps[kind] = folder / str(module.get("path") or "")
    if "Pooling" not in steps:
        raise TaskError("P-TASK-092", file=folder / MODULES, given=sorted(steps), known=STEPS)
    reading = optional(steps.get("Transformer", folder) / LENGTH)
    told = {
        "do_lower_case": reading.get("do_lower_case"),
        "prompt": optional(folder / ABOUT).get("default_prompt_name"),
    }
    strange = [name for name, value in told.items() if value]
    if strange:
        raise TaskError("P-TASK-092", file=folder, given=", ".join(strange), known=STEPS)
    options = {"pooling": pooling_in(steps["Pooling"] / "config.json"), "normalise": "Normalize" in steps}
    return options, reading.get("max_seq_length")


def optional(file: Path) -> dict[str, Any]:
    """What a file that may be absent says."""
    return read_json(file, dict) if file.exists() else {}


def pooling_in(file: Path) -> str:
    """The one pooling that a config tells."""
    about = read_json(file, dict)
    given = about.get("pooling_mode")
    if given is None:
        given = [name for name, value in about.items() if name.startswith("pooling_mode_") and value]
    names = [given] if isinstance(given, str) else list(given)
    found = {**FLAGS, **WORDS}.get(names[0]) if len(names) == 1 else None
    if found is None:
        raise TaskError("P-TASK-092", file=file, given=", ".join(map(str, names)), known=[*WORDS])
    return found


def write_sentence_folder(folder: Path, pooling: str, normalise: bool, width: int, longest: int) -> None:
    """The files, in the form that old and new versions read."""
    steps = STEPS if normalise else STEPS[:2]
    paths = ("", POOLING, "2_Normalize")
    write_json(folder / MODULES, [
        {"idx": number, "name": str(number), "path": path, "type": KINDS + kind}
        for number, (kind, path) in enumerate(zip(steps, paths, strict=False))
    ])  # fmt: skip
    flags = {name: ours == pooling for name, ours in FLAGS.items()}
    write_json(folder / POOLING / "config.json", {"word_embedding_dimension": width, **flags})
    write_json(folder / LENGTH, {"max_seq_length": longest, "do_lower_case": False})
