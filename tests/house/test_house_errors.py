"""Every error code speaks both languages, has its area's prefix, is raised by the package and met by some test."""

import re
import string
from importlib import import_module
from pathlib import Path

from penjing.base.messages import AREAS, messages

ROOT = Path(__file__).parents[2]
PREFIX = {
    "options": "P-OPTION",
    "files": "P-FILE",
    "evaluate": "P-EVAL",
    "tokenizer": "P-TOKEN",
    "fewshot": "P-SHOT",
    "changes": "P-CHANGE",
    "compress": "P-CHANGE",  # its file is full
    "distil": "P-TASK",  # its file is full
}  # the others: the area's name
CODE = re.compile(r"P-[A-Z]+-\d{3}")


def text_of(folder, but=()):
    return "\n".join(p.read_text(encoding="utf-8") for p in folder.rglob("*.py") if not set(but) & set(p.parts))


def blanks(text):
    """The names that a message fills in."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_codes_have_their_prefix():
    for area in AREAS:
        prefix = PREFIX.get(area, f"P-{area.upper()}")
        for code in import_module(f"penjing.base.messages.{area}").MESSAGES:
            assert re.fullmatch(rf"{prefix}-\d{{3}}", code), (
                f"{code} stands in {area}.py; its codes begin with {prefix}"
            )


def test_both_languages():
    for code, message in messages().items():
        assert all(text.strip() for text in message), code
        assert re.search(r"[\u4e00-\u9fff]", message.zh) and re.search(r"[\u4e00-\u9fff]", message.fix_zh), code
        assert not re.search(r"[\u4e00-\u9fff]", message.en + message.fix_en), code
        assert blanks(message.en) == blanks(message.zh), f"{code}: the two languages fill in different names"
        assert blanks(message.fix_en) == blanks(message.fix_zh), f"{code}: the two fixes fill in different names"


def test_every_code_is_met_by_a_test():
    met = set(CODE.findall(text_of(ROOT / "tests")))
    assert not set(messages()) - met, sorted(set(messages()) - met)


def test_every_code_is_used_and_every_used_code_exists():
    used = set(CODE.findall(text_of(ROOT / "penjing", but=["messages"])))
    assert not set(messages()) - used, f"never raised: {sorted(set(messages()) - used)}"
    assert not used - set(messages()), f"raised without a text: {sorted(used - set(messages()))}"
