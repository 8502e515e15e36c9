"""`penjing chat`."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from penjing.base.errors import DataError, PenjingError, language
from penjing.cli.decoding import decoding, load_writer
from penjing.cli.faults import red
from penjing.cli.predict import Said

if TYPE_CHECKING:
    from penjing.cli.talk import Talk

HELP = {
    "en": """/help             these commands
/clear            forget the conversation, keep the system text
/undo             take back the last question and its answer
/again            answer the last question anew
/system TEXT      set the system text; without TEXT, remove it
/history          show the conversation
/save FILE        write the conversation; `penjing show-mask MODEL FILE` reads it
/load FILE        go on from a saved conversation
/quit             leave; so does Ctrl-D, and Ctrl-C at the prompt after another""",
    "zh": """/help             显示这些命令
/clear            忘掉对话，保留系统文本
/undo             收回上一个问题及其回答
/again            重新回答上一个问题
/system 文本      设置系统文本；不给文本则删除
/history          显示对话
/save 文件        保存对话；`penjing show-mask 模型 文件` 可读取
/load 文件        从保存的对话继续
/quit             离开；Ctrl-D 亦可，或在提示符处再按一次 Ctrl-C""",
}
WORDS = {
    "en": {
        "hello": "{name}. /help shows the commands, Ctrl-C stops an answer, Ctrl-D leaves.", "you": "You",
        "stopped": "stopped", "leave": "Ctrl-C again or Ctrl-D leaves.", "cleared": "The conversation is forgotten.",
        "undone": "Taken back: {text}", "nothing": "There is nothing yet.", "system": "System text: {text}",
        "no_system": "There is no system text now.", "saved": "{count} messages written to {file}",
        "loaded": "{count} messages read from {file}", "file": "Give a file: {word} FILE",
        "unknown": "There is no command {word}; /help shows them.", "cut": "[the answer ends at its limit of tokens]",
        "dropped": "[the window is full: the {count} oldest messages are no longer read]",
    },
    "zh": {
        "hello": "{name}。/help 显示命令，Ctrl-C 停止回答，Ctrl-D 离开。", "you": "你",
        "stopped": "已停止", "leave": "再按一次 Ctrl-C 或按 Ctrl-D 即可离开。", "cleared": "对话已清除。",
        "undone": "已收回：{text}", "nothing": "还没有内容。", "system": "系统文本：{text}",
        "no_system": "现在没有系统文本。", "saved": "已将 {count} 条消息写入 {file}",
        "loaded": "已从 {file} 读入 {count} 条消息", "file": "请给出文件：{word} 文件",
        "unknown": "没有命令 {word}；/help 可查看。", "cut": "[回答到达了词元上限]",
        "dropped": "[窗口已满：最早的 {count} 条消息不再读入]",
    },
}  # fmt: skip


@decoding
def command(
    model: Annotated[Path, typer.Argument(help="A run, a step, or a model that generates.", show_default=False)],
    system: Annotated[str | None, typer.Option(metavar="text", help="What the model is told before all.")] = None,
    template: Annotated[
        str | None, typer.Option(metavar="name/file", help="A chat template: its name in the model, or a Jinja file.")
    ] = None,
    load: Annotated[Path | None, typer.Option(metavar="file", help="Go on from a saved conversation.")] = None,
    stop: Annotated[list[str] | None, typer.Option(metavar="text", help="A text that ends an answer.")] = None,
    options: dict[str, Any] = {},  # noqa: B006  (a flag each; see `decoding`)
) -> int:
    """Talk with a model. Ctrl-C stops the answer, not the program."""
    from penjing.base.progress import listen
    from penjing.cli.talk import Talk

    with listen(Said()):
        talk = Talk(load_writer(model, template), {"stop": stop or ()} | options)
        talk.check()
        if load is not None:
            talk.load(load)
        if system is not None:
            talk.system = system
        return Session(talk, model.resolve().name).run()


class Session:
    """Lines in, answers out, until the user leaves."""

    def __init__(self, talk: Talk, name: str):
        self.talk, self.name, self.words = talk, name, WORDS[language()]
        self.terminal = sys.stdin.isatty() and sys.stdout.isatty()
        self.pressed = False  # Ctrl-C, and no line since

    def run(self) -> int:
        if self.terminal:
            with contextlib.suppress(ImportError):
                import readline  # noqa: F401  (input() then edits lines and remembers them)
            self.say(self.words["hello"].format(name=self.name))
        while (line := self.line()) is not None:
            try:
                if not self.obey(line):
                    break
            except KeyboardInterrupt:
                self.pressed = True
                self.say(f"\n[{self.words['stopped']}]")
            except PenjingError as error:
                red(error.text())
        return 0

    def line(self) -> str | None:
        """What the user types; None to leave."""
        while True:
            try:
                text = input(self.prompt()) if self.terminal else sys.stdin.readline()
                if not text and not self.terminal:
                    return None
                self.pressed = False
                return text.strip()
            except UnicodeDecodeError as error:
                raise DataError("P-DATA-007", file="stdin", encoding=error.encoding) from error
            except EOFError:
                print()
                return None
            except KeyboardInterrupt:
                print()
                if self.pressed:
                    return None
                self.pressed = True
                self.say(self.words["leave"])

    def prompt(self) -> str:
        """The sign that a line is waited for; readline is told which characters take no room."""
        plain = f"{self.words['you']}: "
        return plain if "NO_COLOR" in os.environ else f"\001\033[1m\002{plain}\001\033[0m\002"

    def say(self, text: str) -> None:
        """A word of the program's own, apart from what the model says."""
        grey = self.terminal and "NO_COLOR" not in os.environ
        print(f"\033[2m{text}\033[0m" if grey else text, file=sys.stdout if self.terminal else sys.stderr, flush=True)

    def tell(self, word: str, /, **values: Any) -> None:
        self.say(self.words[word].format(**values))

    def obey(self, line: str) -> bool:
        """Do what a line asks; False to leave."""
        if not line.startswith("/"):
            if line:
                self.answer(line)
            return True
        word, _, rest = line.partition(" ")
        if word in ("/quit", "/exit"):
            return False
        does = getattr(self, "do_" + word[1:], None) if word[1:].isalpha() else None
        if does is None:
            self.tell("unknown", word=word)
        else:
            does(rest.strip())
        return True

    def answer(self, question: str | None) -> None:
        """Ask, and show the answer as it comes; a Ctrl-C keeps what came. None: the last question again."""
        talk = self.talk
        pieces = talk.ask(question)
        with contextlib.closing(pieces):
            for piece in pieces:
                print(piece, end="", flush=True)
        print(flush=True)
        if talk.newly_dropped:
            self.tell("dropped", count=talk.dropped)
        if talk.cut:
            self.tell("cut")

    # ---- commands ----

    def do_help(self, rest: str) -> None:
        self.say(HELP[language()])

    def do_clear(self, rest: str) -> None:
        self.talk.clear()
        self.tell("cleared")

    def do_undo(self, rest: str) -> None:
        taken = self.talk.undo()
        self.tell("undone" if taken else "nothing", text=taken)

    def do_again(self, rest: str) -> None:
        if self.talk.questions:
            self.answer(None)
        else:
            self.tell("nothing")

    def do_system(self, rest: str) -> None:
        self.talk.system = rest or None
        self.tell("system" if rest else "no_system", text=rest)

    def do_history(self, rest: str) -> None:
        self.say(
            "\n".join(f"{one['role']}: {one.get('content')}" for one in self.talk.messages) or self.words["nothing"]
        )

    def do_save(self, rest: str) -> None:
        self.with_file("save", rest)

    def do_load(self, rest: str) -> None:
        self.with_file("load", rest)

    def with_file(self, name: str, rest: str) -> None:
        """Save or load."""
        if not rest:
            self.tell("file", word=f"/{name}")
            return
        count = getattr(self.talk, name)(Path(rest).expanduser())
        self.tell("saved" if name == "save" else "loaded", count=count, file=rest)
