"""`penjing predict`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.base.errors import DataError, OptionError, PenjingError, TaskError, language
from penjing.base.progress import Event
from penjing.base.texts import two_texts

if TYPE_CHECKING:
    from penjing.tasks.task import Task

UNDECODED = re.compile("[\udc80-\udcff]")  # what Python makes of bytes that are no UTF-8, in some locales
STYLES = {"strong": "bold", "dim": "dim", "number": "cyan", "good": "green", "bad": "red"}
COLOURS = ("green", "magenta", "cyan", "yellow", "blue", "red")
SLICE = 256  # texts answered at once, so that a long file streams


def command(
    model: Annotated[
        Path, typer.Argument(help="A run, a step, a model (also a hub id) or a baseline.", show_default=False)
    ],
    text: Annotated[
        list[str] | None, typer.Argument(help="Texts, as many for each answer as the task needs; else lines of stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="file", help="Read records from a file of any known form.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
    top: Annotated[int, typer.Option(min=1, metavar="number", help="How many labels to show.")] = 3,
    columns: Annotated[
        list[str] | None, typer.Option(metavar="field=column", help="The file's columns, such as text and text_b.")
    ] = None,
    pair: Annotated[
        bool, typer.Option("--pair", help="Labels of two texts each: TEXT TEXT …; on stdin a tab between.")
    ] = False,
) -> int:
    """Ask a trained model: for labels, entities, answers, translations, whatever it has learnt."""
    from penjing.base.progress import listen
    from penjing.recipe.models import load_answerer, task_of

    answerer, count = load_answerer(model), 0
    task = task_of(answerer)
    records = asked(task, text, file, columns, pair)
    show = Shown()
    with listen(Said()):
        while part := list(islice(records, SLICE)):
            count += len(part)
            for record, answer in zip(part, answerer.answer(part), strict=True):
                shown = answer | {"probabilities": best(answer, top)} if "probabilities" in answer else answer
                if as_json:
                    print(json.dumps(dict(record) | shown, ensure_ascii=False))
                else:
                    show(task.lines(record, shown))
    if not count:
        raise DataError("P-DATA-031")
    return 0


class Shown:
    """Draws the lines of answers: in colour on a terminal, plain elsewhere."""

    def __init__(self) -> None:
        from rich.console import Console

        self.console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)

    def __call__(self, lines: Iterable[Sequence[tuple[str, str]]]) -> None:
        from rich.text import Text

        for parts in lines:
            self.console.print(Text.assemble(*((text, style_of(style)) for text, style in parts)))


def style_of(word: str) -> str:
    """How a terminal draws a style: each label has its own colour."""
    name, _, number = word.partition(".")
    return f"bold {COLOURS[int(number or 0) % len(COLOURS)]}" if name == "label" else STYLES.get(name, "")


class Said:
    """Prints what the library notes, each kind of work once."""

    def __init__(self) -> None:
        self.heard: set[str] = set()

    def __call__(self, event: Event) -> None:
        if event.kind in ("note", "warning") and event.what not in self.heard:
            self.heard.add(event.what)
            print(f"{event.what}: {event.text}", file=sys.stderr)


def asked(
    task: Task, texts: list[str] | None, file: Path | None, columns: list[str] | None, pair: bool
) -> Iterator[dict[str, Any]]:
    """The records that were given as texts, in a file, or on stdin. Two sources at once are an error."""
    if pair and not task.two_texts:
        raise OptionError("P-OPTION-005", option="--pair", other="a classifier")
    number = 2 if pair else len(task.typed)
    if file is None:
        if columns:
            raise OptionError("P-OPTION-005", option="--columns", other="--file")
        if texts:
            return (task.item(group) for group in grouped(iter(texts), number, task))
        return (task.item(group) for group in divided(texts_of_stdin(), number, task))
    if texts or pair:
        raise OptionError("P-OPTION-006", option="--file", other="TEXT" if texts else "--pair")
    named = dict(one.partition("=")[::2] for one in columns or ())
    labels = hasattr(task, "probabilities")  # a classifier, whose records are their texts alone
    fields = {"text", "text_b"} if labels else {*task.typed, *task.needs, *task.taught}
    fields |= {"text_b"} if task.two_texts else set()
    if set(named) - fields or not all(named.values()):
        raise OptionError("P-OPTION-002", owner="penjing predict", option="--columns", given=" ".join(columns or ()),
                          reason="field=column", kind=", ".join(f"{name}=column" for name in sorted(fields)))  # fmt: skip
    return texts_of_file(file, named) if labels else records_of_file(file, named, task)


def grouped(texts: Iterator[str], number: int, task: Task) -> Iterator[list[str]]:
    """Texts in groups; a single empty text is passed over, a gap in a group is an error."""
    if number == 1:
        yield from ([text] for text in texts if text.strip())
        return
    while group := list(islice(texts, number)):
        if len(group) < number or not all(text.strip() for text in group):
            raise gap(task, group)
        yield group


def divided(lines: Iterator[str], number: int, task: Task) -> Iterator[list[str]]:
    """Lines with tabs between the texts of a group."""
    for line in lines:
        group = [line] if number == 1 else [text.strip() for text in line.split("\t", number - 1)]
        if len(group) < number or not all(group):
            raise gap(task, group)
        yield group


def gap(task: Task, group: list[str]) -> PenjingError:
    """A text is missing, or empty, where an answer needs several."""
    if task.two_texts:
        return DataError("P-TASK-033", given=group[0][:100])
    return TaskError(
        "P-TASK-110", task=task.name, fields=", ".join(task.typed), given=len([t for t in group if t.strip()])
    )


def records_of_file(file: Path, columns: dict[str, str], task: Task) -> Iterator[dict[str, Any]]:
    """The records of a file, in our form."""
    from penjing.base.records import read_records

    for record in read_records(file, columns=columns):
        yield task.normal(record)  # type: ignore[misc]


def texts_of_file(file: Path, columns: dict[str, str]) -> Iterator[dict[str, Any]]:
    """The texts of a file of records; `text_b` too, where it is there and `columns` do not leave it out."""
    from penjing.base.records import read_records

    for record in read_records(file, needs=("text", *(name for name in columns if name != "text")), columns=columns):
        first, second = two_texts(record)
        if columns and "text_b" not in columns:
            second = None
        for name, text in (("text", first), ("text_b", second or "")):
            if not isinstance(text, str):
                raise DataError("P-DATA-021", file=record.file, line=record.line, field=name, given=text)
        yield {"text": first} if second is None else {"text": first, "text_b": second}


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


def best(answer: dict[str, Any], top: int) -> dict[str, float]:
    """The most probable labels."""
    return dict(sorted(answer["probabilities"].items(), key=lambda pair: -pair[1])[:top])
