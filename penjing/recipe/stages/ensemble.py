"""The stage `ensemble`: several fine-tuned models of one task become one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import EvaluateError, PenjingError


def ensemble(
    out: Path,
    *,
    members: Annotated[list[Path], Field(description="finetune steps or model folders of the same task and labels")],
    way: Annotated[
        Literal["average", "soup", "greedy_soup"],
        Field(description="mean of the answers; mean of all weights; of those weights that help on valid"),
    ] = "average",
    data: Annotated[
        Path | None, Field(description="a clean step: its train and valid records measure it; left out: unmeasured")
    ] = None,
    baselines: Annotated[bool, Field(description="with data: fit the classical models it must beat")] = True,
    seed: Annotated[int, Field(ge=0, description="all chance follows from it")] = 0,
) -> dict[str, Any]:
    """Make one model of several: averaged answers, or averaged weights; and set it beside classical models."""
    from penjing.base.files import write_json
    from penjing.recipe.joining import joined, models_of, task_records

    models = models_of(members)
    task = next(iter(models.values())).task
    train, valid = task_records(task, data) if data is not None else ([], [])
    made, found = joined(models, way, valid)
    made.save(out / "model")
    write_json(out / "members.json", found)
    summary = {"task": task.name, "members": len(models), "chosen": sum(one["chosen"] for one in found["members"])}
    summary |= {name: found[name] for name in ("valid", "best_member") if name in found}
    summary |= {"parameters": sum(p.numel() for p in made.parameters())}
    if train and baselines:
        from penjing.evaluate.candidates import fit_and_save

        summary["baselines"] = fit_and_save(out, made.task, train, valid, seed=seed)
    return summary


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything runs: too few members, and nothing to choose by."""
    found: list[PenjingError] = []
    if len(options.get("members", ("a step", "another"))) < 2:
        found.append(EvaluateError("P-EVAL-045", count=len(options["members"])))
    if options["way"] == "greedy_soup" and options.get("data", "a step") is None:
        found.append(EvaluateError("P-EVAL-046"))
    return found
