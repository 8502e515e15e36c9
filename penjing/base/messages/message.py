"""The shape of one message, and of a part of one."""

from typing import NamedTuple


class Both(NamedTuple):
    """A part of a message that is itself in both languages."""

    en: str
    zh: str


class Message(NamedTuple):
    """What is wrong and how to mend it, in both languages."""

    en: str
    zh: str
    fix_en: str
    fix_zh: str
