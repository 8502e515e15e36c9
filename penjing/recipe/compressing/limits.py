"""What a user allows and asks for: `0.5%`, `5MB`, `3ms`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from penjing.base.errors import OptionError

SIZES = {"B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
TIMES = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}
NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?|\.\d+)\s*([^\d\s.]+)\s*")


@dataclass(frozen=True)
class Limits:
    """drop: a share of the main score's full mark; size: bytes of the folder; latency: seconds of one record alone."""

    drop: float
    size: float | None = None
    latency: float | None = None

    @classmethod
    def said(cls, drop: Any, size: Any, latency: Any) -> Limits:
        """From the user's words. Raises P-CHANGE-110 and P-CHANGE-111."""
        return cls(share(drop), amount(size, "size", SIZES), amount(latency, "latency", TIMES))

    def met(self, size: float, latency: float) -> bool:
        """Whether a model is as small and as quick as was asked."""
        return size <= (self.size or size) and latency <= (self.latency or latency)

    def told(self) -> str:
        """The targets in words."""
        parts = [] if self.size is None else [f"{self.size / 1e6:.3g} MB"]
        return ", ".join(parts + ([] if self.latency is None else [f"{1000 * self.latency:.3g} ms"]))


def share(said: Any) -> float:
    """`0.5%` as 0.005. A number without its sign could mean either, so it is an error."""
    found = NUMBER.fullmatch(said) if isinstance(said, str) else None
    if found is None or found[2] != "%" or float(found[1]) >= 100:
        raise OptionError("P-CHANGE-110", field="max_drop", given=said)
    return float(found[1]) / 100


def amount(said: Any, option: str, units: dict[str, float]) -> float | None:
    """A number above zero with its unit."""
    if said is None:
        return None
    found = NUMBER.fullmatch(said) if isinstance(said, str) else None
    if found is None or found[2] not in units or not float(found[1]):
        raise OptionError("P-CHANGE-111", field=option, given=said, known=list(units))
    return float(found[1]) * units[found[2]]
