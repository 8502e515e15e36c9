"""What the stages that make data share: the files that are named for each split, and the shares split off train."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from penjing.base.errors import DataError

Files = str | list[str] | None


def paths(folder: Path, patterns: Mapping[str, Files]) -> dict[str, list[Path]]:
    """The files of each split that is named."""
    several = {split: [names] if isinstance(names, str) else names or [] for split, names in patterns.items()}
    return {split: [Path(folder) / name for name in names] for split, names in several.items() if names}


def named_files(options: Mapping[str, Any], splits: Sequence[str]) -> list[Path]:
    """The files that will be read; none while the folder is a step that is not made yet."""
    from penjing.base.records import files_of

    named = paths(options["folder"], {s: options.get(s) for s in splits}) if "folder" in options else {}
    return [file for several in named.values() for path in several for file in files_of(path)]


def checked_shares(
    patterns: Mapping[str, Files], valid_share: float | None, test_share: float, usual: float = 0.05
) -> dict[str, float]:
    """The shares to split off train, `usual` for valid where no valid file is named; one without effect is an error."""
    if not patterns.get("train") and not patterns.get("raw"):
        raise DataError("P-DATA-024")
    for name, share in (("valid", valid_share), ("test", test_share)):
        if share and patterns[name]:
            raise DataError("P-DATA-025", name=name)
    if valid_share is None:
        valid_share = 0.0 if patterns["valid"] else usual
    if valid_share + test_share >= 1:
        raise DataError("P-DATA-026", given=valid_share + test_share)
    return {"valid_share": valid_share, "test_share": test_share}
