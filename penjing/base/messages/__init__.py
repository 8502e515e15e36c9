"""Every message a user can meet, in English and Chinese. One file per area; the codes never change meaning.

A message has four texts: what is wrong (English, Chinese) and how to mend it (English, Chinese). `{name}` in a text is
filled from the keyword values of the error that is raised.
"""

from __future__ import annotations

import importlib
from functools import cache

from penjing.base.messages.message import Message

AREAS = (
    "data", "options", "files", "text", "tokenizer", "chat", "model", "changes", "compress", "generate", "task", "distil",
    "train",    "evaluate", "fewshot", "export", "recipe", "advise", "system",
)  # fmt: skip


@cache
def messages() -> dict[str, Message]:
    """All messages by code. Two areas that claim one code are a mistake of ours."""
    found: dict[str, Message] = {}
    for area in AREAS:
        for code, message in importlib.import_module(f"penjing.base.messages.{area}").MESSAGES.items():
            assert code not in found, f"{code} is defined twice"
            found[code] = message
    return found
