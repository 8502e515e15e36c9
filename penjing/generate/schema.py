"""JSON schemas before they become a grammar: every keyword is honoured or told, never ignored.

JSON Schema itself ignores unknown keywords; a misspelt `minLenght` would silently allow all lengths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from penjing.base.errors import GenerateError, PenjingError, raise_all

HONOURED = {
    "type", "enum", "const", "anyOf", "allOf", "oneOf", "$ref", "$defs", "definitions",
    "properties", "required", "additionalProperties", "patternProperties", "minProperties", "maxProperties",
    "items", "prefixItems", "minItems", "maxItems", "minLength", "maxLength", "pattern", "format",
    "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf",
}  # fmt: skip
SPEECH = {"title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$schema", "$id",
          "$comment", "contentEncoding", "contentMediaType"}  # fmt: skip # they limit nothing
UNSUPPORTED = {
    "not", "if", "then", "else", "uniqueItems", "contains", "minContains", "maxContains", "propertyNames",
    "dependentRequired", "dependentSchemas", "dependencies", "unevaluatedItems", "unevaluatedProperties",
    "additionalItems", "contentSchema", "$anchor", "$dynamicRef", "$dynamicAnchor", "$recursiveRef", "$vocabulary", "nullable",
}  # fmt: skip
ONE, MANY, NAMED = {"items", "additionalProperties"}, {"anyOf", "allOf", "oneOf", "prefixItems"}, {
    "properties", "patternProperties", "$defs", "definitions",
}  # fmt: skip


def check_schema(schema: Any) -> None:
    """All that a grammar cannot honour, with its place. Raises P-GENERATE-033 and -038."""
    raise_all([problem for place, part in subschemas(schema) for problem in problems(place, part)])


def subschemas(schema: Any, place: str = "#") -> Iterator[tuple[str, Any]]:
    """(JSON pointer, schema) of a schema and of all within it, outermost first."""
    yield place, schema
    if not isinstance(schema, dict):
        return
    for key, value in schema.items():
        at = f"{place}/{escaped(key)}"
        if key in ONE:
            yield from subschemas(value, at)
        elif key in MANY and isinstance(value, list):
            for number, part in enumerate(value):
                yield from subschemas(part, f"{at}/{number}")
        elif key in NAMED and isinstance(value, dict):
            for name, part in value.items():
                yield from subschemas(part, f"{at}/{escaped(name)}")


def escaped(name: str) -> str:
    """A name as a JSON pointer writes it."""
    return str(name).replace("~", "~0").replace("/", "~1")


def problems(place: str, schema: Any) -> Iterator[PenjingError]:
    """What cannot be honoured at one place."""
    if isinstance(schema, bool):
        return
    if not isinstance(schema, dict):
        yield GenerateError("P-GENERATE-032", kind="JSON schema", field=place, reason=f"{schema!r} is no schema")
        return
    for key, value in schema.items():
        if key in UNSUPPORTED:
            yield GenerateError("P-GENERATE-033", field=place, given=key)
        elif key not in HONOURED and key not in SPEECH:
            yield GenerateError("P-GENERATE-038", field=place, given=key, known=sorted(HONOURED))
        elif key == "minProperties" and isinstance(value, int) and value > 1:
            # a name given twice would be counted twice
            yield GenerateError("P-GENERATE-033", field=place, given=f"minProperties: {value}")


def broken_at(schema: Any, complain: Callable[[dict[str, Any]], str]) -> tuple[str, str]:
    """The place and the complaint of the innermost part that is broken by itself.

    `complain(schema)` says what is wrong with a schema, "" if nothing.
    """
    shared = {key: schema[key] for key in ("$defs", "definitions") if isinstance(schema, dict) and key in schema}
    found = ("#", complain(schema))
    for place, part in subschemas(schema):
        if isinstance(part, dict) and len(place) > len(found[0]) and (reason := complain({**shared, **part})):
            found = (place, reason)
    return found
