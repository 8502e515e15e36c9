"""Options are keyword arguments with types: a signature is at once the YAML keys, the flags and the Python call.

An option's type may carry pydantic's `Field`: `rate: Annotated[float, Field(gt=0, le=1, description="share of ...")]`.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from penjing.base.errors import OptionError, PenjingError, known, raise_all
from penjing.base.reasons import reason

PATHS = ("file", "teacher")  # options of a choice that name files and folders
NOTHING = inspect.Parameter.empty
Choice = str | dict[str, Any]  # a name, or {name: {option: value}}: options of a choice live inside the choice
Choices = Choice | list[Choice] | None  # one, several in their order, or none


@dataclass(frozen=True)
class Option:
    """One option as its signature declares it."""

    name: str
    type: Any  # with its Field, if any
    default: Any  # NOTHING if it must be given
    description: str

    @property
    def needed(self) -> bool:
        return self.default is NOTHING


def options_of(function: Callable[..., Any]) -> dict[str, Option]:
    """The keyword-only options of a function or of a dataclass, by name."""
    hints = get_type_hints(function, include_extras=True)
    found = {}
    fields = dataclasses.fields(function) if dataclasses.is_dataclass(function) else ()
    made = {one.name: one.default.get_default(call_default_factory=True) for one in fields
            if isinstance(one.default, FieldInfo)}  # fmt: skip
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY or isinstance(function, type):
            hint = hints.get(name, Any)
            found[name] = Option(name, hint, made.get(name, parameter.default), describe(hint))
    return found


def describe(hint: Any) -> str:
    """The description that an annotated type carries."""
    infos = [m for m in getattr(hint, "__metadata__", ()) if isinstance(m, FieldInfo)]
    return next((i.description for i in infos if i.description), "")


def kind_of(hint: Any) -> str:
    """A type in words a user reads: `int`, `a or b`, `list[str]`."""
    if hasattr(hint, "__metadata__"):
        return kind_of(get_args(hint)[0])
    if hint == Choice:
        return "name | {name: {option: value}}"
    if hint == Choices:
        return "name | {name: {option: value}} | list of these"
    if get_origin(hint) is not None and str(get_origin(hint)).endswith("Literal"):
        return " | ".join(map(str, get_args(hint)))
    if dataclasses.is_dataclass(hint):
        inside = any(
            map(dataclasses.is_dataclass, (arg for one in get_type_hints(hint).values() for arg in get_args(one)))
        )
        names = " | ".join(one.name for one in dataclasses.fields(hint))
        return f"{{{names}: {{option: value}}}}" if inside else f"{{{names}: value}}"
    args = ["..." if a is ... else kind_of(a) for a in get_args(hint) if a is not type(None)]
    if args and isinstance(get_origin(hint), type) and get_origin(hint) is not UnionType:
        return f"{get_origin(hint).__name__}[{', '.join(args)}]"
    return " | ".join(args) or getattr(hint, "__name__", str(hint))


def chosen(value: Any, known_names: Sequence[str], option: str) -> tuple[str, dict[str, Any]]:
    """The name and the options of a choice; a name that is not known is an error that tells the nearest."""
    named = {value: None} if isinstance(value, str) else value
    if len(named) != 1 or not isinstance(next(iter(named.values())), dict | None):
        raise OptionError("P-OPTION-007", option=option, given=value, known=known_names)
    name, given = next(iter(named.items()))
    return known(name, known_names, option), dict(given or {})


def with_paths(value: Any) -> Any:
    """A choice whose options named in PATHS are paths, so that they are looked for, hashed and told like other paths."""
    if not isinstance(value, dict):
        return value
    return {name: Path(inner) if name in PATHS and isinstance(inner, str) else with_paths(inner)
            for name, inner in value.items()}  # fmt: skip


def check_options(
    function: Callable[..., Any], given: Mapping[str, Any], owner: str, *, needed: bool = True, **place: Any
) -> dict[str, Any]:
    """Typed values for the options given; all problems found are raised at once.

    `needed=False` lets options without a default be absent (they come from elsewhere).
    """
    options, problems, checked = options_of(function), [], {}
    for name, value in given.items():
        if name not in options:
            problems.append(OptionError("P-OPTION-001", owner=owner, given=name, known=options, **place))
            continue
        try:
            checked[name] = convert(options[name], value)
        except ValidationError as error:
            problems.append(wrong(owner, options[name], value, error, place))
    if needed:
        absent = [o.name for o in options.values() if o.needed and o.name not in given]
        problems += [OptionError("P-OPTION-003", owner=owner, option=name, **place) for name in absent]
    raise_all(problems)
    return checked


def convert(option: Option, value: Any) -> Any:
    """`value` as the option's type wants it. True is no number, 3.0 is a whole number, "3" is text."""
    loose = TypeAdapter(option.type, config=ConfigDict(arbitrary_types_allowed=True, allow_inf_nan=False))
    if isinstance(value, bool) and "bool" not in kind_of(option.type) and "Any" not in kind_of(option.type):
        return loose.validate_python("on" if value else "off")  # YAML reads these two words as true and false
    return loose.validate_python(value)


def wrong(owner: str, option: Option, value: Any, error: ValidationError, place: dict[str, Any]) -> PenjingError:
    """The first complaint of pydantic, in our words."""
    return OptionError(
        "P-OPTION-002",
        owner=owner,
        option=option.name,
        given=value,
        reason=reason(error),
        kind=kind_of(option.type),
        **place,
    )
