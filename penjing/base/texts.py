"""The text, or the two texts, of what a classifier is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from penjing.base.errors import DataError

Item = str | tuple[str, str] | Mapping[str, Any]  # a text, a pair of texts, a record
SIDES = (  # fields of records without `text`
    "source", "target", "document", "summary", "question", "context", "query", "passage", "anchor", "positive",
    "negative", "sentence1", "sentence2",
)  # fmt: skip
Two = tuple[Any, str | None]  # the text, and the second where there is one


def two_texts(item: Any) -> Two:
    """Both texts of an item. An empty second one counts as none, as in transformers."""
    if isinstance(item, Mapping):
        return item.get("text"), item.get("text_b") or None
    if isinstance(item, list | tuple) and len(item) == 2:
        return item[0], item[1] or None
    return item, None


def texts_in(record: Mapping[str, Any]) -> list[str]:
    """What a tokenizer may learn from a record: its text or texts, else the two sides of a pair."""
    names = ("text", "text_b", "positive", "negative") if "text" in record else SIDES
    return [record[name] for name in names if isinstance(record.get(name), str)]


def check_list(items: Any) -> None:
    """One text by itself is no list of texts, though its characters could be walked through."""
    if isinstance(items, str | bytes | Mapping):
        raise DataError("P-DATA-032", given=str(items)[:80])


def paired(records: Sequence[Any]) -> bool | None:
    """Whether records have two texts: all (True), none (False) or some (None)."""
    found = {two_texts(record)[1] is not None for record in records}
    return found.pop() if len(found) == 1 else None
