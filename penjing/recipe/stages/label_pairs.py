"""Stage `label_pairs`: few records with labels become many pairs, from which sentence vectors learn what is alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from penjing.base.errors import TrainError


def label_pairs(
    out: Path,
    *,
    data: Annotated[Path, Field(description="a clean step, or a folder with train and perhaps valid and test files")],
    times: Annotated[
        int, Field(ge=1, description="for each text so many others of its label, and as many of other labels")
    ] = 20,
    seed: Annotated[int, Field(ge=0, description="of the pairs")] = 0,
) -> dict[str, Any]:
    """Write train.jsonl, and valid and test where there are any, of scored pairs for the task embed; returns their counts."""
    import numpy as np

    from penjing.base.progress import tell
    from penjing.base.records import write_records
    from penjing.text.label_pairs import label_pairs as paired
    from penjing.train.prepare import records_of

    counts: dict[str, Any] = {}
    for number, split in enumerate(("train", "valid", "test")):
        records = records_of(data, split)
        if split == "train" and not records:
            raise TrainError("P-TRAIN-003", what=f"{data}/train.jsonl")
        if records:
            pairs = paired(
                records, times if split == "train" else 1, np.random.Generator(np.random.PCG64([seed, number]))
            )
            counts[split] = write_records(out / f"{split}.jsonl", pairs)
    tell("end", "label_pairs", **counts)
    return counts
