"""What to try: each method alone at a few strengths first, then stacks of cuts that those points say cost the least.

A stack is a list of changes as recipes write them, and the word `heal` where training goes on. Cuts are told as the share
of what the original has that is gone; a stack that goes on from another one cuts the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from math import sqrt
from typing import Any, NamedTuple

from penjing.base.options import Choice

HEAL = "heal"
CUTS = ("layers", "neurons", "heads")
FEWER_BITS: dict[str, Choice] = {"int8": "int8", "int4": {"int4": {"method": "gptq"}}}
PIECES = "vocabulary"
METHODS = (*CUTS, PIECES, *FEWER_BITS)
SHARES = (0.25, 0.5, 0.75)  # of blocks, neurons or heads, at which each cut is tried alone
FIRST, LEAST = 0.5, 0.04  # share of the blocks' numbers that is left: of the first stack, and of the last

Stack = list[Choice]


class Cuts(NamedTuple):
    """What is gone: blocks, and shares of neurons and heads."""

    layers: int = 0
    neurons: float = 0.0
    heads: float = 0.0

    def within(self, other: Cuts) -> bool:
        """Whether the other has cut as much of everything, and more of something."""
        return self != other and all(one <= two for one, two in zip(self, other, strict=True))

    def after(self, before: Cuts) -> Stack:
        """The changes that lead from one to the other."""
        found: Stack = []
        if self.layers > before.layers:
            found.append({"layers": {"number": self.layers - before.layers}})
        for name in ("neurons", "heads"):
            gone, was = getattr(self, name), getattr(before, name)
            if gone > was:
                found.append({name: {"share": round((gone - was) / (1 - was), 4)}})
        return found


class Alone(NamedTuple):
    """What a cut of one kind and strength did to the original: the share of the blocks' numbers gone, and the drop."""

    gone: float
    drop: float


class Rung(NamedTuple):
    """A healed stack, the share of the blocks' numbers that it has left, and whether a model of it was shown to be
    within the budget."""

    cuts: Cuts
    stack: Stack
    left: float
    shown: bool


def single(name: str, blocks: int) -> Iterator[tuple[Any, Stack]]:
    """One method alone: each strength as a field of `Cuts`, and its stack."""
    if name == "layers":
        for number in sorted({round(share * blocks) for share in SHARES} & set(range(1, blocks))):
            yield number, Cuts(layers=number).after(Cuts())
    elif name in CUTS:
        for share in SHARES:
            yield share, Cuts(**{name: share}).after(Cuts())
    else:
        yield None, [ending(name)]


def ending(name: str) -> Choice:
    """The change of a method that is no cut."""
    return FEWER_BITS.get(name, name)


def endings(methods: Sequence[str]) -> list[Stack]:
    """What a stack can end with: fewer pieces, fewer bits."""
    fewer: Stack = [PIECES] if PIECES in methods else []
    return [[*fewer, bits] for name, bits in FEWER_BITS.items() if name in methods] or ([fewer] if fewer else [])


def left(cuts: Cuts, alone: Mapping[str, Mapping[Any, Alone]]) -> float:
    """The share of the blocks' numbers that is left, about: heads and neurons go from the blocks that are left."""
    gone = {name: alone[name][value].gone for name, value in cuts._asdict().items() if value}
    return (1 - gone.get("layers", 0.0)) * (1 - gone.get("neurons", 0.0) - gone.get("heads", 0.0))


def cheapest(
    above: float, target: float, before: Cuts, alone: Mapping[str, Mapping[Any, Alone]], tried: Sequence[Cuts] = ()
) -> Cuts | None:
    """The cuts that leave at most `target` and more than `above`, go on from others, and by their single drops cost the
    least; where none leaves so little, those that leave the least."""
    choices = [[0, *sorted(alone.get(name, ()))] for name in CUTS]
    found = [cuts for cuts in map(Cuts._make, product(*choices))
             if before.within(cuts) and above < left(cuts, alone) and cuts not in tried]  # fmt: skip
    if found and not any(left(cuts, alone) <= target for cuts in found):
        target = min(left(cuts, alone) for cuts in found)

    def cost(cuts: Cuts) -> tuple[float, float]:
        drops = (alone[name][value].drop for name, value in cuts._asdict().items() if value)
        return sum(max(0.0, drop) for drop in drops), -left(cuts, alone)

    return min((cuts for cuts in found if left(cuts, alone) <= target), key=cost, default=None)


def following(rungs: Sequence[Rung], alone: Mapping[str, Mapping[Any, Alone]]) -> tuple[Rung, Cuts] | None:
    """Where to go on from, and what to cut next: half as much is left while the budget holds, else between the smallest
    that held and the largest that did not. None: nothing is left to try. The first rung is the original."""
    low = max((rung.left for rung in rungs[1:] if not rung.shown), default=None)
    held = [rung for rung in rungs if rung.shown and (low is None or rung.left > low)] or [rungs[0]]
    high = min(rung.left for rung in held)
    target = high * FIRST if low is None else sqrt(high * low)
    if target < LEAST:
        return None
    before = min(held, key=lambda rung: rung.left)
    cuts = cheapest(low or 0.0, target, before.cuts, alone, [rung.cuts for rung in rungs])
    return None if cuts is None else (before, cuts)
