"""Where a folder keeps its chat templates: chat_template.jinja, additional_chat_templates/, tokenizer_config.json."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from penjing.base.errors import TextError
from penjing.base.files import told

TEMPLATE, TEMPLATES = "chat_template.jinja", "additional_chat_templates"
NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


def template_files(folder: Path) -> dict[str, str]:
    """The templates that have files of their own, by name."""
    files = {"default": folder / TEMPLATE} if (folder / TEMPLATE).is_file() else {}
    if (folder / TEMPLATES).is_dir():
        files |= {path.stem: path for path in sorted((folder / TEMPLATES).glob("*.jinja"))}
    return {name: read(path) for name, path in files.items()}


def read(path: Path) -> str:
    """A template as it stands; line ends are the template's own affair."""
    with told(path):
        try:
            return path.read_bytes().decode("utf-8").replace("\r\n", "\n")
        except UnicodeDecodeError as error:
            raise TextError("P-CHAT-005", file=path, reason=f"not UTF-8 ({error.reason})") from error


def named_templates(value: Any) -> dict[str, str]:
    """`chat_template` of tokenizer_config.json: one text, a table, or a list of tables with name and template."""
    if isinstance(value, list) and all(isinstance(one, dict) and {"name", "template"} <= one.keys() for one in value):
        value = {one["name"]: one["template"] for one in value}
    if not value:
        return {}
    named = value if isinstance(value, dict) else {"default": value}
    for name, template in named.items():
        if not NAME.fullmatch(str(name)):  # it becomes a file's name
            raise TextError("P-CHAT-013", given=name)
        if not isinstance(template, str):
            raise TextError("P-CHAT-005", field="chat_template", reason=f"{type(template).__name__}, not a text")
    return named
