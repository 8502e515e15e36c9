"""Stage `dialogues`: conversations of any known form become one form, split without the same questions on both sides."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import DataError, PenjingError
from penjing.recipe.named_files import Files, checked_shares, named_files, paths

if TYPE_CHECKING:
    from penjing.text.gathering import Gathered

SPLITS = ("test", "valid", "train")


def dialogues(
    out: Path,
    *,
    folder: Annotated[Path, Field(description="folder that the file names count from")] = Path("."),
    train: Annotated[Files, Field(description="files of training conversations: names, folders or patterns")] = None,
    valid: Annotated[Files, Field(description="files of validation conversations")] = None,
    test: Annotated[Files, Field(description="files of test conversations; none is dropped as a duplicate")] = None,
    columns: Annotated[
        dict[str, str] | None, Field(description="our field: your column, such as question: text, answer: label")
    ] = None,
    system: Annotated[
        str | None, Field(description="what the system says first in conversations where it says nothing")
    ] = None,
    empty: Annotated[
        Literal["error", "drop"], Field(description="conversations without an answer, or with an empty one")
    ] = "error",
    duplicates: Annotated[
        Literal["drop", "keep"], Field(description="training conversations that are equal to another, word by word")
    ] = "drop",
    near_threshold: Annotated[
        float, Field(gt=0, le=1, description="Jaccard similarity from which two questions are the same to the split")
    ] = 0.7,
    valid_share: Annotated[
        float | None, Field(ge=0, lt=1, description="share of train split off; 0.05 when no valid file is given")
    ] = None,
    test_share: Annotated[float, Field(ge=0, lt=1, description="share of train split off as test")] = 0.0,
    seed: Annotated[int, Field(ge=0, description="of the split")] = 0,
) -> dict[str, Any]:
    """Write train, valid and test .jsonl (messages, tools, text) and dialogues.json into `out`; returns the counts."""
    from penjing.base.files import write_json
    from penjing.base.progress import tell
    from penjing.base.records import write_records
    from penjing.text.gathering import gather, shared_out

    patterns = {"test": test, "valid": valid, "train": train}
    shares = checked_shares(patterns, valid_share, test_share)
    tell("begin", "dialogues")
    found = gather(paths(folder, patterns), columns or {}, system, drop_empty=empty == "drop")
    decision = shared_out(found, near_threshold, drop=duplicates == "drop", seed=seed, **shares)
    for code, split in enumerate(SPLITS):
        if any(decision.split == code):
            write_records(out / f"{split}.jsonl", (found.records[i] for i in (decision.split == code).nonzero()[0]))
    report = report_of(found, decision)
    write_json(out / "dialogues.json", report)
    if not report["kept"].get("train"):
        raise DataError("P-DATA-027", split="train", count=sum(found.read.values()))
    tell("end", "dialogues", **report)
    return {name: report[name] for name in ("read", "kept", "forms", "empty", "duplicates") if report[name]}


def inputs(options: dict[str, Any]) -> list[Path]:
    """The files that will be read."""
    return named_files(options, SPLITS)


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything is read: files, shares, names of columns."""
    from penjing.recipe.learning import problems_of
    from penjing.text.gathering import check_columns

    patterns = {split: options.get(split) for split in SPLITS}
    return problems_of(
        lambda: checked_shares(patterns, options.get("valid_share"), options.get("test_share") or 0.0),
        lambda: check_columns(options.get("columns") or {}),
        lambda: inputs(options),
    )


def report_of(found: Gathered, decision: Any) -> dict[str, Any]:
    """What was read, what was kept, and what the conversations are like."""
    import numpy as np

    kept = {split: int((decision.split == code).sum()) for code, split in enumerate(SPLITS)}
    gone = {name: len(which) for name, which in decision.found.items() if len(which) and "label" not in name}
    facts = {}
    for code, split in enumerate(SPLITS):
        here = [found.records[i] for i in np.flatnonzero(decision.split == code)]
        said = [one for record in here for one in record["messages"] if one["role"] == "assistant"]
        if here:
            facts[split] = {
                "conversations": len(here),
                "messages": sum(len(record["messages"]) for record in here),
                "answers": len(said),
                "calls": sum(len(one.get("tool_calls") or ()) for one in said),
                "with_tools": sum("tools" in record for record in here),
                "characters": sum(len(record["text"]) for record in here),
            }
    return {"read": dict(found.read), "kept": {split: count for split, count in kept.items() if count},
            "forms": dict(found.forms), "empty": dict(found.empty), "duplicates": gone, "splits": facts}  # fmt: skip
