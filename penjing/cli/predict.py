"""`penjing predict`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from penjing.base.errors import DataError, OptionError, language
from penjing.base.progress import Event

SLICE = 256  # texts answered at once, so that a long file streams


def command(
    model: Annotated[
        Path, typer.Argument(help="A run, a step, a model (also a hub id) or a baseline.", show_default=False)
    ],
    text: Annotated[list[str] | None, typer.Argument(help="Texts; without any, lines of stdin.")] = None,
    file: Annotated[Path | None, typer.Option(metavar="file", help="Read texts from a file of any known form.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    top: Annotated[int, typer.Option(min=1, metavar="number", help="How many labels to show.")] = 3,
    columns: Annotated[
        list[str] | None, typer.Option(metavar="text=column", help="Which column of the file holds the texts.")
    ] = None,
) -> int:
    """Ask a trained model for the labels of texts."""
    from penjing.base.progress import listen
    from penjing.recipe.models import load_answerer

    texts, count = chosen_texts(text, file, columns), 0
    answerer = load_answerer(model)
    with listen(Said()):
        while part := list(islice(texts, SLICE)):
            count += len(part)
            for one, answer in zip(part, answerer.answer(part), strict=True):
                print(json_line(one, answer, top) if as_json else "\n".join(lines(one, answer, top)))
    if not count:
        raise DataError("P-DATA-031")
    return 0


class Said:
    """Prints what the library notes, each kind of work once."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    def __call__(self, event: Event) -> None:
        if event.kind in ("note", "warning") and event.what not in self.heard:
            self.heard.add(event.what)
            print(f"{event.what}: {event.text}", file=sys.stderr)


def chosen_texts(texts: list[str] | None, file: Path | None, columns: list[str] | None) -> Iterator[str]:
    """The texts that were given, those of a file, or the lines of stdin. Two sources at once are an error."""
    if file is None:
        if columns:
            raise OptionError("P-OPTION-005", option="--columns", other="--file")
        return (text for text in texts if text.strip()) if texts else texts_of_stdin()
    if texts:
        raise OptionError("P-OPTION-006", option="--file", other="TEXT")
    pairs = dict(one.partition("=")[::2] for one in columns or ())
    if set(pairs) - {"text"} or not all(pairs.values()):
        raise OptionError("P-OPTION-002", owner="penjing predict", option="--columns", reason="text=column",
                          given=" ".join(columns or ()), kind="text=column")  # fmt: skip
    return texts_of_file(file, pairs)


def texts_of_file(file: Path, columns: dict[str, str]) -> Iterator[str]:
    """The texts of a file of records."""
    from penjing.base.records import read_records

    for record in read_records(file, needs=("text",), columns=columns):
        if not isinstance(record["text"], str):
            raise DataError("P-DATA-021", file=record.file, line=record.line, field="text", given=record["text"])
        yield record["text"]


def texts_of_stdin() -> Iterator[str]:
    """The lines of stdin that are not empty."""
    if sys.stdin.isatty():
        print("一行一条文本，Ctrl-D 结束。" if language() == "zh" else "One text a line; Ctrl-D ends.", file=sys.stderr)
    read = 0
    try:
        for line in sys.stdin:
            read += 1
            if line.strip():
                yield line.strip()
    except UnicodeDecodeError as error:
        raise DataError("P-DATA-007", file="stdin", line=read + 1, encoding=error.encoding) from error


def best(answer: dict[str, Any], top: int) -> list[tuple[str, float]]:
    """The most probable labels."""
    return sorted(answer.get("probabilities", {}).items(), key=lambda pair: -pair[1])[:top]


def json_line(text: str, answer: dict[str, Any], top: int) -> str:
    """The text and its answer with the most probable labels."""
    return json.dumps({"text": text} | answer | {"probabilities": dict(best(answer, top))}, ensure_ascii=False)


def lines(text: str, answer: dict[str, Any], top: int) -> Iterator[str]:
    """The text, then one line for each label: a bar, the probability, the name; chosen labels carry a mark."""
    chosen = answer.get("labels", [answer.get("label")])
    yield text if len(text) <= 100 else text[:99] + "…"
    for label, probability in best(answer, top):
        bar = "█" * round(20 * probability)
        yield f"  {'>' if label in chosen else ' '} {bar:<20} {100 * probability:5.1f} %  {label}"
