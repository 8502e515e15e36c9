"""`penjing generate`."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.base.errors import DataError, OptionError
from penjing.cli.decoding import decoding, load_writer
from penjing.cli.predict import Said, texts_of_file, texts_of_stdin

if TYPE_CHECKING:
    from penjing.tasks.writer import Writer, Written

SLICE = 64  # prompts answered at once, so that a long file streams


@decoding
def command(
    model: Annotated[Path, typer.Argument(help="A run, a step, or a model that generates.", show_default=False)],
    prompt: Annotated[
        list[str] | None, typer.Argument(help="Texts to go on from; without any, lines of stdin.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(metavar="file", help="Read prompts from a file of any known form.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON object a line, with tokens, log-probabilities and reasons.")
    ] = False,
    only_new: Annotated[bool, typer.Option("--only-new", help="Leave out the prompt.")] = False,
    stop: Annotated[list[str] | None, typer.Option(metavar="text", help="A text that ends the answer.")] = None,
    keep_stop: Annotated[bool, typer.Option("--keep-stop", help="Leave that text in the answer.")] = False,
    options: dict[str, Any] = {},  # noqa: B006  (a flag each; see `decoding`)
) -> int:
    """Go on from texts, or turn texts into others with an encoder-decoder."""
    from penjing.base.progress import listen

    if file is not None and prompt:
        raise OptionError("P-OPTION-006", option="--file", other="PROMPT")
    read = (record["text"] for record in texts_of_file(file, {})) if file else texts_of_stdin()
    prompts = iter(prompt) if prompt else read
    with listen(Said()):
        writer = load_writer(model)
        more = {"stop": stop or (), "keep_stop": keep_stop} | options
        first = list(islice(prompts, SLICE))
        if not first:
            raise DataError("P-DATA-031")
        new = only_new or writer.encoder_decoder
        alone = len(first) == 1 and not as_json and not {"returns", "beams"} & options.keys()
        if alone and sys.stdout.isatty():
            return stream(writer, first[0], new, more)
        told = 0
        while first:
            for text, answers in zip(first, writer.answers(first, **more), strict=True):
                tell(writer, text, answers, as_json, new, told)
                told += 1
            first = list(islice(prompts, SLICE))
    return 0


def stream(writer: Writer, prompt: str, new: bool, options: dict[str, Any]) -> int:
    """One answer, shown as it comes."""
    pieces = writer.stream(prompt, **options)
    if not new:
        print(prompt, end="", flush=True)
    for piece in pieces:
        print(piece, end="", flush=True)
    print()
    return 0


def tell(writer: Writer, prompt: str, answers: Sequence[Written], as_json: bool, new: bool, told: int) -> None:
    """The answers of one prompt; an empty line stands between texts."""
    if as_json:
        print(json.dumps({"prompt": prompt, "answers": list(map(table, answers))}, ensure_ascii=False))
        return
    for number, text in enumerate(one.text if new else prompt + one.text for one in answers):
        print(("\n" if told or number else "") + text)
    sys.stdout.flush()


def table(answer: Written) -> dict[str, Any]:
    """An answer without what it does not have."""
    return {name: value for name, value in dataclasses.asdict(answer).items() if value is not None}
