"""The same folder with weights of two bytes."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.messages.message import Both
from penjing.export import target
from penjing.export.folder import chained, forgotten, read_folder, write_folder
from penjing.export.target import Source, rounded
from penjing.tasks.likeness import Limits
from penjing.tasks.model import Model

LOST = Both(
    "weights are {dtype}; it was measured with float32 arithmetic, half-precision arithmetic rounds once more",
    "权重为 {dtype}；测量时用的是 float32 运算，半精度运算还会再舍入一次",
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Target(target.Target):
    """Half the size; scores move by the type's rounding."""

    dtype: Annotated[
        Literal["bfloat16", "float16"],
        Field(description="bfloat16 has the range of float32; float16 is eight times finer and ends at 65504"),
    ] = "bfloat16"

    name: ClassVar[str] = "half"
    runtimes: ClassVar[str] = "transformers, vLLM, Penjing"

    @property
    def type(self) -> torch.dtype:
        return getattr(torch, self.dtype)

    def limits(self) -> Limits:
        return rounded(torch.finfo(self.type).eps / 2)

    def hindrance(self, source: Source) -> Both | None:
        return chained(source)

    def write(self, source: Source, folder: Path) -> None:
        network, head = (
            copy.deepcopy(part).to(self.type)
            for part in (source.plain.network, source.plain.head or torch.nn.Identity())
        )
        write_folder(source, folder, network, None if source.plain.head is None else head)

    def read(self, folder: Path, source: Source) -> Model:
        return read_folder(folder, source).float()

    def lost(self, source: Source) -> list[Both]:
        return [*forgotten(source), Both(*(text.format(dtype=self.dtype) for text in LOST))]
