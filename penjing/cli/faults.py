"""How the command line tells that something went wrong: one coded message on stderr, in red on a terminal."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

from penjing.base.errors import MachineError, OptionError, PenjingError, language
from penjing.recipe.stages import BUILT_IN

FAULT, STOPPED = 70, 130


def tell_error(error: PenjingError) -> int:
    """A mistake of the user, or the machine's refusal."""
    if os.environ.get("PENJING_DEBUG") == "1":
        traceback.print_exception(error)
    red(error.text())
    return error.exit_code


def tell_stopped() -> int:
    """Ctrl-C or SIGTERM: one line."""
    print("\n" + MachineError("P-SYSTEM-004").text().split("\n")[0], file=sys.stderr)
    return STOPPED


def tell_fault(error: Exception) -> int:
    """A fault of ours: one coded line, and the traceback in a file."""
    if os.environ.get("PENJING_DEBUG") == "1":
        traceback.print_exception(error)
    path = save_traceback(error)
    chinese = language() == "zh"
    if path:
        saved = f"调用栈已存入 {path}。" if chinese else f"The traceback is in {path}."
    else:
        saved = "调用栈无法保存。" if chinese else "The traceback could not be saved."
    reason = " ".join(str(error).split())[:300]
    red(MachineError("P-SYSTEM-002", kind=type(error).__name__, reason=reason, saved=saved).text())
    return FAULT


def save_traceback(error: Exception) -> Path | None:
    """Write the traceback to a new file in the system's temporary folder."""
    try:
        handle, name = tempfile.mkstemp(prefix="penjing-fault-", suffix=".txt")
        with open(handle, "w", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return None
    return Path(name)


def red(text: str) -> None:
    """Text on stderr; red when a person looks at it."""
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        text = f"\033[31m{text}\033[0m"
    print(text, file=sys.stderr)


def usage_error(error: Any) -> PenjingError:
    """What typer says about a command line, as an error of ours with the nearest name."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "penjing"
    parameter = getattr(error, "param", None)
    name = type(error).__name__
    if name == "NoSuchOption":
        known = [flag for p in context.command.params for flag in (*p.opts, *p.secondary_opts) if flag.startswith("-")]
        found = OptionError("P-OPTION-001", owner=command, given=error.option_name, known=[*known, "--help"])
        return BUILT_IN[context.info_name].told(found) if context.info_name in BUILT_IN else found
    if name == "MissingParameter" and parameter is not None:
        return OptionError("P-OPTION-003", owner=command, option=shown(parameter))
    if name == "BadParameter" and parameter is not None:
        kind = parameter.metavar or "value"
        return OptionError("P-OPTION-002", owner=command, option=shown(parameter), reason=error.message, kind=kind)
    return MachineError("P-SYSTEM-003", reason=error.format_message(), command=command)


def shown(parameter: Any) -> str:
    """A parameter as it stands in the help: --flag or NAME."""
    first = parameter.opts[0]
    return first if first.startswith("-") else first.upper()
