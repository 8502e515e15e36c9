"""The families. To add one, write one file here and add its name to FAMILIES.

The file holds a `FAMILY`: for each `model_type` the architectures by purpose ("masked", "causal", "seq2seq",
"classify", "tag", "span", "next_sentence", "replaced", and "base": no head, stored without the `root` of the names);
`keys`, their config keys beside our fields, read in both directions; `fixed`, the fields that never vary;
`only`, keys that can take one value; `read` and `write` for what no table can say (with `also`, the keys they read);
`names` (our weight name -> theirs, `{i}` the layer, marks as in `model/weights.py` for stored forms); `spellings`, other
names of their keys; `style` and `write_style` for the classifier, `styles` for the heads of other purposes, `token_heads`
for their names where every token is scored; `start`, what a fresh decoder begins with. The network itself is not touched:
a family is a config. A toy config of it in tests/parity/foreign.py, and the tests check it unasked. A model type that two
families write is read as the later one.
"""

from __future__ import annotations

import importlib
from functools import cache
from pathlib import Path

from penjing.base.errors import ModelError
from penjing.model.families.family import Family

FAMILIES = (
    "bert", "roberta", "distilbert", "electra", "modernbert", "gpt2", "llama", "mistral", "qwen2", "qwen3", "gpt_neox",
    "bloom", "t5", "mt5", "bart", "mbart", "vaswani", "marian", "lstm",
)  # fmt: skip


@cache
def families() -> dict[str, Family]:
    """Every family by its name and by each of its model types."""
    found = {}
    for name in FAMILIES:
        family = importlib.import_module(f"penjing.model.families.{name}").FAMILY
        found |= {model_type: family for model_type in family.architectures}
        found[name] = family
    return found


def family_of(name: str, file: str | Path | None = None) -> Family:
    """A family by its name or a `model_type` of it."""
    if name not in families():
        raise ModelError("P-MODEL-010", given=name, known=families(), file=file)
    return families()[name]
