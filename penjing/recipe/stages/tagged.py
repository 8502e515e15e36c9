"""Stage `tagged`: tokens with tags, or texts with entities, in any known form, become one form, split and checked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import DataError, PenjingError, raise_all
from penjing.recipe.named_files import Files, checked_shares, named_files, paths

Records = list[dict[str, Any]]
SPLITS = ("train", "valid", "test")


def tagged(
    out: Path,
    *,
    folder: Annotated[Path, Field(description="folder that the file names count from")] = Path("."),
    train: Annotated[Files, Field(description="files of training sentences: names, folders or patterns")] = None,
    valid: Annotated[Files, Field(description="files of validation sentences")] = None,
    test: Annotated[Files, Field(description="files of test sentences; none is ever dropped")] = None,
    columns: Annotated[
        dict[str, str] | None,
        Field(description="our field: your column (CoNLL: its number); fields: tokens, tags, text, entities"),
    ] = None,
    encoding: Annotated[str, Field(description="auto (detected and told), or a name such as gb18030")] = "auto",
    across_splits: Annotated[
        Literal["drop", "report"], Field(description="training sentences that stand in valid or test, word by word")
    ] = "drop",
    valid_share: Annotated[
        float | None, Field(ge=0, lt=1, description="share of train split off; 0.05 when no valid file is given")
    ] = None,
    test_share: Annotated[float, Field(ge=0, lt=1, description="share of train split off as test")] = 0.0,
    seed: Annotated[int, Field(ge=0, description="of the split")] = 0,
) -> dict[str, Any]:
    """Write train, valid and test .jsonl (tokens, tags, text) and tagged.json into `out`; returns the counts."""
    from penjing.base.files import write_json
    from penjing.base.progress import tell
    from penjing.base.records import read_records, write_records
    from penjing.tasks.tag_records import normal, problems

    patterns = {"train": train, "valid": valid, "test": test}
    shares = checked_shares(patterns, valid_share, test_share)
    tell("begin", "tagged")
    found = {
        split: [normal(record) for record in read_records(files, columns=columns, encoding=encoding)]
        for split, files in paths(folder, patterns).items()
    }
    raise_all([error for records in found.values() for error in problems(records, learn=True)])
    inside = {split: tell_inside_words(split, records) for split, records in found.items()}
    report = {"read": {split: len(records) for split, records in found.items()}, "strays": spell(found)}
    report |= {"borders_inside_words": inside}
    found |= split_off(found["train"], {"test": shares["test_share"], "valid": shares["valid_share"]}, seed)
    report["train_in_valid_or_test"] = repeated(found, drop=across_splits == "drop")
    if not found["train"]:
        raise DataError("P-DATA-027", split="train", count=report["read"]["train"])
    for split, records in found.items():
        if records:
            write_records(out / f"{split}.jsonl", map(written, records))
    report |= {"kept": {split: len(records) for split, records in found.items()}, "splits": facts(found)}
    write_json(out / "tagged.json", report)
    tell("end", "tagged", **report["kept"])
    return {name: report[name] for name in ("read", "kept", "strays", "train_in_valid_or_test")}


def inputs(options: dict[str, Any]) -> list[Path]:
    """The files that will be read."""
    return named_files(options, SPLITS)


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """What is wrong before anything is read: files, shares."""
    from penjing.recipe.learning import problems_of

    patterns = {split: options.get(split) for split in SPLITS}
    return problems_of(
        lambda: checked_shares(patterns, options.get("valid_share"), options.get("test_share") or 0.0),
        lambda: inputs(options),
    )


def spell(found: dict[str, Records]) -> dict[str, int]:
    """Write all tags in the scheme of the training tags, IOB1 as BIO; returns how many tags had to be mended."""
    from penjing.tasks.tag import tell_strays
    from penjing.tasks.tag_records import spelled
    from penjing.text.tagging import scheme_of

    scheme = scheme_of(tag for record in found["train"] for tag in record["tags"])
    mended = {}
    for split, records in found.items():
        mended[split] = 0 if scheme == "none" else tell_strays([record["tags"] for record in records])
        for record in records:
            record["tags"] = spelled(record, scheme)
    return mended


def tell_inside_words(split: str, records: Records) -> int:
    """How many borders of entities lie inside a word, told once: there the tokens of the data say more than a text does
    that nobody has annotated, so that scores on it are a little too good."""
    from penjing.base.progress import tell
    from penjing.text.tagging import cut

    count = sum(len(one["tokens"]) - len(cut(one["text"])) for one in records if "offsets" in one)
    if count:
        text = (
            f"{split}: {count} entities begin or end inside a word, which is cut there; in plain text it is one token"
        )
        tell("warning", "tagged", text, borders=count)
    return count


def split_off(train: Records, shares: Mapping[str, float], seed: int) -> dict[str, Records]:
    """Train without its shares, and these, each in its old order. Sentences with the same words stay together."""
    import numpy as np

    groups: dict[tuple[str, ...], int] = {}
    group = np.asarray([groups.setdefault(tuple(record["tokens"]), len(groups)) for record in train], dtype=np.int64)
    order = np.random.Generator(np.random.PCG64([seed, 11])).permutation(len(groups))
    split, first = np.zeros(len(groups), dtype=np.int64), 0
    for number, share in enumerate(shares.values(), 1):
        count = min(len(order) - 1, max(1, round(share * len(order)))) if share else 0
        split[order[first : first + count]] = number
        first += count
    parts = {name: [r for r, n in zip(train, split[group], strict=True) if n == code]
             for code, name in enumerate(("train", *shares))}  # fmt: skip
    return {name: part for name, part in parts.items() if part or name == "train"}


def repeated(found: dict[str, Records], drop: bool) -> int:
    """How many training sentences stand in valid or test, word by word; `drop`: they are taken out of train."""
    other = {tuple(record["tokens"]) for split in ("valid", "test") for record in found.get(split, ())}
    new = [record for record in found["train"] if tuple(record["tokens"]) not in other]
    count = len(found["train"]) - len(new)
    if drop:
        found["train"] = new
    return count


def written(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a record: its text too, for tokenizers and for pre-training."""
    from penjing.text.tagging import joined

    text = record["text"] if "offsets" in record else joined(record["tokens"])[0]
    kept = {name: record[name] for name in ("tokens", "tags", "offsets") if name in record}
    return {"text": text, **kept}


def facts(found: Mapping[str, Records]) -> dict[str, Any]:
    """Sentences, tokens and entities of each split."""
    from collections import Counter

    from penjing.tasks.tag_scores import entities
    from penjing.text.tagging import scheme_of

    scheme = scheme_of(tag for record in found["train"] for tag in record["tags"])
    return {
        split: {
            "sentences": len(records),
            "tokens": sum(len(record["tokens"]) for record in records),
            "entities": Counter(s.type for record in records for s in entities(record["tags"], scheme, False)),
        }
        for split, records in found.items()
    }
