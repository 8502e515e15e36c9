"""Draw what the library tells: a live table on a terminal, plain lines elsewhere. All of it on stderr."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TextIO

from penjing.base.errors import language
from penjing.base.progress import Event, listen

EVERY = 5.0  # seconds between plain lines of one step
WORDS = {
    "en": {"left": "left", "padding": "padding", "speed": "tokens/s", "loss": "loss", "done": "done",
           "kept": "unchanged, kept", "warning": "warning", "valid": "validation after {step} steps", "score": "score"},
    "zh": {"left": "剩余", "padding": "填充", "speed": "词元/秒", "loss": "损失", "done": "完成",
           "kept": "未变，保留", "warning": "注意", "valid": "{step} 步后验证", "score": "得分"},
}  # fmt: skip


@dataclass
class Line:
    """What is known about one piece of work."""

    what: str
    done: float | None = None
    total: float | None = None
    values: dict[str, Any] = field(default_factory=dict)
    text: str = ""
    start: float = field(default_factory=time.time)
    end: float | None = None
    shown: float = 0.0

    def take(self, event: Event) -> None:
        """Bring the line up to date; what begins when it has ended is the same work once more."""
        if event.kind == "begin" and self.end is not None:
            self.done = self.total = self.end = None
            self.values, self.text, self.start = {}, "", event.time
        self.done = event.done if event.done is not None else self.done
        self.total = event.total if event.total is not None else self.total
        self.values.update(event.values)
        self.text = event.text or self.text
        if event.kind == "end" or event.values.get("state") == "kept":
            self.end = event.time

    @property
    def share(self) -> float | None:
        """How much is done, 0 to 1."""
        if self.end is not None:
            return 1.0
        return min(1.0, self.done / self.total) if self.done is not None and self.total else None


def facts(line: Line) -> str:
    """Loss, speed, padding and time left, as far as they are told."""
    words, values, parts = WORDS[language()], line.values, []
    if line.values.get("state") == "kept":
        return words["kept"]
    if (loss := values.get("loss")) is not None:
        parts.append(f"{words['loss']} {loss:.3f}")
    if (speed := values.get("tokens_per_second")) is not None:
        parts.append(f"{short(speed)} {words['speed']}")
    if (padding := values.get("padding")) is not None:
        parts.append(f"{words['padding']} {100 * padding:.1f} %")
    if line.end is not None:
        parts.append(f"{words['done']} {clock(line.end - line.start)}")
    elif (left := seconds_left(line)) is not None:
        parts.append(f"{words['left']} {clock(left)}")
    return "  ".join(parts) or line.text


def note(event: Event) -> str:
    """The text of a note; of a validation its numbers."""
    words, loss, score = WORDS[language()], event.values.get("valid_loss"), event.values.get("valid_score")
    if loss is None:
        return event.text
    found = f"{words['valid'].format(step=int(event.done or 0))}: {words['loss']} {loss:.3f}"
    return found if score in (None, -loss) else f"{found}  {words['score']} {score:.3f}"


def seconds_left(line: Line) -> float | None:
    """As told, else from the share that is done."""
    if (told := line.values.get("seconds_left")) is not None:
        return float(told)
    share = line.share
    return (time.time() - line.start) * (1 - share) / share if share and time.time() - line.start > 2 else None


def clock(seconds: float) -> str:
    """75 -> 1:15; 0.42 -> 0.4 s."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def short(number: float) -> str:
    """12345 -> 12.3k."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.1f}{letter}"
    return f"{number:.0f}"


class Plain:
    """Lines of text: each begin, note, warning and end, and a step at most every EVERY seconds."""

    def __init__(self, stream: TextIO):
        self.stream, self.lines = stream, dict[str, Line]()

    def __call__(self, event: Event) -> None:
        line = self.lines.setdefault(event.what, Line(event.what, start=event.time))
        ended = line.end is not None
        again = ended if event.kind == "end" else event.kind == "begin" and line.shown > 0 and not ended
        line.take(event)
        due = not again and (event.kind != "step" or event.time - line.shown >= EVERY)
        if due and event.what != "recipe":
            line.shown = event.time
            print(self.words(event, line), file=self.stream, flush=True)

    def words(self, event: Event, line: Line) -> str:
        """One line for one event."""
        if event.kind == "begin":
            return f"{event.what} …"
        if event.kind == "warning":
            return f"{event.what}: {WORDS[language()]['warning']}: {event.text}"
        if event.kind == "note" and "state" not in event.values:
            return f"{event.what}: {note(event)}"
        share = "" if line.share is None else f" {100 * line.share:3.0f} %"
        return f"{event.what}:{share} {facts(line)}".rstrip()


class Live:
    """A live table: a line for each piece of work, notes and warnings above it."""

    def __init__(self, stream: TextIO):
        from rich.console import Console
        from rich.live import Live as Screen

        self.lines = dict[str, Line]()
        self.console = Console(file=stream)
        self.screen = Screen(console=self.console, refresh_per_second=4, get_renderable=self.table)

    def __call__(self, event: Event) -> None:
        if event.kind in ("begin", "step", "end") or "state" in event.values:
            self.lines.setdefault(event.what, Line(event.what, start=event.time)).take(event)
        if event.kind == "warning":
            self.console.print(f"{event.what}: {event.text}", style="yellow", markup=False, highlight=False)
        elif event.kind == "note" and "state" not in event.values:
            self.console.print(f"{event.what}: {note(event)}", style="dim", markup=False, highlight=False)

    def table(self) -> Any:
        """The lines as rich draws them."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        table = Table.grid(padding=(0, 2))
        for line in list(self.lines.values()):
            if line.what != "recipe":
                share = line.share
                bar = ProgressBar(total=1.0, completed=share or 0.0, pulse=share is None, width=28)
                percent = "" if share is None else f"{100 * share:.0f} %"
                table.add_row(Text(line.what), bar, Text(percent), Text(facts(line)))
        return table


@contextlib.contextmanager
def drawing(stream: TextIO | None = None) -> Iterator[None]:
    """Draw all events told inside the block."""
    stream = stream or sys.stderr
    if not stream.isatty():
        with listen(Plain(stream)):
            yield
        return
    live = Live(stream)
    with live.screen, listen(live):
        yield
