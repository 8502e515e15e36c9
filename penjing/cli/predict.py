"""`penjing predict`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer

from penjing.base.errors import DataError, OptionError, language
from penjing.base.progress import Event
from penjing.base.texts import Item, two_texts

UNDECODED = re.compile("[\udc80-\udcff]")  # what Python makes of bytes that are no UTF-8, in some locales
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
        list[str] | None, typer.Option(metavar="field=column", help="The file's columns of text and text_b.")
    ] = None,
    pair: Annotated[bool, typer.Option("--pair", help="Two texts each: TEXT TEXT …; on stdin a tab between.")] = False,
) -> int:
    """Ask a trained model for the labels of texts."""
    from penjing.base.progress import listen
    from penjing.recipe.models import load_answerer

    texts, count = chosen_texts(text, file, columns, pair), 0
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


def chosen_texts(texts: list[str] | None, file: Path | None, columns: list[str] | None, pair: bool) -> Iterator[Item]:
    """The texts that were given, those of a file, or the lines of stdin. Two sources at once are an error."""
    if file is None:
        if columns:
            raise OptionError("P-OPTION-005", option="--columns", other="--file")
        if texts:
            return two_by_two(iter(texts)) if pair else (text for text in texts if text.strip())
        return divided(texts_of_stdin()) if pair else texts_of_stdin()
    if texts or pair:
        raise OptionError("P-OPTION-006", option="--file", other="TEXT" if texts else "--pair")
    named = dict(one.partition("=")[::2] for one in columns or ())
    if set(named) - {"text", "text_b"} or not all(named.values()):
        raise OptionError("P-OPTION-002", owner="penjing predict", option="--columns", reason="text=column",
                          given=" ".join(columns or ()), kind="text=column, text_b=column")  # fmt: skip
    return texts_of_file(file, named)


def two_by_two(texts: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Texts in pairs."""
    for first in texts:
        second = next(texts, None)
        if not second or not second.strip():
            raise DataError("P-TASK-033", given=first[:100])
        yield first, second


def divided(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Lines with a tab between two texts."""
    for line in lines:
        first, tab, second = line.partition("\t")
        if not tab or not second.strip():
            raise DataError("P-TASK-033", given=line[:100])
        yield first.strip(), second.strip()


def texts_of_file(file: Path, columns: dict[str, str]) -> Iterator[Item]:
    """The texts of a file of records; `text_b` too, where it is there and `columns` do not leave it out."""
    from penjing.base.records import read_records

    for record in read_records(file, needs=("text", *(name for name in columns if name != "text")), columns=columns):
        first, second = two_texts(record)
        if columns and "text_b" not in columns:
            second = None
        for name, text in (("text", first), ("text_b", second or "")):
            if not isinstance(text, str):
                raise DataError("P-DATA-021", file=record.file, line=record.line, field=name, given=text)
        yield first if second is None else (first, second)


def texts_of_stdin() -> Iterator[str]:
    """The lines of stdin that are not empty."""
    if sys.stdin.isatty():
        print("一行一条文本，Ctrl-D 结束。" if language() == "zh" else "One text a line; Ctrl-D ends.", file=sys.stderr)
    read = 0
    try:
        for line in sys.stdin:
            line = line if read else line.removeprefix("\ufeff")  # the mark that Windows programs put first
            read += 1
            if UNDECODED.search(line):
                raise DataError("P-DATA-007", file="stdin", line=read, encoding=sys.stdin.encoding)
            if line.strip():
                yield line.strip()
    except UnicodeDecodeError as error:
        raise DataError("P-DATA-007", file="stdin", line=read + 1, encoding=error.encoding) from error


def best(answer: dict[str, Any], top: int) -> list[tuple[str, float]]:
    """The most probable labels."""
    return sorted(answer.get("probabilities", {}).items(), key=lambda pair: -pair[1])[:top]


def json_line(item: Item, answer: dict[str, Any], top: int) -> str:
    """The text (or both) and its answer with the most probable labels."""
    named = dict(zip(("text", "text_b"), [item] if isinstance(item, str) else item, strict=False))
    return json.dumps(named | answer | {"probabilities": dict(best(answer, top))}, ensure_ascii=False)


def lines(item: Item, answer: dict[str, Any], top: int) -> Iterator[str]:
    """The text (or both), then a line for each label: a bar, the probability, the name; chosen labels carry a mark."""
    chosen = answer.get("labels", [answer.get("label")])
    for text in [item] if isinstance(item, str) else item:
        yield text if len(text) <= 100 else text[:99] + "…"
    for label, probability in best(answer, top):
        bar = "█" * round(20 * probability)
        yield f"  {'>' if label in chosen else ' '} {bar:<20} {100 * probability:5.1f} %  {label}"
