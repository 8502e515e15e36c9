"""Check every hash of a run or of one step folder again."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penjing.base.errors import FileError, PenjingError, RecipeError
from penjing.base.files import existing, fingerprint, read_json
from penjing.recipe.folder import followed
from penjing.recipe.manifest import MANIFEST, Change, changes, describe_input, read_manifest
from penjing.recipe.runner import RUN


@dataclass
class Verdict:
    """What a check of a run found. `steps` has the number of files looked at in each step."""

    steps: dict[str, int] = field(default_factory=dict)
    problems: list[PenjingError] = field(default_factory=list)
    gone: list[Path] = field(default_factory=list)  # inputs that are no longer where they were

    @property
    def sound(self) -> bool:
        return not self.problems


CODES = {"changed": "P-RECIPE-015", "missing": "P-RECIPE-016", "added": "P-RECIPE-017", "broken": "P-RECIPE-018",
         "failed": "P-RECIPE-062"}  # fmt: skip


def verify(folder: str | Path) -> Verdict:
    """Compare outputs, and inputs that still exist, with the manifests of a run folder or of one step folder."""
    folder = followed(existing(folder))
    verdict = Verdict()
    for name, (step, seal) in step_folders(folder).items():
        found = changes(step) if step.is_dir() else [Change("missing", step)]
        if seal and read_manifest(step) and fingerprint(step / MANIFEST) != seal:
            found.append(Change("changed", step / MANIFEST))
        manifest = read_manifest(step)
        verdict.steps[name] = len(manifest["outputs"]) if manifest else 0
        verdict.problems += [RecipeError(CODES[kind], stage=name, path=path) for kind, path in found]
        if manifest:
            check_inputs(name, step, manifest, verdict)
    return verdict


def step_folders(folder: Path) -> dict[str, tuple[Path, str | None]]:
    """The step folders of a run by name, or the one step folder itself; each with its manifest's hash, where known."""
    if (folder / MANIFEST).exists():
        return {folder.name: (folder, None)}
    try:
        steps = read_json(folder / RUN)["steps"]
        return {name: (folder / step["folder"], step.get("manifest")) for name, step in steps.items()}
    except (FileError, KeyError, TypeError, AttributeError) as error:
        raise RecipeError("P-RECIPE-014", path=folder) from error


def check_inputs(name: str, step: Path, manifest: dict[str, Any], verdict: Verdict) -> None:
    """Each input that is still there must have the bytes that the step read."""
    for entry in manifest.get("inputs", []):
        path = step.parent / entry["path"] if "step" in entry else Path(entry["path"])
        if not path.exists():
            verdict.gone.append(path)
        elif describe_input(path)["sha256"] != entry["sha256"]:
            verdict.problems.append(RecipeError("P-RECIPE-019", stage=name, path=path))
