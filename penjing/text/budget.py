"""The work that one rendering may do. A chat template comes from a stranger: it may be slow or huge, but not for ever.

One unit is about one character written. What is built of strings is measured before it is built.
"""

from __future__ import annotations

import re
import time
from typing import Any

UNITS, EACH = 20_000_000, 20_000  # in all, and more for each message: some seconds of work, far above what templates do
SECONDS = 30.0
TEXT = 4_000_000  # characters of one string
BITS = 4096  # of a whole number
WIDTH = 1000  # columns that a text may be indented or filled to
TURN, CALL, VALUE = 200, 50, 20  # units of one turn of a loop, of one call, of one value looked at
WIDE = {"center", "ljust", "rjust", "zfill", "expandtabs", "to_bytes", "indent", "wordwrap", "tojson", "batch", "slice"}
WIDTHS = re.compile(r"%[^a-zA-Z%]*(\*|\d{4})|\{[^{}:]*(\{|:[^{}]*(\{|\d{4}))")  # in % and {}: too wide, or computed
SHALLOW = {"length", "count", "first", "last", "list", "items", "select", "reject", "selectattr", "rejectattr", "map",
           "reverse", "default", "d", "batch", "slice", "attr", "random"}  # filters that look at no element's inside  # fmt: skip


class SpentError(Exception):
    """The template wants more than it may have; the text says of what."""


class Budget:
    """What is left for one rendering."""

    def __init__(self, messages: int, seconds: float = SECONDS):
        self.left, self.end = UNITS + EACH * messages, time.monotonic() + seconds

    def spend(self, units: int) -> None:
        """Take units, or stop the rendering."""
        self.left -= units
        if self.left < 0:
            raise SpentError("its loops or texts are too long")

    def turn(self, units: int = 0) -> None:
        """One turn of a loop or one call of a macro; `units` of fixed text stand in it."""
        self.spend(TURN + units)
        if time.monotonic() > self.end:
            raise SpentError(f"it takes longer than {SECONDS:.0f} seconds")

    def take(self, value: Any, *, text: bool = True) -> Any:
        """Pay for a value's parts, and with `text` for its characters; returns it."""
        if isinstance(value, str):
            if len(value) > TEXT:
                raise SpentError(f"a text of {len(value)} characters")
            self.spend(VALUE + len(value) * text)
            return value
        waiting = [value]
        while waiting:
            one = waiting.pop()
            self.spend(VALUE + len(one) * text if isinstance(one, str) else VALUE)
            if isinstance(one, dict):
                waiting += [*one.keys(), *one.values()]
            elif isinstance(one, list | tuple | set | frozenset):
                waiting += one
        return value

    # ---- before something is built ----

    def length(self, characters: int) -> None:
        """A string of so many characters is about to be made."""
        if characters > TEXT:
            raise SpentError(f"a text of {characters} characters")
        self.spend(max(0, characters))

    def before_operator(self, operator: str, left: Any, right: Any) -> None:
        """Pay for left `operator` right, before it is done."""
        whole = isinstance(left, int) and isinstance(right, int)
        if operator in ("*", "**") and whole:
            bits = left.bit_length() * (max(right, 0) if operator == "**" else 1) + right.bit_length()
            if bits > BITS:
                raise SpentError(f"a number of {bits} bits")
        elif operator == "*":
            for one, times in ((left, right), (right, left)):
                if isinstance(one, str | list | tuple | bytes) and isinstance(times, int):
                    self.length(len(one) * times)
        elif operator == "%" and isinstance(left, str):
            self.before_format(left, right)
        elif operator == "+" and hasattr(left, "__len__") and hasattr(right, "__len__"):
            self.length(len(left) + len(right))

    def before_format(self, form: str, values: Any) -> None:
        """A format with widths that are computed, or of four digits and more, is refused."""
        if WIDTHS.search(form.replace("{{", "").replace("%%", "")):
            raise SpentError("a format of great width")
        self.length(len(form))
        self.take(values)

    def before_call(self, name: str, value: Any, given: list[Any]) -> None:
        """Pay for value.name(*given) or value|name(*given)."""
        self.spend(CALL)
        if name in WIDE and any(isinstance(one, int) and one > WIDTH for one in given):
            raise SpentError(f"{name} with a width above {WIDTH}")
        if name in SHALLOW and not isinstance(value, str):
            return
        before, _ = self.left, self.take(value)
        if name == "sum" and not all(isinstance(one, int | float) for one in given if not isinstance(one, str)):
            self.spend((before - self.left) * (len(value) if hasattr(value, "__len__") else UNITS))  # copied each time
        size = len(value) if isinstance(value, str | bytes) else 1
        if name in ("indent", "tojson", "expandtabs"):
            lines = 1 + (sum(map(value.count, "\n\t")) if isinstance(value, str) else 0)
            self.length(size + lines * max([one for one in given if isinstance(one, int)], default=1))
        elif name in ("replace", "translate", "wordwrap"):
            longest = max((len(one) for one in texts_in(given)), default=0)
            hits = value.count(given[0]) if name == "replace" and size > 1 and isinstance(given[0], str) else size
            self.length(size + hits * longest)
        elif name == "join":
            parts = given[0] if isinstance(value, str) and given else value
            glue = value if isinstance(value, str) and given else "".join(texts_in(given))
            count = len(parts) if hasattr(parts, "__len__") else 0
            self.length(count * len(glue))
            self.take(parts)
        elif name in ("format", "format_map") and isinstance(value, str):
            self.before_format(value, given)


def texts_in(values: list[Any]) -> list[str]:
    """The texts among some values, those in a table too."""
    found = [one for one in values if isinstance(one, str)]
    tables = (one.values() for one in values if isinstance(one, dict))
    return found + [one for table in tables for one in table if isinstance(one, str)]
