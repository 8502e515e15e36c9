"""A plain folder in the Hugging Face layout, float32: transformers, vLLM, sentence-transformers and Penjing read it."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from penjing.base.messages.message import Both
from penjing.export import target
from penjing.export.folder import chained, forgotten, read_folder, write_folder
from penjing.export.target import Source
from penjing.tasks.model import Model


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Target(target.Target):
    """Every family has this form; there is nothing to choose."""

    name: ClassVar[str] = "hf"
    runtimes: ClassVar[str] = "transformers, vLLM, Penjing"

    def hindrance(self, source: Source) -> Both | None:
        return chained(source)

    def write(self, source: Source, folder: Path) -> None:
        write_folder(source, folder)

    def read(self, folder: Path, source: Source) -> Model:
        return read_folder(folder, source)

    def lost(self, source: Source) -> list[Both]:
        return forgotten(source)
