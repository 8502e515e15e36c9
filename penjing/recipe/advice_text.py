"""A text in both languages."""

from __future__ import annotations

from typing import Any, NamedTuple

from penjing.base.errors import language


class Text(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str

    def said(self) -> str:
        """In the user's language."""
        return self.zh if language() == "zh" else self.en

    def filled(self, **values: Any) -> Text:
        """With values for what stands in braces."""
        return Text(self.en.format(**values), self.zh.format(**values))
