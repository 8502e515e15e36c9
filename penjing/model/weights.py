"""Names of weights, ours and theirs, by a table that is read in both directions.

A table maps our module or parameter to theirs; `{i}` is the layer. A mark after `|` says how theirs is stored:
`h.{i}.attn.c_attn|transposed|0/3` is the first third of the rows of a matrix that is stored transposed,
`query_key_value|0/3/8` the first thirds of each of 8 heads, `bias|row` a vector that is stored as a matrix of one row.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from penjing.base.errors import ModelError
from penjing.model.tensors import FLOATS

Shapes = Mapping[str, torch.Size]
OWN = "penjing."  # before our name of a tensor that is only a part of theirs, whose other parts are not there
SHOWN = 12  # names of weights in one message
LAYER = re.compile(r"\bblocks\.(\d+)\.")


def theirs_of(name: str, table: Mapping[str, str]) -> tuple[str, list[str]] | None:
    """Their name of our parameter and the marks, or None where the table has none."""
    found = LAYER.search(name)
    generic = LAYER.sub("blocks.{i}.", name)
    stem, _, leaf = generic.rpartition(".")
    if generic in table:
        theirs, *marks = table[generic].split("|")
    elif stem in table:
        theirs, *marks = table[stem].split("|")
        theirs = f"{theirs}.{leaf}"
    else:
        return None
    return theirs.replace("{i}", found[1] if found else ""), marks


def part_of(marks: Iterable[str]) -> tuple[int, int, int]:
    """Which part of how many, in each of how many groups of rows."""
    for mark in marks:
        if "/" in mark:
            part, parts, *groups = (int(number) for number in mark.split("/"))
            return part, parts, groups[0] if groups else 1
    return 0, 1, 1


def from_theirs(
    table: Mapping[str, str],
    theirs: Mapping[str, Tensor],
    shapes: Shapes,
    extra: Iterable[str] = (),
    file: str | Path | None = None,
    blank: Iterable[str] = (),
) -> dict[str, Tensor]:
    """Their tensors under our names. `extra` are patterns of theirs that may be there unused; what is missing of
    `blank`, names of ours, is zero.

    What is missing, left over, of another shape or of whole numbers is one error that lists all of it.
    """
    tensors, used, missing, misshapen = {}, set(), [], []
    for name, shape in shapes.items():
        found = (OWN + name, []) if OWN + name in theirs else theirs_of(name, table)
        if name in blank and found and found[0] not in theirs:
            tensors[name] = torch.zeros(shape)
            continue
        if found is None or found[0] not in theirs:
            missing.append(found[0] if found else name)
            continue
        used.add(found[0])
        tensor = cut(theirs[found[0]], found[1])
        if tensor is None or tensor.shape != shape:
            given = tuple((theirs[found[0]] if tensor is None else tensor).shape)
            misshapen.append(f"{found[0]} {given}, not {tuple(shape)}")
        elif tensor.dtype not in FLOATS:
            misshapen.append(f"{found[0]} {str(tensor.dtype).removeprefix('torch.')}")
        tensors[name] = tensor
    allowed = [re.compile(pattern) for pattern in extra]
    unexpected = [name for name in theirs if name not in used and not any(p.fullmatch(name) for p in allowed)]
    demand(missing, unexpected, misshapen, file)
    return tensors


def demand(missing: list[str], unexpected: list[str], misshapen: list[str], file: str | Path | None = None) -> None:
    """One error for all names that do not match."""
    if missing or unexpected or misshapen:
        listed = [
            f"{sign} {name}" for sign, names in (("-", missing), ("+", unexpected), ("≠", misshapen)) for name in names
        ]
        raise ModelError(
            "P-MODEL-014",
            file=file,
            count=len(listed),
            names="\n    ".join(listed[:SHOWN] + ["…"] * (len(listed) > SHOWN)),
        )


def cut(tensor: Tensor, marks: list[str]) -> Tensor | None:
    """Our tensor from theirs; None where the parts do not come out even."""
    if "transposed" in marks and tensor.dim() == 2:
        tensor = tensor.t().contiguous()
    tensor = tensor[0] if "row" in marks and tensor.shape[:1] == (1,) else tensor
    part, parts, groups = part_of(marks)
    if parts == 1:
        return tensor
    return (
        None if tensor.shape[0] % (parts * groups) else tensor.unflatten(0, (groups, parts, -1))[:, part].flatten(0, 1)
    )


def to_theirs(
    table: Mapping[str, str], ours: Mapping[str, Tensor], whole: bool = True, own: Collection[str] = ()
) -> dict[str, Tensor]:
    """Our tensors under their names, parts joined; not `whole`: parts without the others stand under our names.

    `own`: these stand under our names too, since they have no shape of theirs.
    """
    pieces: dict[str, dict[int, Tensor]] = {}
    stored: dict[str, tuple[int, int, bool]] = {}
    names: dict[str, list[str]] = {}
    missing = []
    for name, tensor in ours.items():
        found = theirs_of(name, table)
        if name in own:
            continue
        if found is None:
            missing.append(name)
            continue
        part, parts, groups = part_of(found[1])
        pieces.setdefault(found[0], {})[part] = tensor[None] if "row" in found[1] else tensor
        stored[found[0]] = parts, groups, "transposed" in found[1] and tensor.dim() == 2
        names.setdefault(found[0], []).append(name)
    alone = [name for name, held in pieces.items() if len(held) != stored[name][0] and not whole]
    lone = [*(name for name in ours if name in own), *(name for one in alone for name in names[one])]
    pieces = {name: held for name, held in pieces.items() if name not in alone}
    missing += [
        f"{name} ({len(held)}/{stored[name][0]})" for name, held in pieces.items() if len(held) != stored[name][0]
    ]
    demand(missing, [], [])
    return {name: join(held, *stored[name][1:]) for name, held in pieces.items()} | {
        OWN + name: ours[name].contiguous() for name in lone
    }


def join(held: dict[int, Tensor], groups: int, transposed: bool) -> Tensor:
    """Their tensor from our parts."""
    parts = [held[part].unflatten(0, (groups, -1)) for part in sorted(held)]
    tensor = torch.cat(parts, 1).flatten(0, 1) if len(parts) > 1 else held[0]
    return (tensor.t() if transposed else tensor).contiguous()
