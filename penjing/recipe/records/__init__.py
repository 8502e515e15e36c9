"""The kinds of records that the stage `clean` makes, one file each. A new kind = one file here + one word in KINDS.

The file `name.py` holds a dataclass `Kind` (see `penjing/text/kind.py`); its fields are the options of the kind.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from penjing.base.options import Choice, check_options, chosen
from penjing.text.kind import Kind

KINDS = ("texts", "tags", "pairs", "dialogues", "preferences")  # also the file names
USUAL = {"empty": "error", "exact_duplicates": True, "near_duplicates": False, "across_splits": "drop"}  # if left out


def kind_named(name: str) -> type[Kind]:
    """The class of a kind."""
    return importlib.import_module(f"{__name__}.{name}").Kind


def kind_of(records: Choice, options: Mapping[str, Any]) -> tuple[Kind, dict[str, Any]]:
    """The kind that was chosen, ready to read; and the options of the stage that depend on it, where left out."""
    name, said = chosen(records, KINDS, "records")
    kind = kind_named(name)
    made = kind(**check_options(kind, said, f"records {name}"))
    usual = USUAL | kind.USUAL
    ways = {option: usual[option] if options.get(option) is None else options[option] for option in usual}
    made.columns, made.encoding = dict(options.get("columns") or {}), options["encoding"]
    made.drop_empty = ways["empty"] == "drop"
    return made, ways
