"""Stages of a few lines for the tests of recipes and of the command line."""

import errno
import json
import os
import signal
import time
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from penjing.base.errors import DataError, FileError, PenjingError
from penjing.base.progress import tell
from penjing.recipe.stage import Stage


def make(
    out: Path,
    *,
    source: Annotated[Path, Field(description="file to begin with")],
    text: Annotated[str, Field(description="text put before it")] = "hi",
    seed: Annotated[int, Field(ge=0, description="seed of nothing")] = 0,
) -> dict:
    """Make a file from a file."""
    tell("begin", "make", total=2)
    (out / "deep").mkdir()
    (out / "deep" / "made.txt").write_text(text + source.read_text() + str(seed))
    tell("step", "make", done=1, total=2, loss=0.5, tokens_per_second=1234.0, padding=0.01)
    return {"characters": len(text)}


def copy(
    out: Path,
    *,
    data: Annotated[Path | list[Path], Field(description="what to copy")],
    times: Annotated[int, Field(gt=0, description="how often")] = 1,
    order: Annotated[Literal["up", "down"], Field(description="direction")] = "up",
    names: Annotated[dict[str, str] | None, Field(description="pairs of names")] = None,
    loud: Annotated[bool, Field(description="capital letters")] = False,
) -> dict:
    """Copy what an earlier step made."""
    folders = data if isinstance(data, list) else [data]
    files = [f for folder in folders for f in ([folder] if folder.is_file() else sorted(folder.rglob("*.txt")))]
    text = "".join(f.read_text() for f in files) * times
    (out / "copy.txt").write_text((text.upper() if loud else text) + order + json.dumps(names))
    return {"times": times}


def grow(
    out: Path,
    *,
    until: Annotated[int, Field(description="how many lines")] = 4,
    kill: Annotated[str, Field(description="file that says at which line to be killed; it is removed")] = "",
) -> dict:
    """A long stage: a line at a time; it can go on after a kill."""
    state = out / "resume.json"
    done = json.loads(state.read_text())["done"] if state.exists() else 0
    began = done
    while done < until:
        with open(out / "lines.txt", "a") as file:
            file.write(f"{done}\n")
        done += 1
        state.write_text(json.dumps({"done": done}))
        if kill and Path(kill).exists() and int(Path(kill).read_text()) == done:
            Path(kill).unlink()
            os.kill(os.getpid(), signal.SIGKILL)
    return {"began": began}


def fail(out: Path, *, how: Annotated[str, Field(description="which failure")] = "full") -> dict:
    """Fail after half of the work."""
    (out / "half.txt").write_text("half")
    numbers = {"full": errno.ENOSPC, "forbidden": errno.EACCES, "gone": errno.ENOENT}
    if how in numbers:
        raise OSError(numbers[how], os.strerror(numbers[how]))
    if how == "term":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    raise {"stop": KeyboardInterrupt, "fault": ZeroDivisionError}[how]("half way")


def finetune(out: Path, *, data: Annotated[Path, Field(description="data")]) -> dict:
    """Pretend to train."""
    (out / "model").mkdir()
    (out / "model" / "penjing.json").write_text('{"kind": "toy"}')
    return {"steps": 3}


def evaluate(out: Path, *, model: Annotated[Path, Field(description="a finetune step")]) -> dict:
    """Pretend to measure."""
    (out / "scores.json").write_text("{}")
    score = {"accuracy": {"value": 0.9, "low": 0.88, "high": 0.92}}
    return {"model": score, "baselines": {"tfidf": score}, "ensemble": score, "verdict": "worth it: +2.1 points"}


def report(out: Path, *, evaluate: Annotated[Path, Field(description="an evaluate step")]) -> dict:
    """Pretend to report."""
    (out / "report.html").write_text("<html></html>")
    return {}


def picky_check(options: dict, base: Path) -> list[PenjingError]:
    """A stage's own check: the pattern must match files in the folder."""
    if "folder" not in options or list(options["folder"].glob(options["files"])):
        return []
    return [FileError("P-FILE-001", path=options["folder"] / options["files"], base=base, option="files")]


def picky_inputs(options: dict) -> list[Path]:
    """Only what the pattern matches."""
    return sorted(options["folder"].glob(options["files"]))


def picky(
    out: Path,
    *,
    folder: Annotated[Path, Field(description="where")] = Path("."),
    files: Annotated[str, Field(description="pattern")] = "*.txt",
) -> dict:
    """Read files by a pattern inside a folder."""
    (out / "all.txt").write_text("".join(p.read_text() for p in picky_inputs({"folder": folder, "files": files})))
    return {}


def broken(out: Path) -> dict:
    """Find something wrong with the data."""
    raise DataError("P-FILE-004", path="data.csv", reason="toy")


TOYS = {
    "make": make,
    "copy": copy,
    "grow": grow,
    "fail": fail,
    "broken": broken,
    "finetune": finetune,
    "evaluate": evaluate,
    "report": report,
    "picky": Stage("picky", picky, check=picky_check, inputs=picky_inputs),
    "lacking": Stage("lacking", broken, extras={"no_such_module": "evaluate"}),
}

TWO = """\
name: toy
stages:
  first:
    do: make
    source: in.txt
  second:
    do: copy
    data: $first/deep
    times: 2
"""


def place(folder: Path, text: str = TWO) -> Path:
    """A folder with a recipe and its input; returns the recipe."""
    (folder / "in.txt").write_text("x")
    (folder / "recipe.yaml").write_text(text)
    return folder / "recipe.yaml"
