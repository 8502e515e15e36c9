"""JSON schema: 1 where the answer is JSON that fits it; `partly`: a part of that for JSON that does not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from penjing.base.errors import OptionError
from penjing.train.rewards import reward

KINDS: dict[str, Callable[[Any], bool]] = {
    "object": lambda v: isinstance(v, dict),
    "array": lambda v: isinstance(v, list),
    "string": lambda v: isinstance(v, str),
    "boolean": lambda v: isinstance(v, bool),
    "null": lambda v: v is None,
    "number": lambda v: isinstance(v, int | float) and not isinstance(v, bool),
    "integer": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and float(v).is_integer(),
}
WORDS: dict[
    str, Callable[[Any, Any], bool]
] = {  # keyword: does a value keep what it says? Of other kinds it says nothing
    "type": lambda v, said: any(KINDS[one](v) for one in (said if isinstance(said, list) else [said])),
    "enum": lambda v, said: any(same(v, one) for one in said),
    "const": lambda v, said: same(v, said),
    "minimum": lambda v, said: not KINDS["number"](v) or v >= said,
    "maximum": lambda v, said: not KINDS["number"](v) or v <= said,
    "exclusiveMinimum": lambda v, said: not KINDS["number"](v) or v > said,
    "exclusiveMaximum": lambda v, said: not KINDS["number"](v) or v < said,
    "minLength": lambda v, said: not isinstance(v, str) or len(v) >= said,
    "maxLength": lambda v, said: not isinstance(v, str) or len(v) <= said,
    "pattern": lambda v, said: not isinstance(v, str) or re.search(said, v) is not None,
    "minItems": lambda v, said: not isinstance(v, list) or len(v) >= said,
    "maxItems": lambda v, said: not isinstance(v, list) or len(v) <= said,
    "required": lambda v, said: not isinstance(v, dict) or set(said) <= set(v),
    "items": lambda v, said: not isinstance(v, list) or all(fits(one, said) for one in v),
    "properties": lambda v, said: not isinstance(v, dict) or all(fits(v[k], one) for k, one in said.items() if k in v),
    "anyOf": lambda v, said: any(fits(v, one) for one in said),
    "allOf": lambda v, said: all(fits(v, one) for one in said),
    "oneOf": lambda v, said: sum(fits(v, one) for one in said) == 1,
}
SPEECH = {"title", "description", "default", "examples", "$schema", "$id", "$comment"}  # they limit nothing
INNER: dict[str, Callable[[Any], list[Any]]] = {  # where schemas stand in a schema
    "items": lambda said: [said],
    "properties": lambda said: list(said.values()),
    "anyOf": list,
    "allOf": list,
    "oneOf": list,
    "additionalProperties": lambda said: [said],
}


@dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid"))
class Reward(reward.Reward):
    """Options of the JSON schema."""

    schema: Annotated[dict[str, Any], Field(description="the schema")]
    partly: Annotated[float, Field(ge=0, le=1, description="what JSON is worth that does not fit")] = 0.0

    name: ClassVar[str] = "json_schema"

    def prepare(self):
        if reason := complaint(self.schema):
            raise OptionError("P-TRAIN-036", reward=self.name, given=json.dumps(self.schema), reason=reason)

    def of(self, answers, records):
        return [self.one(answer) for answer in answers]

    def one(self, answer: str) -> float:
        """What one answer is worth."""
        try:
            value = json.loads(answer)
        except (ValueError, RecursionError):
            return 0.0
        return 1.0 if fits(value, self.schema) else self.partly


def fits(value: Any, schema: Any) -> bool:
    """Does a value keep all that a schema says?"""
    if isinstance(schema, bool):
        return schema
    others = schema.get("additionalProperties", True)
    if isinstance(value, dict) and others is not True:
        strange = [one for name, one in value.items() if name not in schema.get("properties", {})]
        if not all(fits(one, others) for one in strange):
            return False
    return all(WORDS[word](value, said) for word, said in schema.items() if word in WORDS)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON has it: true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def complaint(schema: Any) -> str:
    """What is wrong with a schema or cannot be checked here; "" if nothing."""
    if isinstance(schema, bool):
        return ""
    if not isinstance(schema, dict):
        return f"{schema!r} is no schema"
    if strange := sorted(set(schema) - set(WORDS) - SPEECH - {"additionalProperties"}):
        return f"{strange[0]} is not among {', '.join(sorted({*WORDS, 'additionalProperties'}))}"
    try:
        parts = [part for word, inside in INNER.items() if word in schema for part in inside(schema[word])]
        if found := next(filter(None, map(complaint, parts)), ""):
            return found
        for value in (None, "", 0, [], {}):
            fits(value, schema)
    except (TypeError, AttributeError, KeyError, re.error) as error:
        return f"{type(error).__name__}: {error}"
    return ""
