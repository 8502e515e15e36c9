"""What a tokenizer does to texts: bytes per token, fertility, unknowns, longest tokens, scripts of its vocabulary."""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from penjing.text.tokenizer import Tokenizer
from penjing.text.word_starts import CHINESE, as_bytes, bytes_of_characters

SHOWN = 20  # longest tokens, split words, unknown characters shown
MOST = 2 << 20  # characters of text measured
WORD = re.compile(r"[^\W\d_]+")
SCRIPTS = (
    "LATIN",
    "CJK",
    "HIRAGANA",
    "KATAKANA",
    "HANGUL",
    "CYRILLIC",
    "GREEK",
    "ARABIC",
    "HEBREW",
    "THAI",
    "DEVANAGARI",
)


def tokenizer_report(tokenizer: Tokenizer, texts: Iterable[str], *, most: int = MOST) -> dict[str, Any]:
    """A JSON-able report over at most `most` characters of the texts, Chinese runs and the rest measured apart."""
    sample = list(first(texts, most))
    chinese = [run for text in sample for run in CHINESE.findall(text)]
    other = [part for text in sample for part in CHINESE.split(text) if part.strip()]
    words = Counter(word for part in other for word in WORD.findall(part))
    return {
        "size": tokenizer.size,
        "special": [tokenizer.token(i) for i in sorted(tokenizer.special)][: SHOWN * 5],
        "texts": len(sample),
        "all": measured(tokenizer, sample),
        "english": measured(tokenizer, other) | {"tokens_per_word": tokens_per_word(tokenizer, words)},
        "chinese": measured(tokenizer, chinese),
        "unknown_characters": unknown_characters(tokenizer, sample),
        "longest": longest(tokenizer),
        "scripts": scripts(tokenizer),
        "split_words": split_words(tokenizer, words),
    }


def first(texts: Iterable[str], most: int) -> Iterator[str]:
    """Texts until `most` characters are reached; the last one is cut."""
    for text in texts:
        if most <= 0:
            return
        text = text[:most].encode("utf-8", "replace").decode("utf-8")
        most -= len(text)
        yield text


def measured(tokenizer: Tokenizer, parts: list[str]) -> dict[str, Any]:
    """Sizes and ratios of some texts; a ratio without anything to divide by is None."""
    encoded = tokenizer.encode_many(parts)
    tokens = sum(map(len, encoded))
    unknown = sum(one.count(tokenizer.unknown) for one in encoded) if has_unknown(tokenizer) else 0
    size = sum(len(part.encode()) for part in parts)
    characters = sum(map(len, parts))
    return {
        "bytes": size,
        "characters": characters,
        "tokens": tokens,
        "bytes_per_token": ratio(size, tokens),
        "tokens_per_character": ratio(tokens, characters),
        "unknown_share": ratio(unknown, tokens),
    }


def has_unknown(tokenizer: Tokenizer) -> bool:
    """Is there an unknown token that is not at the same time the end token, as in GPT-2?"""
    return tokenizer.unknown is not None and tokenizer.unknown not in (tokenizer.end, tokenizer.begin)


def ratio(above: int, below: int) -> float | None:
    return round(above / below, 6) if below else None


def tokens_per_word(tokenizer: Tokenizer, words: Counter[str]) -> float | None:
    """Fertility: tokens of a word that follows a space, weighted by how often it occurs."""
    encoded = tokenizer.encode_many([f" {word}" for word in words])
    return ratio(sum(len(one) * n for one, n in zip(encoded, words.values(), strict=True)), words.total())


def unknown_characters(tokenizer: Tokenizer, sample: list[str]) -> list[list[Any]]:
    """The most frequent characters that the tokenizer does not know, with their counts."""
    if not has_unknown(tokenizer):
        return []
    counts = Counter(itertools.chain.from_iterable(sample))
    letters = [letter for letter in counts if not letter.isspace()]
    encoded = tokenizer.encode_many(letters)
    unknown = [letter for letter, one in zip(letters, encoded, strict=True) if tokenizer.unknown in one]
    return [[letter, counts[letter]] for letter in sorted(unknown, key=lambda one: (-counts[one], one))[:SHOWN]]


def readable(tokenizer: Tokenizer) -> Iterator[tuple[int, str]]:
    """Ordinary tokens as the text they stand for; bytes that are no whole character become �."""
    byte_level = "ByteLevel" in type(tokenizer.inner.decoder).__name__
    table = bytes_of_characters() if byte_level else {}
    for token, number in tokenizer.inner.get_vocab(with_added_tokens=True).items():
        if number not in tokenizer.special:
            yield number, as_bytes(token.removeprefix("##"), table).decode("utf-8", "replace")


def longest(tokenizer: Tokenizer) -> list[str]:
    """The longest tokens: boilerplate that slipped into the text shows here."""
    found = sorted(readable(tokenizer), key=lambda one: (-len(one[1]), one[0]))
    return [text for _, text in found[:SHOWN]]


def scripts(tokenizer: Tokenizer) -> dict[str, int]:
    """Tokens by the script of their first letter."""
    counts = Counter(script(text) for _, text in readable(tokenizer))
    return {"special": len(tokenizer.special), **dict(counts.most_common())}


def script(text: str) -> str:
    """latin, cjk, …; digits, punctuation, bytes (part of a character) or other."""
    if "\ufffd" in text:
        return "bytes"
    letter = next((one for one in text if one.isalpha()), "")
    if letter:
        name = unicodedata.name(letter, "")
        return next((one.lower() for one in SCRIPTS if name.startswith(one)), "other")
    return "digits" if any(one.isdigit() for one in text) else "punctuation"


def split_words(tokenizer: Tokenizer, words: Counter[str]) -> dict[str, list[str]]:
    """The most frequent words that take more than one token, with their tokens."""
    frequent = [word for word, _ in words.most_common(SHOWN * 50)]
    found = {}
    for word, one in zip(frequent, tokenizer.encode_many([f" {word}" for word in frequent]), strict=True):
        if len(one) > 1 and len(found) < SHOWN:
            found[word] = [tokenizer.decode([i]).strip() or tokenizer.token(i) for i in one]
    return found
