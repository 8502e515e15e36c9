"""English, Chinese, both mixed, or something else: by scripts and by the commonest function words."""

from __future__ import annotations

import re

LOOKED_AT = 800  # characters of a text that decide
HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]+")
LATIN = re.compile(r"[A-Za-z]+")
ACCENTED = re.compile(r"[\xc0-\xd6\xd8-\xf6\xf8-\u024f\u1e00-\u1eff]")
FOREIGN = re.compile(
    r"[\u0370-\u1dff\u2c00-\u2dff\u3040-\u30ff\u3130-\u318f\ua640-\uabff\uac00-\ud7af]"
)  # Greek to Hangul
ENGLISH = frozenset(
    {
        "the", "a", "an", "and", "of", "to", "in", "is", "was", "were", "it", "that", "this", "for", "on", "with",
        "as", "at", "by", "be", "are", "from", "or", "not", "i", "you", "he", "she", "we", "they", "my", "your",
        "his", "her", "our", "their", "but", "have", "has", "had", "will", "would", "can", "could", "do", "does",
        "did", "what", "when", "how", "if", "there", "all", "so", "no", "me", "about",
    }
)  # fmt: skip
OTHERS = frozenset(
    {
        "al", "att", "auf", "avec", "ce", "che", "como", "con", "dans", "das", "dat", "del", "della", "den", "der",
        "des", "det", "di", "du", "een", "ein", "eine", "el", "em", "en", "est", "et", "für", "gli", "het", "ik",
        "ikke", "il", "ist", "je", "jeg", "la", "las", "le", "les", "lo", "los", "mit", "más", "nicht", "niet",
        "non", "nous", "não", "och", "og", "os", "para", "pas", "por", "pour", "på", "que", "qui", "se", "sich",
        "som", "sono", "su", "sur", "um", "uma", "una", "und", "une", "van", "von", "vous", "y", "zu", "är",
    }
)  # fmt: skip


def language_of(text: str) -> str:
    """`en`, `zh`, `mixed` (both) or `other`. A Chinese character weighs as much as an English word."""
    text = text[:LOOKED_AT]
    words = LATIN.findall(text)
    if text.isascii():
        return english_or_other(words, 0) if words else "other"
    han = sum(map(len, HAN.findall(text)))
    foreign = len(FOREIGN.findall(text))
    letters = sum(map(len, words))
    if not han and not words or foreign > 0.2 * (han + letters + foreign):
        return "other"
    share = han / (han + len(words))
    if share >= 0.8:
        return "zh"
    if share > 0.1:
        return "mixed"
    return english_or_other(words, len(ACCENTED.findall(text)) / max(letters, 1))


def english_or_other(words: list[str], accented: float) -> str:
    """Text in Latin letters, by function words; short text without any counts as English."""
    if accented > 0.04:
        return "other"
    lower = " ".join(words).lower().split()
    english = sum(map(ENGLISH.__contains__, lower))
    others = sum(map(OTHERS.__contains__, lower))
    return "other" if others > english and others >= 2 else "en"
