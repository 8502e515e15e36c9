"""Penjing: small language models you can trust.

import penjing
penjing.clean("folder", train="train.csv")    # every stage is a function: it fills a folder, returns a summary
model = penjing.Model.load("runs/quickstart/finetune/model")
model.answer(["where is my parcel?"])
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penjing.recipe.advising import advise as advise
    from penjing.recipe.stages.back_translate import back_translate as back_translate
    from penjing.recipe.stages.clean import clean as clean
    from penjing.recipe.stages.compress import compress as compress
    from penjing.recipe.stages.distil_linear import distil_linear as distil_linear
    from penjing.recipe.stages.ensemble import ensemble as ensemble
    from penjing.recipe.stages.evaluate import evaluate as evaluate
    from penjing.recipe.stages.export import export as export
    from penjing.recipe.stages.fewshot import fewshot as fewshot
    from penjing.recipe.stages.finetune import finetune as finetune
    from penjing.recipe.stages.label_pairs import label_pairs as label_pairs
    from penjing.recipe.stages.merge import merge as merge
    from penjing.recipe.stages.pretrain import pretrain as pretrain
    from penjing.recipe.stages.reinforce import reinforce as reinforce
    from penjing.recipe.stages.report import report as report
    from penjing.recipe.stages.shrink import shrink as shrink
    from penjing.recipe.stages.tokenizer import tokenizer as tokenizer
    from penjing.tasks.model import Model as Model
    from penjing.tasks.writer import Writer as Writer

__version__ = "0.1.0"

_STAGES = (
    "clean", "back_translate", "label_pairs", "tokenizer", "pretrain", "finetune", "ensemble", "merge", "shrink", "compress",
    "distil_linear", "evaluate", "reinforce", "fewshot", "export", "report",
)  # fmt: skip
__all__ = ["Model", "Writer", "__version__", "advise", *_STAGES]


class _StageFolder(ModuleType):
    """A folder of Penjing that has a stage's name (`penjing.evaluate`): calling it runs the stage."""

    def __call__(self, out: Any, **options: Any) -> dict[str, Any]:
        return _stage(self.__name__.rpartition(".")[2])(out, **options)


class _Package(ModuleType):
    """Penjing itself. When a folder with a stage's name is imported, it is made callable."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _STAGES and isinstance(value, ModuleType):
            value.__class__ = _StageFolder
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def _stage(name: str) -> Any:
    from penjing.recipe.call import as_function
    from penjing.recipe.stages import BUILT_IN

    return as_function(BUILT_IN[name])


def __getattr__(name: str) -> Any:
    """`Model`, `Writer`, `advise` and the stages, imported when they are first used."""
    if name == "Model":
        from penjing.tasks.model import Model

        return Model
    if name == "Writer":
        from penjing.tasks.writer import Writer

        return Writer
    if name == "advise":
        from penjing.recipe.advising import advise

        return advise
    if name in _STAGES:
        return _stage(name)
    raise AttributeError(f"module 'penjing' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
