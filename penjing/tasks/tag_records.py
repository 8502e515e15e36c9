"""Records of tagging: the fields' own forms made tokens and tags, and all that can be wrong with them.

A record is {tokens, tags}, or {text, entities: [{start, end, label}]} with places in characters, or {text} alone. A text
is cut into tokens as `penjing.text.tagging.cut` says; `offsets` then keeps the place of each token.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from penjing.base.errors import DataError
from penjing.base.records import Record
from penjing.text.tagging import Scheme, Span, cut, parsed, spans, tags_of

Fields = Mapping[str, Any]


def normal(record: Fields) -> Record:
    """The record with tokens, and with tags where it says which they are. What is broken stays, for `problems`."""
    place = {"file": getattr(record, "file", None), "line": getattr(record, "line", None)}
    if "tokens" in record or not isinstance(record.get("text"), str):
        return Record(record, **place)
    return Record({**record, **worded(record)}, **place)


def spelled(record: Fields, scheme: Scheme) -> list[str]:
    """The tags of a record in a scheme; those that have no mark of any scheme stay as they are."""
    tags = record["tags"]
    return tags_of(spans(tags), len(tags), scheme) if scheme != "none" and all(map(parsed, tags)) else list(tags)


def worded(record: Fields) -> dict[str, Any]:
    """Tokens, their places and, of entities that are in order, tags of a text."""
    text, found = record["text"], record.get("entities")
    if found is None or any(entity_faults(record)):
        offsets = cut(text)
        return {"tokens": [text[start:end] for start, end in offsets], "offsets": offsets}
    places = [place_of_entity(entity) for entity in found]
    offsets = cut(text, [border for start, end, _ in places for border in (start, end)])
    within = [
        Span(kind, *at)
        for start, end, kind in places
        if (at := tokens_between(offsets, start, end)) is not None
    ]  # fmt: skip
    tags = tags_of(within, len(offsets), "bio")
    return {"tokens": [text[start:end] for start, end in offsets], "offsets": offsets, "tags": tags}


def tokens_between(offsets: Sequence[tuple[int, int]], start: int, end: int) -> tuple[int, int] | None:
    """The tokens of a stretch of text; None where it is white space alone."""
    inside = [number for number, (first, last) in enumerate(offsets) if first >= start and last <= end]
    return (inside[0], inside[-1] + 1) if inside else None


def place_of_entity(entity: Any) -> tuple[int, int, str]:
    """Start, end and type of an entity, written as a dict or as a list of three."""
    if isinstance(entity, Mapping):
        return entity["start"], entity["end"], entity["label"] if "label" in entity else entity["type"]
    start, end, kind = entity
    return start, end, kind


def entity_faults(record: Fields) -> Iterator[tuple[Any, str]]:
    """What is wrong with the entities of a text: the entity and the reason."""
    found, places = record["entities"], []
    if not isinstance(found, list):
        yield found, "it is no list"
        return
    for entity in found:
        try:
            start, end, kind = place_of_entity(entity)
            whole = all(isinstance(n, int) and not isinstance(n, bool) for n in (start, end)) and isinstance(kind, str)
        except (KeyError, TypeError, ValueError):
            whole = False
        if not whole:
            yield entity, "it has no whole start, end and label"
        elif not 0 <= start < end <= len(record["text"]):
            yield entity, f"it is not within the {len(record['text'])} characters of the text"
        else:
            places.append((start, end, entity))
    places.sort(key=lambda one: one[:2])
    for (_, end, _), (start, _, entity) in zip(places, places[1:], strict=False):
        if start < end:
            yield entity, "it overlaps another one"


def is_texts(value: Any) -> bool:
    """Whether a value is a list of texts."""
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def problems(
    records: Sequence[Fields], learn: bool, names: Sequence[str] | None = None, scheme: Scheme = "none"
) -> Iterator[DataError]:
    """All that is wrong with records. learn: whether tags must be there. names: the tags of the scheme that are known."""
    known = None if names is None else frozenset(names)
    for number, record in enumerate(records):
        place = {"file": getattr(record, "file", None), "line": getattr(record, "line", None) or number + 1}
        if not is_texts(record.get("tokens")):
            yield DataError("P-TASK-054", given=sorted(record), **place)
            continue
        if "entities" in record and isinstance(record.get("text"), str):
            yield from (
                DataError("P-TASK-052", given=given, reason=why, **place) for given, why in entity_faults(record)
            )
        if not learn:
            continue
        tags = record.get("tags")
        if not is_texts(tags):
            yield DataError("P-TASK-009", field="tags", given=sorted(record), count=1, **place)
        elif len(tags) != len(record["tokens"]):
            yield DataError("P-TASK-051", tokens=len(record["tokens"]), tags=len(tags), **place)
        elif known is not None:
            yield from (
                DataError("P-TASK-053", given=tag, known=names, **place)
                for tag in sorted({*spelled(record, scheme)} - known)
            )
