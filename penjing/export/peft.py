"""An adapter alone in PEFT's form: the model's only change and its head, for the base that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from penjing.base.messages.message import Both
from penjing.changes.peft import CONFIG
from penjing.export import target
from penjing.export.target import Source
from penjing.tasks.adapters import base_of, model_of_adapter, portable, save_adapter
from penjing.tasks.model import Model

NO_CHANGE = Both("it has no change, so no adapter", "它没有改动，也就没有适配器")
UNFIT = Both("PEFT's form holds one change of lora, ia3, prefix, prompt or ptuning",
             "PEFT 格式只能保存一个改动：lora、ia3、prefix、prompt 或 ptuning")  # fmt: skip
NO_BASE = Both("nobody says which base its adapter stands on (a finetune step has it in adapter/)",
               "没有说明适配器所依附的基础模型（finetune 步骤把它写在 adapter/ 中）")  # fmt: skip
LOST = Both("without the base model {base} it is nothing", "离开基础模型 {base} 便无法使用")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Target(target.Target):
    """The base stays where it is; nothing is folded."""

    name: ClassVar[str] = "peft"
    runtimes: ClassVar[str] = "PEFT, vLLM, Penjing"
    changes: ClassVar[bool] = True

    def hindrance(self, source: Source) -> Both | None:
        if not source.model.changes:
            return NO_CHANGE
        if not portable(source.model):
            return UNFIT
        return None if base(source) else NO_BASE

    def write(self, source: Source, folder: Path) -> None:
        found = base(source)
        save_adapter(
            source.model, folder, os.path.relpath(found, folder.resolve()) if isinstance(found, Path) else found
        )
        source.model.tokenizer.save(folder, typed=source.model.typed)

    def read(self, folder: Path, source: Source) -> Model:
        return model_of_adapter(folder).eval()

    def generation(self, folder: Path) -> Mapping[str, Any]:
        return model_of_adapter(folder).generation

    def lost(self, source: Source) -> list[Both]:
        return [Both(*(text.format(base=base(source)) for text in LOST))]


def base(source: Source) -> Path | str | None:
    """The base that the adapter beside the model names."""
    places = (source.folder, source.folder.parent / "adapter", source.folder / "adapter")
    found = next((place for place in places if (place / CONFIG).exists()), None)
    return None if found is None else base_of(found)
