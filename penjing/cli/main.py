"""`penjing`: find the command, run it, tell what went wrong in the user's language.

Exit codes: 0 done, 1 `verify` found changes, 2 a mistake in what was asked, 70 a fault of Penjing, 130 stopped.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from penjing import __version__
from penjing.base.errors import OptionError, PenjingError
from penjing.recipe.stages import STAGES, first_line, headline

COMMANDS = ("run", "init", "advise", "predict", "generate", "chat", "show-mask", "verify")
LANGUAGES = ("en", "zh")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code; never a bare traceback."""
    from penjing.cli.faults import tell_error, tell_fault, tell_stopped
    from penjing.train.heap import prepare_few

    words = list(sys.argv[1:] if argv is None else argv)
    prepare_few()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait starve a busy machine
    try:
        choose_language(words)
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, stop)
        return dispatch(words)
    except PenjingError as error:
        return tell_error(error)
    except KeyboardInterrupt:
        return tell_stopped()
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
        return 0
    except Exception as error:
        return tell_fault(error)


def stop(number: int, frame: Any) -> None:
    """SIGTERM ends a command as Ctrl-C does."""
    raise KeyboardInterrupt


def choose_language(words: list[str]) -> None:
    """Take `--lang en|zh` out of the words, wherever it stands, so that it also rules the messages about the rest."""
    for place, word in enumerate(words):
        if word == "--":
            return
        if word == "--lang" or word.startswith("--lang="):
            end = place + 1 if "=" in word else place + 2
            given = word.partition("=")[2] if "=" in word else "".join(words[place + 1 : end])
            if given not in LANGUAGES:
                raise OptionError("P-OPTION-004", given=given, known=LANGUAGES, kind="language")
            os.environ["PENJING_LANG"] = given
            del words[place:end]
            return


def dispatch(words: list[str]) -> int:
    """Run the command that the first word names; without one, show the commands."""
    name = words[0] if words else "--help"
    if name in ("--version", "-V"):
        print(f"penjing {__version__}")
        return 0
    if name in ("--help", "-h", "help"):
        return call(overview(), ["--help"])
    if name.startswith("-"):
        known = ("--help", "--version", "--lang")
        raise OptionError("P-OPTION-001", owner="penjing", given=name, known=known)
    if name not in (*COMMANDS, *STAGES):
        raise OptionError("P-OPTION-004", given=name, known=(*COMMANDS, *STAGES), kind="command")
    return call(single(name), words)


def application() -> Any:
    """An empty application with the options that stand before any command."""
    import typer

    app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)

    @app.callback(help="Small language models you can trust: from raw text to a measured, documented model.")
    def penjing(
        lang: str = typer.Option(None, metavar="en|zh", help="Language of messages; also PENJING_LANG."),
        version: bool = typer.Option(False, "--version", help="Show the version."),
    ) -> None:
        pass

    return app


def overview() -> Any:
    """All commands with one line each; they are not imported for it."""
    app = application()
    for name in COMMANDS:
        line = first_line(Path(__file__).with_name(f"{module(name)}.py"), "command")
        app.command(name, short_help=line)(lambda: None)  # `help` would be cut after a few words
    for name in STAGES:
        app.command(name, short_help=f"Stage: {headline(name)}")(lambda: None)
    return app


def module(command: str) -> str:
    """The file of a command."""
    return command.replace("-", "_")


def single(name: str) -> Any:
    """An application with the one command that is asked for."""
    app = application()
    if name in COMMANDS:
        app.command(name)(import_module(f"penjing.cli.{module(name)}").command)
    else:
        from penjing.cli.stage import stage_command
        from penjing.recipe.stages import BUILT_IN

        app.command(name)(stage_command(BUILT_IN[name]))
    return app


def call(app: Any, words: list[str]) -> int:
    """Parse and run; typer's complaints become ours."""
    from typer.main import get_command

    from penjing.cli.faults import STOPPED, usage_error

    try:
        code = get_command(app)(args=words, prog_name="penjing", standalone_mode=False)
    except Exception as error:
        kinds = {kind.__name__ for kind in type(error).__mro__}
        if "Abort" in kinds:
            raise KeyboardInterrupt from error
        if "UsageError" in kinds:
            raise usage_error(error) from error
        raise
    if code == STOPPED:  # typer's own word for Ctrl-C
        raise KeyboardInterrupt
    return code if isinstance(code, int) else 0
