"""Stage `clean`: the user's files become records of one form: clean, split, without duplicates, with a report of all."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import DataError, PenjingError, TrainError, raise_all
from penjing.base.files import write_json
from penjing.base.options import Choice
from penjing.base.progress import tell

if TYPE_CHECKING:
    from penjing.text.corpus import Corpus
    from penjing.text.kind import Kind
    from penjing.text.splits import Decision

Files = str | list[str] | None
VALID_SHARE = 0.1  # split off train where no valid file is given
SMALL = 4 << 20  # bytes that one process cleans faster than several start


def clean(
    out: Path,
    *,
    folder: Annotated[Path, Field(description="folder that the file names count from")] = Path("."),
    records: Annotated[
        Choice,
        Field(
            description="what a record is: texts, tags, pairs, dialogues or preferences; "
            "'{texts: {personal: mask}}' with options"
        ),
    ] = "texts",
    train: Annotated[
        Files, Field(description="files of training records: names, folders or patterns; if no split is named: train.*")
    ] = None,
    valid: Annotated[Files, Field(description="files of validation records; if no split is named: valid.*")] = None,
    test: Annotated[
        Files, Field(description="files of test records, none of them ever dropped as a duplicate; likewise test.*")
    ] = None,
    raw: Annotated[Files, Field(description="files of text for pre-training, beside records that are texts")] = None,
    join: Annotated[
        Path | None,
        Field(description="another step of such records: its training records are added, if not in valid or test"),
    ] = None,
    columns: Annotated[dict[str, str] | None, Field(description="our field: your column")] = None,
    encoding: Annotated[str, Field(description="auto (detected and told), or a name such as gb18030")] = "auto",
    empty: Annotated[
        Literal["error", "drop"] | None,
        Field(description="records without what is to be learnt; left out: drop for pairs, else error"),
    ] = None,
    valid_share: Annotated[
        float | None,
        Field(ge=0, lt=1, description="share of train split off as valid; 0.1 when no valid file is given"),
    ] = None,
    test_share: Annotated[
        float, Field(ge=0, lt=1, description="share of train split off as test when no test file is given")
    ] = 0.0,
    most: Annotated[int | None, Field(ge=1, description="keep only so many training records, drawn by chance")] = None,
    seed: Annotated[int, Field(ge=0, description="of the split, and of all that is drawn")] = 0,
    exact_duplicates: Annotated[
        bool | None, Field(description="drop equal records within train and within raw; left out: not of tags")
    ] = None,
    near_duplicates: Annotated[
        bool | None, Field(description="drop near duplicates with the same label too; left out: only of texts")
    ] = None,
    near_threshold: Annotated[float, Field(gt=0, le=1, description="Jaccard similarity of a near duplicate")] = 0.7,
    across_splits: Annotated[
        Literal["drop", "equal", "report"] | None,
        Field(
            description="training records that duplicate valid or test: drop equal and near ones, only equal ones, or none; "
            "left out: drop for texts and dialogues, equal for tags and pairs"
        ),
    ] = None,
    workers: Annotated[int | None, Field(ge=1, description="processes; by size and cores when not given")] = None,
) -> dict[str, Any]:
    """Write train, valid, test and raw .jsonl and clean.json into `out`; returns the counts."""
    options = dict(locals())
    from penjing.text import corpus as passes
    from penjing.text.splits import decide

    kind, ways, files = opened(options)
    kind.check(files)
    shares = checked_shares(files, valid_share, test_share)
    raise_all(without_effect(options, files))
    workers = workers or suitable_workers(all_files(files))
    tell("begin", "clean", workers=workers)
    corpus, read, tallies = passes.cleaned(out, kind, files, workers)
    decision = decide(
        passes.clusters_of(corpus, near_threshold),
        exact=ways["exact_duplicates"],
        near=ways["near_duplicates"],
        across=ways["across_splits"],
        most=most,
        seed=seed,
        **shares,
    )
    return written(corpus, decision, read + kind.empty, passes.tallied(*tallies, kind.dropped))


def opened(options: Mapping[str, Any]) -> tuple[Kind, dict[str, Any], dict[str, list[Path]]]:
    """The kind of records, what is usual of it where an option is left out, and the files of each split.

    There are no files while the folder is a step that is not made yet.
    """
    from penjing.recipe.records import kind_of

    kind, ways = kind_of(options["records"], options)
    files: dict[str, list[Path]] = {}
    if "folder" in options:
        folder = Path(options["folder"])
        files = {split: [folder / name for name in names] for split, names in named(options).items()}
        files = files or {split: there for split in kind.SPLITS if (there := kind.found(folder, split))}
    if options.get("join") is not None:
        files["joined"] = kind.found(Path(options["join"]), "train")
        if not files["joined"]:
            raise TrainError("P-TRAIN-003", what=f"{options['join']} has no train.jsonl")
    return kind, ways, files


def choices() -> dict[str, dict[str, type[Kind]]]:
    """The options of each kind of records."""
    from penjing.recipe.records import KINDS, kind_named

    return {"records": {name: kind_named(name) for name in KINDS}}


def named(options: Mapping[str, Any]) -> dict[str, list[str]]:
    """The names of files that are given, by split."""
    names = {split: options.get(split) or [] for split in ("test", "valid", "train", "raw")}
    return {split: [some] if isinstance(some, str) else some for split, some in names.items() if some}


def inputs(options: dict[str, Any]) -> list[Path]:
    """The files that will be read: their bytes, not the whole folder's, decide whether the step must run again."""
    return all_files(opened(options)[2])


