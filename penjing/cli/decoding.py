"""What `penjing generate` and `penjing chat` share: the model, and a flag for each option of decoding."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penjing.base.errors import FileError
from penjing.base.files import told
from penjing.base.options import Option, options_of
from penjing.cli.stage import flags, values
from penjing.generate.options import GenerateOptions

if TYPE_CHECKING:
    from penjing.tasks.writer import Writer

FORMS = {
    "json_schema": Option(
        "json_schema", str | None, None, "the answer is JSON that this schema allows: a file, or the text"
    ),
    "regex": Option("regex", str | None, None, "the answer matches this regular expression as a whole"),
    "choices": Option("choices", list[str] | None, None, "the answer is one of these texts"),
    "grammar": Option(
        "grammar", str | None, None, "the answer follows this grammar (Lark or GBNF): a file, or the text"
    ),
}
OPTIONS = options_of(GenerateOptions) | FORMS
WORDS = ("bad_words", "forced_words")  # lists of lists: one list alone is one word


def decoding(command: Callable[..., int]) -> Callable[..., int]:
    """The command with a flag for each of GenerateOptions; they come to it as the mapping `options`."""
    own = inspect.signature(command).parameters

    def with_flags(**given: Any) -> int:
        texts = {name: given.pop(name) for name in OPTIONS}
        return command(**given, options=decoding_values(texts))

    kept = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own.values()]
    hints = inspect.get_annotations(command, eval_str=True)
    parameters = [one.replace(annotation=hints[one.name]) for one in kept if one.name != "options"] + flags(OPTIONS)
    with_flags.__doc__ = command.__doc__
    with_flags.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_flags.__annotations__ = {one.name: one.annotation for one in parameters}
    return with_flags


def decoding_values(texts: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given as flags."""
    plain = {name: text for name, text in texts.items() if name not in FORMS}
    found = values(OPTIONS, plain) | {name: texts[name] for name in FORMS if texts[name]}  # these are never YAML
    for name in ("json_schema", "grammar"):
        if name in found:
            found[name] = text_or_file(found[name])
    for name in WORDS:
        if name in found and not all(isinstance(one, list) for one in found[name]):
            found[name] = [found[name]]
    return found


def load_writer(model: Path, template: str | None = None) -> Writer:
    """The writer that a path means: a run, a step or a model folder. A template may be a file."""
    from penjing.recipe.models import model_folder
    from penjing.tasks.writer import Writer

    folder = model_folder(model, ("finetune", "ensemble", "merge", "shrink", "pretrain"))
    return Writer.load(folder, template=None if template is None else text_or_file(template))


def text_or_file(given: str) -> str:
    """The text of a file of this name, else what was given."""
    try:
        is_file = Path(given).is_file()
    except (OSError, ValueError):  # a text too long or strange for a name
        return given
    if not is_file:
        return given
    with told(Path(given)):
        try:
            return Path(given).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise FileError("P-FILE-004", path=given, reason=f"not UTF-8 ({error.reason})") from error
