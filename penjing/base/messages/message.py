"""The shape of one message."""

from typing import NamedTuple


class Message(NamedTuple):
    """What is wrong and how to mend it, in both languages."""

    en: str
    zh: str
    fix_en: str
    fix_zh: str
