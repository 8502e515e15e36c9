"""Stage `clean`: the user's files become clean, split, deduplicated records, with a report of what each rule did."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import DataError, PenjingError, raise_all
from penjing.base.files import write_json
from penjing.base.progress import tell
from penjing.recipe.named_files import Files, checked_shares

if TYPE_CHECKING:
    from penjing.text.corpus import Corpus, Pass
    from penjing.text.entries import Entries
    from penjing.text.splits import Decision

VALID_SHARE = 0.1  # split off train where no valid file is given
SMALL = 4 << 20  # bytes that one process cleans faster than several start


def clean(
    out: Path,
    *,
    folder: Annotated[Path, Field(description="folder that the file names count from")] = Path("."),
    train: Annotated[Files, Field(description="files of training records: names, folders or patterns")] = None,
    valid: Annotated[Files, Field(description="files of validation records")] = None,
    test: Annotated[
        Files, Field(description="files of test records; none of them is ever dropped as a duplicate")
    ] = None,
    raw: Annotated[Files, Field(description="files of text for pre-training")] = None,
    columns: Annotated[
        dict[str, str] | None, Field(description="our field: your column; fields: text, text_b, label, labels, id")
    ] = None,
    encoding: Annotated[str, Field(description="auto (detected and told), or a name such as gb18030")] = "auto",
    label_separator: Annotated[str | None, Field(description="what separates several labels in one cell")] = None,
    empty: Annotated[
        Literal["error", "drop"], Field(description="records whose text or label is null: an error, or dropped")
    ] = "error",
    valid_share: Annotated[
        float | None,
        Field(ge=0, lt=1, description="share of train split off as valid; 0.1 when no valid file is given"),
    ] = None,
    test_share: Annotated[
        float, Field(ge=0, lt=1, description="share of train split off as test when no test file is given")
    ] = 0.0,
    seed: Annotated[int, Field(ge=0, description="of the split")] = 0,
    html: Annotated[bool, Field(description="HTML entities and tags become plain text")] = True,
    control: Annotated[bool, Field(description="drop control and invisible characters")] = True,
    unicode: Annotated[bool, Field(description="Unicode normal form C")] = True,
    whitespace: Annotated[bool, Field(description="single spaces, trimmed lines, one blank line at most")] = True,
    boilerplate: Annotated[bool, Field(description="drop lines such as cookie notices and sharing buttons")] = True,
    repeated_lines: Annotated[
        float, Field(ge=0, le=1, description="drop lines that stand in this share of documents (>= 20); 0: off")
    ] = 0.01,
    personal: Annotated[
        Literal["off", "report", "mask"], Field(description="e-mails, phones, cards, addresses, keys")
    ] = "report",
    languages: Annotated[
        list[Literal["en", "zh", "mixed", "other"]] | None, Field(description="keep only these languages")
    ] = None,
    min_characters: Annotated[int, Field(ge=1, description="drop shorter texts")] = 1,
    max_characters: Annotated[int | None, Field(ge=1, description="drop longer texts")] = None,
    exact_duplicates: Annotated[bool, Field(description="drop equal texts within train and within raw")] = True,
    near_duplicates: Annotated[bool, Field(description="drop near duplicates with the same label")] = True,
    near_threshold: Annotated[float, Field(gt=0, le=1, description="Jaccard similarity of a near duplicate")] = 0.7,
    across_splits: Annotated[
        Literal["drop", "report"], Field(description="train and raw records that duplicate valid or test ones")
    ] = "drop",
    workers: Annotated[int | None, Field(ge=1, description="processes; by size and cores when not given")] = None,
) -> dict[str, Any]:
    """Write train, valid, test and raw .jsonl and clean.json into `out`; returns the counts."""
    from penjing.text import corpus as passes
    from penjing.text.clean import CleanOptions
    from penjing.text.entries import Entries

    patterns = {"test": test, "valid": valid, "train": train, "raw": raw}
    shares = checked_shares(patterns, valid_share, test_share, VALID_SHARE)
    entries = Entries(folder, columns, encoding, drop_empty=empty == "drop", label_separator=label_separator)
    options = CleanOptions(
        html, control, unicode, whitespace, boilerplate, personal, tuple(languages) if languages else None,
        min_characters, max_characters,
    )  # fmt: skip
    how = {"near": True, "lines": repeated_lines > 0, "workers": workers or suitable_workers(entries, patterns)}
    tell("begin", "clean", workers=how["workers"])
    corpus = passes.Corpus(out, "one")
    first = passes.first_pass(corpus, options, entries, patterns, **how)
    tallies = [first.tallies]
    if repeated_lines > 0 and first.repeated.found(repeated_lines):
        corpus = passes.Corpus(out, "two")
        tallies.append(passes.second_pass(first.corpus, corpus, options, first.repeated, **how).tallies)
    rules = passes.tallied(*tallies)
    clusters = passes.clusters_of(corpus, True, near_threshold)
    from penjing.text.splits import decide

    decision = decide(
        clusters, exact=exact_duplicates, near=near_duplicates, across=across_splits == "drop", seed=seed, **shares
    )
    return written(corpus, decision, entries, first, rules)


def inputs(options: dict[str, Any]) -> list[Path]:
    """The files that will be read: their bytes, not the whole folder's, decide whether the step must run again."""
    from penjing.base.records import files_of

    return [file for _, path in named_paths(options) for file in files_of(path)]


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything is read: files, formats, encodings, shares, names of columns."""
    from penjing.base.records import sources
    from penjing.text.entries import check_columns

    patterns = {name: options.get(name) for name in ("test", "valid", "train", "raw")}
    checks: list[Callable[[], Any]] = [
        lambda: checked_shares(patterns, options.get("valid_share"), options.get("test_share") or 0.0, VALID_SHARE),
        lambda: check_columns(options.get("columns") or {}),
    ]
    checks += [lambda path=path: sources(path, options.get("encoding") or "auto") for _, path in named_paths(options)]
    problems = []
    for one in checks:
        try:
            one()
        except PenjingError as error:
            problems.append(error)
    return problems


def named_paths(options: dict[str, Any]) -> list[tuple[str, Path]]:
    """(split, path or pattern) of all files that are named; none while the folder is a step that is not made yet."""
    if "folder" not in options:
        return []
    folder, found = Path(options["folder"]), []
    for split in ("test", "valid", "train", "raw"):
        names = options.get(split) or []
        found += [(split, folder / name) for name in ([names] if isinstance(names, str) else names)]
    return found


def suitable_workers(entries: Entries, patterns: dict[str, Files]) -> int:
    """One process for small data, else all cores."""
    from penjing.base.records import sources

    found = [one for files in patterns.values() if files for one in sources(entries.paths(files), entries.encoding)]
    size = sum(one.path.stat().st_size * (3 if one.packing or one.format == "parquet" else 1) for one in found)
    return 1 if size < SMALL else max(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2, 1)


def written(corpus: Corpus, decision: Decision, entries: Entries, first: Pass, rules: dict[str, Any]) -> dict[str, Any]:
    """Write the splits and the report, after a last check of the labels."""
    from penjing.text import corpus as passes

    counts, texts = passes.write_splits(corpus, decision, passes.sampled(decision))
    facts = passes.facts(corpus, decision)
    check_result(facts, dict(first.read), entries)
    report = {
        "counts": {"read": dict(first.read), "kept": counts, "empty": dict(entries.empty)},
        "rules": rules,
        "duplicates": passes.duplicates_report(corpus, decision, texts, True),
        "facts": {"files": entries.files, "splits": facts},
    }
    report["split_check"] = {k: v for k, v in report["duplicates"].items() if len(k.split()) == 3}
    report["duplicates"] = {k: v for k, v in report["duplicates"].items() if len(k.split()) == 2}
    write_json(corpus.folder / "clean.json", report)
    corpus.remove()
    conflicts = sum(v["found"] for k, v in report["duplicates"].items() if k.startswith("label_conflicts"))
    if conflicts:
        tell("warning", "clean", f"{conflicts} equal texts have different labels", conflicts=conflicts)
    tell("end", "clean", **report["counts"])
    return report["counts"] | {
        "duplicates": {k: v["found"] for k, v in (report["duplicates"] | report["split_check"]).items() if v["found"]}
    }


def check_result(facts: dict[str, Any], read: dict[str, int], entries: Entries) -> None:
    """Something must be left, of two classes or more, and no label in valid or test that train does not have."""
    for split in ("train", "raw"):
        count = read.get(split, 0) + entries.empty[split]
        if count and split not in facts:
            raise DataError("P-DATA-027", split=split, count=count)
    labels = facts.get("train", {}).get("labels", {})
    if entries.label and len(labels) == 1:
        raise DataError("P-DATA-028", given=next(iter(labels)), count=facts["train"]["records"])
    problems = []
    for split in ("valid", "test"):
        for label, count in facts.get(split, {}).get("labels", {}).items():
            if labels and label not in labels:
                problems.append(DataError("P-DATA-029", given=label, known=labels, split=split, count=count))
    raise_all(problems)
