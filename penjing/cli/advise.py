"""`penjing advise`."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from penjing.base.errors import language

if TYPE_CHECKING:
    from penjing.recipe.advising import Advised

PIECES = re.compile(  # what stays on one line: a word, a number with its %, a wide character; each with what may not begin one
    r"(?:\d+ %|[^\u2e80-\uffff\s])+[，。；：、）？]*\s*|[\u2e80-\uffff][，。；：、）？]*\s*"
)
WIDTH = 80  # columns, where the terminal does not have fewer
WORDS = {
    "en": {"because": "because: ", "and": "; ", "evidence": "evidence: ", "written": "The recipe is in {path}. Run it with:",
           "write": "A recipe of these answers: add --write FOLDER."},
    "zh": {"because": "依据：", "and": "；", "evidence": "证据：", "written": "配方已写入 {path}。运行：",
           "write": "如需据此写出配方：加上 --write FOLDER。"},
}  # fmt: skip


def command(
    data: Annotated[Path, typer.Argument(help="Your data: a file, a folder or a pattern.", show_default=False)],
    minutes: Annotated[float | None, typer.Option(metavar="number", help="Minutes that training may take.")] = None,
    model: Annotated[
        Path | None, typer.Option(metavar="folder", help="A pre-trained checkpoint at hand (also a hub id).")
    ] = None,
    task: Annotated[
        str | None, typer.Option(metavar="name", help="What the data is for.  [default: as its fields say]")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure/--no-measure", help="Measure the machine and a learning curve, some seconds.")
    ] = True,
    write: Annotated[
        Path | None, typer.Option(metavar="folder", help="Also write the recipe that follows into this folder.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="All facts and answers as one JSON object.")] = False,
) -> int:
    """Look at your data and say what to begin with, why, and by which evidence; write the recipe."""
    from penjing.recipe.advising import advise

    found = advise(data, minutes=minutes, model=model, task=task, measure=measure)
    path = found.write(write) if write else None
    if as_json:
        print(json.dumps(found.as_dict() | {"recipe": path and str(path)}, ensure_ascii=False, indent=1))
        return 0
    print("\n".join(lines(found)))
    words = WORDS[language()]
    print(f"\n{words['written'].format(path=path)}\n\n  penjing run {path}" if path else f"\n{words['write']}")
    return 0


def lines(found: Advised) -> list[str]:
    """What was seen, then each question with its answer, the facts and the evidence."""
    from penjing.recipe.advice_training import TOPICS

    words, told = WORDS[language()], [line for text in found.seen() for line in wrapped(text.said(), "", "")]
    questions = {topic.name: topic.question.said() for topic in TOPICS}
    for topic, one in found.answers.items():
        because = words["and"].join(fact.said() for fact in one.because)
        told += ["", questions[topic], *wrapped(one.text.said(), "  ", "  ")]
        for name, text in ((words["because"], because), (words["evidence"], one.evidence.text.said())):
            told += wrapped(text, f"    {name}", "      ")
    return told


def wrapped(text: str, first: str, rest: str) -> list[str]:
    """The text in lines that fit, `first` before it and `rest` before what follows; a Chinese character is two wide."""
    from rich.cells import cell_len

    most = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH)
    found, line = [], first
    for piece in PIECES.findall(text):
        if cell_len(line + piece.rstrip()) > most and line.strip():
            found.append(line.rstrip())
            line = rest
        line += piece
    return [*found, line.rstrip()]
