"""The classical models of the certificate, fitted on the same split as the Transformer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.progress import tell
from penjing.evaluate.fitting import fit_linear
from penjing.evaluate.linear import KINDS, LinearModel, text_of
from penjing.evaluate.targets import has_several, targets_of

Records = Sequence[Mapping[str, Any]]


def fit_baselines(
    train: Records,
    valid: Records | None = None,
    labels: Sequence[str] = (),
    names: Sequence[str] = KINDS,
    *,
    seed: int = 0,
) -> dict[str, LinearModel]:
    """One fitted model per name; `.facts` has seconds, features, strength. `valid` only chooses the strength."""
    several = has_several(train)
    targets = targets_of(train, labels, several)
    texts = [text_of(record) for record in train]
    held = None
    if valid:
        truth = targets_of(valid, labels, several)
        held = [text_of(record) for record in valid], truth
    fitted = {}
    for done, name in enumerate(names):
        tell("begin", "baselines", name, done=done, total=len(names))
        fitted[name] = fit_linear(name, texts, targets, labels, valid=held, seed=seed)  # type: ignore[arg-type]
        tell("step", "baselines", name, done=done + 1, total=len(names), seconds=fitted[name].facts["seconds"])
    tell("end", "baselines")
    return fitted


def save_baselines(out: str | Path, models: Mapping[str, LinearModel]) -> dict[str, Path]:
    """Each as `out`/baselines/<name>/; the folders by name."""
    folders = {name: Path(out) / "baselines" / name for name in models}
    for name, model in models.items():
        model.save(folders[name])
    return folders


def load_baselines(folder: str | Path) -> dict[str, LinearModel]:
    """The baselines saved in `folder`/baselines/, in the order of KINDS."""
    found = {path.parent.name for path in (Path(folder) / "baselines").glob("*/linear.json")}
    order = [name for name in KINDS if name in found] + sorted(found - set(KINDS))
    return {name: LinearModel.load(Path(folder) / "baselines" / name) for name in order}
