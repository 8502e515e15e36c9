"""The stage `export`: a model in the forms of other runtimes, each with the proof that it answers the same."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import ModelError, PenjingError, raise_all
from penjing.base.messages.message import Both
from penjing.base.options import Choices

NONE = Both("none", "无")


def export(
    out: Path,
    *,
    model: Annotated[Path, Field(description="a run, a finetune step or a model folder")],
    to: Annotated[
        Choices,
        Field(description="hf, half, peft, onnx, onnx_int8, gguf or ctranslate2; several with commas, or a list"),
    ],
    data: Annotated[
        Path | None, Field(description="a clean step: answers and scores are compared on its records")
    ] = None,
    split: Annotated[Literal["test", "valid"], Field(description="the split that is compared on")] = "test",
    most: Annotated[int, Field(ge=1, description="records that are compared at most, the first ones")] = 2000,
) -> dict[str, Any]:
    """Write a model for other runtimes, each with a round-trip certificate; what fails it is not written."""
    from penjing.evaluate.folding import metrics
    from penjing.evaluate.measuring import chosen_split
    from penjing.export import targets_of
    from penjing.export.certificate import export as one_target
    from penjing.export.certificate import said

    targets, source = targets_of(to), opened(model)
    hindered(targets, source)
    split, records = (None, []) if data is None else chosen_split(data, split)
    before = said(source.model, source.model.generation, records[:most], metrics)
    found: dict[str, Any] = {}
    problems: dict[str, PenjingError] = {}
    for target in targets:
        try:
            found[target.name] = one_target(out / target.name, target, source, before, records[:most], metrics)
        except PenjingError as error:
            problems[target.name] = error
    made = {"split": split, "targets": found}
    if problems and found:
        raise partly(problems, made)
    raise_all(list(problems.values()))
    return made


def partly(problems: Mapping[str, PenjingError], made: dict[str, Any]) -> PenjingError:
    """Some targets failed and left nothing; the others stay, and the message names both. P-EXPORT-048."""
    kept = ", ".join(made["targets"])
    told = [one for error in problems.values() for one in (error, *error.others)]
    error = ModelError("P-EXPORT-048", names=", ".join(problems), kept=kept, others=told)
    error.kept = made
    return error


def opened(path: Path) -> Any:
    """The model to export. Raises P-EXPORT-005 where the path means something else that answers."""
    from penjing.export.target import Source
    from penjing.recipe.models import NETWORKS, kind_in, model_folder
    from penjing.tasks.adapters import is_adapter
    from penjing.tasks.model import Model

    folder = path if is_adapter(path) else model_folder(path, NETWORKS)
    kind = kind_in(folder)
    if kind not in ("", "model", "adapter"):
        raise ModelError("P-EXPORT-005", file=folder, given=kind)
    return Source(folder, Model.load(folder))


def hindered(targets: Any, source: Any) -> None:
    """All targets that cannot hold the model, told before anything is written, with those that can. P-EXPORT-001."""
    from penjing.export import TARGETS, kind_named

    able = [name for name in TARGETS if kind_named(name)().hindrance(source) is None]
    reasons = [(target, target.hindrance(source)) for target in targets]
    raise_all([
        ModelError("P-EXPORT-001", given=target.name, family=source.model.family, task=source.model.task.name,
                   reason=reason, able=", ".join(able) or NONE)
        for target, reason in reasons if reason is not None
    ])  # fmt: skip
    if not all(target.changes for target in targets):
        _ = source.plain  # what cannot be folded is told here


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything runs: targets, what they need, a target twice, options that nothing reads."""
    from penjing.export import targets_of
    from penjing.recipe.learning import no_effect, problems_of

    found: list[PenjingError] = problems_of(lambda: asked(targets_of(options["to"])))
    if options.get("data", "a step") is None:
        usual = {"split": "test", "most": 2000}
        found += no_effect([name for name in usual if options[name] != usual[name]], "data")
    return found


def asked(targets: Any) -> None:
    """Each target once, and the modules it needs are there."""
    from importlib.util import find_spec

    from penjing.base.errors import MachineError, OptionError

    names = [target.name for target in targets]
    raise_all([
        *(OptionError("P-EXPORT-003", given=name) for name in dict.fromkeys(names) if names.count(name) > 1),
        *(MachineError("P-SYSTEM-001", module=module, extra=target.extras[module], what=target.name)
          for target in targets for module in target.extras if find_spec(module) is None),
    ])  # fmt: skip


def choices() -> dict[str, dict[str, Any]]:
    """The options of each target."""
    from penjing.export import TARGETS, kind_named

    return {"to": {name: kind_named(name) for name in TARGETS}}
