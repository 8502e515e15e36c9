"""The stage `pairs`: texts and their translations or summaries, read in any form, cleaned, split, cut down or joined."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from penjing.base.errors import DataError, PenjingError


def pairs(
    out: Path,
    *,
    folder: Annotated[Path, Field(description="holds train.*, valid.*, test.*: JSON lines, TSV, or two files each")],
    train: Annotated[str | None, Field(description="file of training pairs; left out: train.*")] = None,
    valid: Annotated[str | None, Field(description="file of validation pairs; left out: valid.*")] = None,
    test: Annotated[str | None, Field(description="file of test pairs; left out: test.*")] = None,
    columns: Annotated[
        dict[str, str] | None, Field(description="our field: your column; fields: source, target, document, summary")
    ] = None,
    languages: Annotated[
        str | None,
        Field(pattern=r"^[A-Za-z_]+-[A-Za-z_]+$", description="source and target, as en-de; turns pairs round"),
    ] = None,
    most: Annotated[int | None, Field(ge=1, description="keep only so many training pairs, drawn by chance")] = None,
    both: Annotated[
        bool, Field(description="learn the other direction too: each training pair also turned round")
    ] = False,
    join: Annotated[Path | None, Field(description="another step of pairs, whose training pairs are added")] = None,
    longest: Annotated[
        int | None, Field(ge=1, description="drop training pairs with a text of more characters")
    ] = None,
    ratio: Annotated[
        float | None, Field(gt=1, description="drop training pairs whose lengths differ so many times more than usual")
    ] = None,
    valid_share: Annotated[float | None, Field(gt=0, lt=1, description="share of train split off as valid")] = None,
    test_share: Annotated[float | None, Field(gt=0, lt=1, description="share of train split off as test")] = None,
    seed: Annotated[int, Field(ge=0, description="of all that is drawn")] = 0,
) -> dict[str, Any]:
    """Write train, valid and test .jsonl of pairs of texts; returns the counts of what was kept and dropped."""
    from penjing.base.files import write_json
    from penjing.base.progress import tell
    from penjing.base.records import write_records
    from penjing.train.pair_data import Reading, cleaned, drawn, joined, split_off, turned, unknown, written

    reading = Reading(folder, {"train": train, "valid": valid, "test": test}, columns, languages)
    found = {split: reading.split(split) for split in ("train", "valid", "test")}
    if not found["train"]:
        raise DataError("P-DATA-052", what=f"{folder} has no train.*")
    kept, dropped = cleaned(found, longest, ratio)
    shares = {name: share for name, share in (("test", test_share), ("valid", valid_share)) if share}
    kept |= split_off(kept["train"], shares, seed)
    if shares:
        whole = len(kept["train"])
        kept["train"] = unknown(kept, kept["train"])
        dropped["in_valid_or_test"] += whole - len(kept["train"])
    kept["train"] = drawn(kept["train"], most, seed)
    if join is not None:
        kept["train"], dropped["joined_in_valid_or_test"] = joined(kept, Reading(join, {}, None, None).split("train"))
    kept["train"] += turned(kept["train"]) if both else []
    if not kept["train"]:
        raise DataError("P-DATA-052", what=f"all {len(found['train'])} of {folder} were dropped")
    for split, records in kept.items():
        if records:
            write_records(out / f"{split}.jsonl", map(written, records))
    counts = {split: len(records) for split, records in kept.items()}
    write_json(out / "pairs.json", {"kept": counts, "dropped": dropped})
    tell("end", "pairs", **counts)
    return counts | {"dropped": dropped}


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything is read: shares without effect, no training pairs."""
    from penjing.recipe.learning import problems_of
    from penjing.train.pair_data import Reading

    found: list[PenjingError] = []
    if "folder" not in options:
        return found
    reading = Reading(options["folder"], {name: options.get(name) for name in ("train", "valid", "test")}, None,
                      options.get("languages"))  # fmt: skip
    for split in ("valid", "test"):
        if options.get(f"{split}_share") and reading.files(split):
            found.append(DataError("P-DATA-025", name=split))

    def there() -> None:
        if not reading.files("train"):
            raise DataError("P-DATA-052", what=f"{options['folder']} has no train.*")

    return found + problems_of(there)
