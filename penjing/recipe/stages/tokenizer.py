"""The stage `tokenizer`: train a tokenizer on the training texts, or take one that exists, and report on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from penjing.base.errors import PenjingError

TRAINED_ON = ("train.jsonl", "raw.jsonl")  # never valid or test


def tokenizer(
    out: Path,
    *,
    data: Annotated[Path, Field(description="the clean step, or a file with texts")],
    kind: Annotated[Literal["wordpiece", "bpe", "unigram"], Field(description="kind of tokenizer")] = "wordpiece",
    size: Annotated[int, Field(gt=0, description="tokens in the vocabulary")] = 8192,
    lowercase: Annotated[bool | None, Field(description="fold case (not for bpe)")] = None,
    alphabet: Annotated[int | None, Field(gt=0, description="most single characters to know (not for bpe)")] = None,
    least: Annotated[int | None, Field(gt=0, description="times a pair must occur (not for unigram)")] = None,
    spare: Annotated[int, Field(ge=0, description="unused special tokens to name later")] = 0,
    special: Annotated[
        list[Annotated[str, Field(min_length=1)]] | None,
        Field(description="more special tokens, such as <|im_start|> (every bpe has ChatML's)"),
    ] = None,
    extra_ids: Annotated[int, Field(ge=0, description="<extra_id_N> tokens (unigram)")] = 0,
    multiple: Annotated[int, Field(gt=0, description="round the vocabulary up to a multiple")] = 8,
    byte_fallback: Annotated[bool | None, Field(description="unknown characters as bytes (unigram)")] = None,
    sample_bytes: Annotated[int | None, Field(gt=0, description="most bytes of text to train on")] = None,
    longest: Annotated[int, Field(gt=0, description="model_max_length of tokenizer_config.json")] = 512,
    seed: Annotated[int, Field(description="of the sample")] = 0,
    source: Annotated[Path | None, Field(description="take this tokenizer (also a hub id), train none")] = None,
) -> dict[str, Any]:
    """Write tokenizer.json, tokenizer_config.json and report.json."""
    from penjing.base.files import existing, write_json
    from penjing.text.tokenizer import Tokenizer
    from penjing.text.tokenizer_report import tokenizer_report
    from penjing.text.tokenizer_training import train_tokenizer

    existing(data)
    if source is None:
        made = train_tokenizer(
            texts(data, *TRAINED_ON), kind=kind, size=size, lowercase=lowercase, alphabet=alphabet, least=least,
            spare=spare, special=special or (), extra_ids=extra_ids, multiple=multiple, byte_fallback=byte_fallback,
            sample_bytes=sample_bytes, longest=longest, seed=seed,
        )  # fmt: skip
    else:
        made = Tokenizer.load(source)
    made.save(out)
    unseen = data.is_dir() and (data / "valid.jsonl").is_file()
    names = ("valid.jsonl",) if unseen else TRAINED_ON
    report = tokenizer_report(made, texts(data, *names))
    write_json(out / "report.json", {"measured_on": "valid" if unseen else "train", **report})
    return {
        "size": made.size,
        "bytes_per_token": report["all"]["bytes_per_token"],
        "bytes_per_token_english": report["english"]["bytes_per_token"],
        "bytes_per_token_chinese": report["chinese"]["bytes_per_token"],
        "unknown_share": report["all"]["unknown_share"],
        "trained": source is None,
        "fingerprint": made.fingerprint,
    }


def check(options: dict[str, Any], base: Path) -> list[PenjingError]:
    """A tokenizer that is taken as it is heeds no option of training."""
    from penjing.base.options import options_of
    from penjing.recipe.learning import no_effect

    if options.get("source", "a step") is None:
        return []
    usual = {name: option.default for name, option in options_of(tokenizer).items() if name not in ("data", "source")}
    return no_effect([name for name in usual if options[name] != usual[name]], "a run without `source`")


def texts(data: Path, *names: str) -> Iterator[str]:
    """The texts of these files of a clean step or of pairs, or of a single file or any other folder of texts."""
    from penjing.base.records import read_records
    from penjing.base.texts import texts_in

    files = [data / name for name in names if (data / name).is_file()] if data.is_dir() else []
    first = next(read_records(files or data), None)
    sides = first is not None and "text" not in first and bool(texts_in(first))
    for record in read_records(files or data, needs=() if sides else ("text",)):
        yield from texts_in(record)