def all_files(files: Mapping[str, Sequence[Path]]) -> list[Path]:
    """Every file that names and patterns stand for."""
    from penjing.base.records import files_of

    return [file for several in files.values() for path in several for file in files_of(path)]


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything is read: options of the kind, columns, shares, files, formats, encodings."""
    from functools import partial

    from penjing.recipe.learning import problems_of

    opening: list[Any] = []
    found = problems_of(lambda: opening.extend(opened(options)))
    if not opening:
        return found
    kind, _, files = opening
    splits = files if "folder" in options else named(options)
    shares = partial(checked_shares, splits, options.get("valid_share"), options.get("test_share") or 0.0)
    reading = (partial(kind.sources, several) for several in files.values())
    whole = [shares] if splits or "folder" in options else []
    idle = without_effect(options, splits) if splits else []
    return problems_of(*whole, partial(kind.check, splits), *reading) + idle


def without_effect(options: Mapping[str, Any], files: Mapping[str, Any]) -> list[PenjingError]:
    """Options about training records where there are none: text for pre-training is neither shared out nor drawn from."""
    from penjing.recipe.learning import no_effect

    names = [name for name in ("valid_share", "test_share", "most") if options.get(name)]
    return [] if "train" in files else no_effect(names, "training records (train)")


def checked_shares(files: Mapping[str, Any], valid_share: float | None, test_share: float) -> dict[str, float]:
    """The shares to split off train, the usual one for valid where it has no file; one without effect is an error."""
    if "train" not in files and "raw" not in files:
        raise DataError("P-DATA-024")
    for name, share in (("valid", valid_share), ("test", test_share)):
        if share and name in files:
            raise DataError("P-DATA-025", name=name)
    if valid_share is None:
        valid_share = 0.0 if "valid" in files else VALID_SHARE
    if valid_share + test_share >= 1:
        raise DataError("P-DATA-026", given=valid_share + test_share)
    return {"valid_share": valid_share, "test_share": test_share}


def suitable_workers(files: Sequence[Path]) -> int:
    """One process for small data, else all cores."""
    from penjing.base.readers.source import format_of

    size = 0
    for file in files:
        form, packing = format_of(file)
        size += file.stat().st_size * (3 if packing or form == "parquet" else 1)
    return 1 if size < SMALL else max(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 1)


def written(corpus: Corpus, decision: Decision, read: Mapping[str, int], rules: dict[str, Any]) -> dict[str, Any]:
    """Write the splits and the report, after a last check of the labels."""
    from penjing.text import corpus as passes

    found, texts = passes.write_splits(corpus, decision, passes.sampled(decision))
    kind, facts = corpus.kind, passes.facts(corpus, decision, found)
    check_result(facts, read)
    kept = {split: counts["records"] for split, counts in found.items()}
    more = kind.facts()
    duplicates = passes.duplicates_report(corpus, decision, texts)
    report = {
        "counts": {"read": dict(read), "kept": kept, "empty": dict(kind.empty)},
        "rules": rules,
        "duplicates": {name: one for name, one in duplicates.items() if len(name.split()) == 2},
        "split_check": {name: one for name, one in duplicates.items() if len(name.split()) == 3},
        "facts": {"files": kind.files, "splits": facts, **more},
    }
    write_json(corpus.folder / "clean.json", report)
    corpus.remove()
    conflicts = sum(one["found"] for name, one in duplicates.items() if name.startswith("label_conflicts"))
    if conflicts:
        tell("warning", "clean", f"{conflicts} equal texts have different labels", conflicts=conflicts)
    tell("end", "clean", **report["counts"])
    dropped = {name: one["dropped"] for name, one in (rules | duplicates).items() if one["dropped"]}
    doubles = {name: one["found"] for name, one in duplicates.items() if one["found"]}
    return (
        report["counts"]
        | {"dropped": dropped, "duplicates": doubles}
        | {k: v for k, v in more.items() if any(v.values())}
    )


def check_result(facts: Mapping[str, Any], read: Mapping[str, int]) -> None:
    """Something must be left, of two classes or more, and no label in valid or test that train does not have."""
    for split in ("train", "raw"):
        if read.get(split) and split not in facts:
            raise DataError("P-DATA-027", split=split, count=read[split])
    labels = facts.get("train", {}).get("labels", {})
    if len(labels) == 1:
        raise DataError("P-DATA-028", given=next(iter(labels)), count=facts["train"]["records"])
    problems = []
    for split in ("valid", "test"):
        for label, count in facts.get(split, {}).get("labels", {}).items():
            if labels and label not in labels:
                problems.append(DataError("P-DATA-029", given=label, known=labels, split=split, count=count))
    raise_all(problems)
