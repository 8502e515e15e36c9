"""`penjing show-mask`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.base.errors import PenjingError, language
from penjing.cli.predict import Said

if TYPE_CHECKING:
    from penjing.text.chat import Chat
    from penjing.text.loss_mask import Masked
    from penjing.text.tokenizer import Tokenizer

GREEN, GREY, PLAIN = "\033[1;32m", "\033[2m", "\033[0m"
OPEN, CLOSE = "⟦", "⟧"  # around what carries loss, where there are no colours
LINE = "⏎"
WORDS = {
    "en": {
        "head": "record {number}: {tokens} tokens, {carry} carry loss ({how})", "none": "nothing here is learned",
        "generation": "by the template's generation blocks", "prefix": "by the prefixes of the conversation",
        "stand-in": "by a stand-in for each answer", "text": "plain text: every token but the first",
    },
    "zh": {
        "head": "记录 {number}：{tokens} 个词元，其中 {carry} 个计入损失（{how}）", "none": "此处没有可学习的内容",
        "generation": "依据模板的 generation 块", "prefix": "依据对话的前缀", "stand-in": "依据每个回答的替身文本",
        "text": "纯文本：除第一个外的所有词元",
    },
}  # fmt: skip


def command(
    model: Annotated[Path, typer.Argument(help="A run, a step, a model, or a tokenizer.", show_default=False)],
    file: Annotated[
        str,
        typer.Argument(help="Records with conversations of any known form, or text; - for stdin.", show_default=False),
    ],
    template: Annotated[
        str | None, typer.Option(metavar="name/file", help="A chat template: its name in the model, or a Jinja file.")
    ] = None,
    first: Annotated[int, typer.Option(min=1, metavar="number", help="How many records to show.")] = 3,
    table: Annotated[
        bool, typer.Option("--table", help="One token a line: its id, its text, + where it carries loss.")
    ] = False,
) -> int:
    """Show which tokens training puts loss on: in green, or ⟦between brackets⟧. Exit code 1 if a record has none."""
    from penjing.base.progress import listen

    barren = False
    with listen(Said()):
        tokenizer, chat = load(model, template)
        for number, record in enumerate(islice(records(file), first), 1):
            found, how = mask(record, tokenizer, chat)
            barren |= not any(found.carries)
            show(number, found, how, tokenizer, table)
    return int(barren)


def load(model: Path, template: str | None) -> tuple[Tokenizer, list[Chat]]:
    """The tokenizer, and a list that holds its chat form once that is asked for."""
    from penjing.cli.decoding import text_or_file
    from penjing.recipe.models import model_folder
    from penjing.text.chat import Chat
    from penjing.text.tokenizer import Tokenizer

    own = model.is_file() or (model / "tokenizer.json").exists()
    tokenizer = Tokenizer.load(
        model if own else model_folder(model, ("finetune", "ensemble", "merge", "shrink", "pretrain"))
    )
    if template is None:
        return tokenizer, []
    return tokenizer, [Chat(tokenizer, text_or_file(template))]


def records(file: str) -> Iterator[Mapping[str, Any]]:
    """The records of a file, or of stdin: JSON lines, or lines of text."""
    from penjing.base.records import read_records

    if file != "-":
        yield from read_records(file)
        return
    for line in sys.stdin:
        if line.strip():
            try:
                found = json.loads(line)
            except ValueError:
                found = None
            yield found if isinstance(found, dict) else {"text": line.rstrip("\n")}


def mask(record: Mapping[str, Any], tokenizer: Tokenizer, chat: list[Chat]) -> tuple[Masked, str]:
    """The tokens of one record, which carry loss, and how that is known."""
    from penjing.text.chat import Chat
    from penjing.text.dialogues import conversation, form_of, placed
    from penjing.text.loss_mask import Masked, masked

    if form_of(record) is not None or not isinstance(record.get("text"), str):
        talk = conversation(record)
        chat[:] = chat or [Chat(tokenizer)]
        try:
            found = masked(chat[0], talk["messages"], talk.get("tools"), record.get("documents"))
        except PenjingError as error:
            raise placed(error, record) from error
        return found, found.how
    tokens = tokenizer.build(tokenizer.encode(record["text"]))
    return Masked(tokens, [place > 0 for place in range(len(tokens))], "prefix"), "text"


def show(number: int, found: Masked, how: str, tokenizer: Tokenizer, table: bool) -> None:
    """One record."""
    words = WORDS[language()]
    head = words["head"].format(number=number, tokens=len(found.tokens), carry=sum(found.carries), how=words[how])
    print(head if any(found.carries) else f"{head}: {words['none']}")
    if table:
        for token, carries in zip(found.tokens, found.carries, strict=True):
            print(f"{'+' if carries else ' '} {token:>7} {json.dumps(tokenizer.token(token), ensure_ascii=False)}")
    else:
        print(painted(shown(found, tokenizer), sys.stdout.isatty() and "NO_COLOR" not in os.environ))
    print()


def shown(found: Masked, tokenizer: Tokenizer) -> Iterator[tuple[str, bool]]:
    """The text in pieces, each with whether it carries loss; tokens that share a character are one piece."""
    from penjing.text.streaming import TextPieces

    pieces, waiting = TextPieces(tokenizer), False
    for token, carries in zip(found.tokens, found.carries, strict=True):
        if pieces.silent(token):
            yield pieces.finish(), waiting
            yield tokenizer.token(token), carries
            waiting = False
            continue
        waiting |= carries
        if text := pieces.push(token):
            yield text, waiting
            waiting = False
    yield pieces.finish(), waiting


def painted(pieces: Iterator[tuple[str, bool]], colours: bool) -> str:
    """The pieces as one text, runs of one kind together."""
    runs: list[tuple[str, bool]] = []
    for text, carries in pieces:
        if text and runs and runs[-1][1] == carries:
            runs[-1] = runs[-1][0] + text, carries
        elif text:
            runs.append((text, carries))
    marks: Sequence[tuple[str, str]] = ((GREY, PLAIN), (GREEN, PLAIN)) if colours else (("", ""), (OPEN, CLOSE))
    return "".join(marks[carries][0] + text.replace("\n", f"{LINE}\n") + marks[carries][1] for text, carries in runs)
