"""A prompted model as a folder: how it asks, its examples, and where the model that it asks lies. Nothing is copied of it.

`penjing.json` has the kind `fewshot`, labels, words, the form, the choice and the path of the model, relative to the
folder; `examples.jsonl` has the examples: those in the prompt where it is always the same, else all to choose from.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from penjing.base.errors import EvaluateError, TaskError
from penjing.base.files import read_json, whole_folder, write_json
from penjing.base.records import read_records, write_records
from penjing.tasks.prompted import Prompted
from penjing.tasks.writer import Writer
from penjing.text.prompts import Form
from penjing.text.shots import Chooser, Drawn, Embedded, Given, Nearest

KIND, ABOUT, EXAMPLES = "fewshot", "penjing.json", "examples.jsonl"
DRAWN = ("fixed", "balanced")  # choices in which a seed draws the same examples for all texts

Record = Mapping[str, Any]


def chooser_of(choice: str, pool: Sequence[Record], seed: int = 0, encoder: Any = None) -> Chooser:
    """What chooses among examples; `encoder`: an embed model. Raises P-SHOT-013."""
    if choice in DRAWN:
        return Drawn([str(record["label"]) for record in pool], seed, balanced=choice == "balanced")
    if choice == "nearest":
        return Nearest(pool)
    task = getattr(encoder, "task", None)
    if not hasattr(task, "vectors"):
        raise TaskError("P-SHOT-013", name="encoder", task=getattr(task, "name", "classify"), needs="embed")
    return Embedded(pool, partial(vectors, encoder))


def vectors(encoder: Any, texts: Sequence[str]) -> Any:
    """The vectors of texts."""
    return encoder.task.vectors(encoder, list(texts))


def save_prompted(folder: Path, prompted: Prompted, choice: str, model: Path, encoder: Path | None = None) -> None:
    """Write the folder; `model` and `encoder` are where these lie."""
    always = choice in DRAWN
    numbers = prompted.chooser.choose([{}], prompted.shots)[0] if always and prompted.chooser else ()
    kept = [prompted.examples[number] for number in numbers] if always else prompted.examples
    about = {
        "kind": KIND, "labels": prompted.labels, "several": False, "model": between(folder, model),
        "encoder": None if encoder is None else between(folder, encoder), "choice": "given" if always else choice,
        "form": dataclasses.asdict(prompted.form), "shots": prompted.shots, "chat": prompted.chat,
        "words": dict(zip(prompted.labels, prompted.words.words, strict=True)),
        "calibration": prompted.calibration, "normalise": prompted.normalise,
    }  # fmt: skip
    with whole_folder(folder) as part:
        write_json(part / ABOUT, about)
        write_records(part / EXAMPLES, kept)


def between(folder: Path, other: Path) -> str:
    """The way from a folder to another."""
    return Path(os.path.relpath(other.resolve(), folder.resolve())).as_posix()


def load_prompted(folder: Path) -> Prompted:
    """What `save_prompted` wrote. Raises P-EVAL-008 where the model moved away, -003 where the file is broken."""
    from penjing.evaluate.ensemble import load_candidate

    about = read_json(folder / ABOUT, dict)
    try:
        for name in ("model", "encoder"):
            if about[name] is not None and not (folder / about[name]).exists():
                raise EvaluateError("P-EVAL-008", folder=folder, absent=about[name])
        pool = list(read_records(folder / EXAMPLES)) if (folder / EXAMPLES).stat().st_size else []
        encoder = None if about["encoder"] is None else load_candidate(folder / about["encoder"])
        chooser = Given() if about["choice"] == "given" else chooser_of(about["choice"], pool, encoder=encoder)
        return Prompted(
            Writer.load(folder / about["model"]), about["labels"], Form(**about["form"]), pool, chooser, shots=about["shots"],
            words=about["words"], calibration=about["calibration"], normalise=about["normalise"], chat=about["chat"],
        )  # fmt: skip
    except (KeyError, TypeError, OSError) as error:
        raise EvaluateError("P-EVAL-003", file=folder / ABOUT, reason=error) from error
