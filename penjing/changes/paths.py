"""Where a change goes: a pattern over the paths of the original network.

A pattern is a regular expression that a whole path, or its end after a dot, must match: `attention.query` is every
query of an attention, `decoder\\.blocks\\.[01]\\..*` all within the first two blocks. Dots need no backslash.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from penjing.base.errors import OptionError
from penjing.changes.edits import SLOT, is_edits, kind_of, originals, stand_ins

NEAR = 6  # paths that an error shows


def pattern_of(where: str, option: str = "where") -> re.Pattern[str]:
    """A pattern, compiled; P-CHANGE-003 if it is none."""
    try:
        return re.compile(rf"(?:.*\.)?(?:{where})")
    except re.error as error:
        raise OptionError("P-CHANGE-003", field=option, given=where, reason=error) from error


def matching(
    network: nn.Module, where: str, kinds: Sequence[type[nn.Module]], option: str = "where", *, needed: bool = True
) -> dict[str, nn.Module]:
    """The modules of these kinds whose path matches; none, where one is needed, is P-CHANGE-002 with the nearest paths."""
    pattern = pattern_of(where, option)
    able = {path: module for path, module in originals(network) if issubclass(kind_of(module), tuple(kinds))}
    found = {path: module for path, module in able.items() if pattern.fullmatch(path)}
    if needed and not found:
        raise OptionError("P-CHANGE-002", field=option, given=where, known=near(where, able))
    return found


def holders(
    network: nn.Module, where: str, kinds: Sequence[type[nn.Module]], option: str = "where"
) -> dict[str, nn.Module]:
    """The modules that hold what those at matching paths multiply by, by their path: themselves, or, where something
    stands in for their matrix, the products that it is made of. P-CHANGE-064 where it is made of none.
    """
    found: dict[str, nn.Module] = {}
    stuck = []
    for path, module in matching(network, where, kinds, option).items():
        own = products_in(path, module)
        stuck += [] if own else [path]
        found |= own
    if stuck:
        raise OptionError("P-CHANGE-064", field=option, given=where, paths=shown(stuck), option=option)
    return found


def products_in(path: str, module: nn.Module) -> dict[str, nn.Module]:
    """A module that has its own matrix, or the products within what stands in for it, these again by theirs."""
    inner = stand_ins(module)
    if not inner:
        return {path: module}
    number, edit = next(iter(inner.items()))
    children = {name: one for name, one in edit.named_children() if issubclass(kind_of(one), nn.Linear | nn.Embedding)}
    found: dict[str, nn.Module] = {}
    for name, one in children.items():
        found |= products_in(f"{path}.{SLOT}.{number}.{name}".removeprefix("."), one)
    return found


def shown(paths: Sequence[str]) -> str:
    """The first few of some paths."""
    return ", ".join([*paths[:NEAR], *(["…"] if len(paths) > NEAR else [])])


def parameters_matching(network: nn.Module, where: str, option: str = "where", ending: str = "") -> set[str]:
    """The names of the network's own parameters, with this ending, that match or stand in a module that does."""
    pattern = pattern_of(where, option)
    names = [name for name, _ in network.named_parameters() if not is_edits(name) and name.endswith(ending)]
    found = {name for name in names if any(pattern.fullmatch(part) for part in beginnings(name))}
    if not found:
        raise OptionError("P-CHANGE-002", field=option, given=where, known=near(where, names))
    return found


def beginnings(name: str) -> list[str]:
    """A name and the paths of all that it stands in."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts) + 1)]


def near(where: str, paths: Iterable[str]) -> list[str]:
    """The paths that look most like a pattern, one of each kind of place."""
    generic = dict.fromkeys(re.sub(r"\.\d+\.", ".0.", path) for path in paths)
    plain = re.sub(r"[^\w.]+", "", where.replace("\\.", ".")).strip(".")

    def likeness(path: str) -> float:
        ends = [path.split(".", n)[-1] for n in range(path.count(".") + 1)]
        return max(difflib.SequenceMatcher(None, plain, end).ratio() for end in ends)

    return sorted(generic, key=likeness, reverse=True)[:NEAR]


def pattern_for(paths: Iterable[str]) -> str:
    """A pattern that these paths match and, of one network, no others."""
    found: dict[tuple[str, str], list[str]] = {}
    for path in paths:
        before, number, after = re.fullmatch(r"(?:(.*?)\.(\d+)\.)?(.*)", path).groups()  # type: ignore[union-attr]
        found.setdefault((before or "", after), []).extend([number] if number else [])
    places = [
        (f"{before}.({'|'.join(numbers)})." if numbers else "", after) for (before, after), numbers in found.items()
    ]
    return "|".join(f"^{place}{after}" for place, after in places)


def is_shared(network: Any, path: str) -> bool:
    """Whether a module's matrix is the embedding and the vocabulary head at once: folded, it would change both."""
    output = getattr(network, "output", None)
    return output is not None and output.weight is None and path in ("embedding", "output")
