"""A command for a stage, made from its signature: each option is a flag with its description, type and default."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args, get_origin

import typer
import yaml

from penjing.base.errors import OptionError
from penjing.base.options import Choice, Option, kind_of, options_of
from penjing.recipe.stage import Stage


def stage_command(stage: Stage) -> Callable[..., Any]:
    """A function whose signature typer reads as flags; it runs the stage and shows the result."""
    options = options_of(stage.function)

    def command(out: str | None = None, named: str | None = None, **texts: Any) -> int:
        return run_stage(stage, options, out, with_model(options, named, texts))

    command.__doc__ = inspect.getdoc(stage.function)
    folder = typer.Option(None, "--out", metavar="folder", help="Folder to fill.  [needed]", show_default=False)
    parameters = [parameter("out", str | None, folder)]
    if "model" in options:
        word = typer.Argument(None, metavar="[model]", help="The same as --model.", show_default=False)
        parameters.insert(0, parameter("named", str | None, word))
    parameters += flags(options)
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters}
    return command


def with_model(options: Mapping[str, Option], named: str | None, texts: dict[str, Any]) -> dict[str, Any]:
    """The flags with a word that stands alone as the model; P-OPTION-006 where a flag says another."""
    if named is None:
        return texts
    if texts["model"]:
        raise OptionError("P-OPTION-006", option=named, other="--model")
    return texts | {"model": [named] if flag_type(options["model"]) == list[str] | None else named}


def flags(options: Mapping[str, Option]) -> list[inspect.Parameter]:
    """A parameter for each option."""
    return [parameter(option.name, flag_type(option), flag(option)) for option in options.values()]


def values(options: Mapping[str, Option], texts: Mapping[str, Any]) -> dict[str, Any]:
    """The values of the flags that were given."""
    given = {name: text for name, text in texts.items() if text is not None and text != []}
    return {name: text if isinstance(text, bool) else value_of(options[name], text) for name, text in given.items()}


def parameter(name: str, kind: Any, default: Any) -> inspect.Parameter:
    """One parameter of a generated command."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def flag_type(option: Option) -> Any:
    """Text for all but switches; what can be a list or a mapping may be given several times."""
    kinds = kinds_in(option.type)
    if kinds <= {bool, type(None)}:
        return bool | None
    return list[str] | None if kinds & {list, tuple, dict, Mapping} else str | None


def flag(option: Option) -> Any:
    """The flag of one option."""
    name = option.name.replace("_", "-")
    told = "needed" if option.needed else f"default: {default_text(option.default)}"
    names = [f"--{name}/--no-{name}"] if flag_type(option) == bool | None else [f"--{name}"]
    kind = None if flag_type(option) == bool | None else kind_of(option.type)
    kind = "name=value" if kinds_in(option.type) <= {dict, Mapping, type(None)} else kind
    return typer.Option(None, *names, metavar=kind, help=f"{option.description}  [{told}]", show_default=False)


def default_text(default: Any) -> str:
    """A default as the user would write it."""
    if default is None or isinstance(default, bool):
        return {None: "none", True: "on", False: "off"}[default]
    if default in ((), {}):
        return "none"
    return str(default) if str(default) else '""'


def kinds_in(hint: Any) -> set[Any]:
    """The plain types at the top of an annotated type or union: `int | None` gives int and NoneType."""
    if hasattr(hint, "__metadata__"):
        return kinds_in(get_args(hint)[0])
    origin = get_origin(hint)
    if origin in (list, tuple, dict, set, Mapping):
        return {origin}
    if str(origin).endswith("Literal"):
        return {type(value) for value in get_args(hint)}
    if get_args(hint):
        return set().union(*(kinds_in(part) for part in get_args(hint)))
    return {hint}


def value_of(option: Option, texts: str | list[str]) -> Any:
    """A flag's text as a value: plain text where text is wanted, else YAML; `key=value` flags make a mapping."""
    kinds = kinds_in(option.type)
    if kinds_in(Choice) <= kinds and isinstance(texts, list) and len(texts) > 1:
        found = choices(texts)
        return found if len(found) > 1 else found[0]
    if isinstance(texts, list):
        if kinds & {dict, Mapping} and all("=" in text and not text.startswith("{") for text in texts):
            return dict(text.split("=", 1) for text in texts)
        values = [one_value(kinds, text) for text in texts]
        if len(values) > 1:
            return values
        single = bool(kinds - {list, tuple, type(None)}) or isinstance(values[0], list | dict)
        return values[0] if single else values
    return one_value(kinds, texts)


def choices(texts: list[str]) -> list[Any]:
    """Names and, after each, its options as `name=value`: `lora rank=4 freeze`."""
    found: list[Any] = []
    for text in texts:
        name, equals, value = text.partition("=")
        if equals and found and text[:1] not in ("[", "{"):
            last, options = next(iter(found[-1].items())) if isinstance(found[-1], dict) else (found[-1], {})
            found[-1] = {last: {**(options or {}), name: read(value)}}
        else:
            found.append(one_value({str, dict}, text))
    return found


def one_value(kinds: set[Any], text: str) -> Any:
    """One text as a value."""
    plain = kinds & {str, Path} and not kinds & {int, float, bool}
    if (plain or (list in kinds and not kinds & {int, float})) and text[:1] not in ("[", "{"):
        return text
    return read(text)


def read(text: str) -> Any:
    """YAML as a value; what is none, such as a regular expression, as it stands."""
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text


def run_stage(stage: Stage, options: dict[str, Option], out: str | None, texts: dict[str, Any]) -> int:
    """Call the stage with the flags that were given."""
    from penjing.cli.draw import drawing
    from penjing.cli.summary import show_stage
    from penjing.recipe.call import call_stage

    if out is None:
        raise OptionError("P-OPTION-003", owner=f"penjing {stage.name}", option="out")
    given = values(options, texts)
    with drawing():
        manifest = call_stage(stage, out, given)
    show_stage(manifest, out)
    return 0
