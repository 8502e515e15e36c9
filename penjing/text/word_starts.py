"""Which tokens begin a word, for masking whole words. Decided by two tables over the vocabulary, a lookup per token.

A word begins after white space, at punctuation and at each Chinese character; jieba can join characters into words.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from types import ModuleType

import numpy as np
import tokenizers

from penjing.base.errors import needs_extra

CHINESE = re.compile("[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0002fa1f]+")
SPACE = "▁"  # how Metaspace writes a space


class WordStarts:
    """Tables over the vocabulary: `first` (the token begins a word), `after` (the token behind it begins a word)."""

    def __init__(self, inner: tokenizers.Tokenizer, size: int, special: frozenset[int]):
        pipeline = json.loads(inner.to_str())
        prefix = pipeline["model"].get("continuing_subword_prefix") or ""
        wordpiece = pipeline["model"]["type"] == "WordPiece"
        table = (
            bytes_of_characters() if "ByteLevel" in json.dumps([pipeline["pre_tokenizer"], pipeline["decoder"]]) else {}
        )
        self.first, self.after = np.zeros(size, dtype=bool), np.zeros(size, dtype=bool)
        self.chinese = np.zeros(size, dtype=bool)
        for token, number in inner.get_vocab(with_added_tokens=True).items():
            if number in special:
                self.first[number] = self.after[number] = True
                continue
            inside = bool(wordpiece and prefix and token.startswith(prefix))
            raw = as_bytes(token.removeprefix(prefix) if inside else token, table)
            self.chinese[number] = is_chinese(raw)
            self.first[number] = not inside if wordpiece else begins(raw)
            self.after[number] = raw[-1:] in (b"\n", b"\t", b"\r") or (raw.isspace() and len(raw) > 1)

    def of(self, tokens: np.ndarray) -> np.ndarray:
        """T bool: does each token begin a word? The first token of a text always does."""
        starts = self.first[tokens]
        starts[1:] |= self.after[tokens[:-1]]
        starts[:1] = True
        return starts

    def joined(
        self, starts: np.ndarray, text: str, offsets: Sequence[tuple[int, int]], tokens: np.ndarray
    ) -> np.ndarray:
        """The same, with Chinese characters of one word joined. `offsets`: T pairs, each token's place in `text`."""
        inner = np.zeros(len(text) + 1, dtype=bool)  # True at characters inside a Chinese word
        for run in CHINESE.finditer(text):
            place = run.start()
            for word in jieba().cut(run.group()):
                inner[place + 1 : place + len(word)] = True
                place += len(word)
        begin = np.array([first for first, _ in offsets], dtype=np.int64)
        joined = starts & ~(self.chinese[tokens] & inner[begin])
        joined[:1] = True
        return joined


@cache
def jieba() -> ModuleType:
    """The segmenter of Chinese words, from the extra `chinese`."""
    try:
        import jieba as module
    except ImportError:
        needs_extra("jieba", "chinese", "Finding Chinese words")
    module.setLogLevel(60)
    return module


def bytes_of_characters() -> dict[str, int]:
    """The byte that each character of a byte-level vocabulary stands for (GPT-2's table)."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in kept]
    return {chr(byte): byte for byte in kept} | {chr(256 + i): byte for i, byte in enumerate(others)}


def as_bytes(token: str, table: dict[str, int]) -> bytes:
    """The UTF-8 bytes that a token stands for."""
    if table and all(character in table for character in token):
        return bytes(table[character] for character in token)
    if re.fullmatch("<0x[0-9A-F]{2}>", token):
        return bytes([int(token[3:5], 16)])
    return token.replace(SPACE, " ").encode("utf-8", "replace")


def is_chinese(raw: bytes) -> bool:
    """Does it begin with a Chinese character, or with the first bytes of one?"""
    if not raw or not (0xE3 <= raw[0] <= 0xE9 or raw[0] == 0xF0):
        return False
    character = raw.decode("utf-8", "ignore")[:1]
    whole = len(raw) >= (4 if raw[0] == 0xF0 else 3)
    return bool(CHINESE.match(character)) if whole else 0xE4 <= raw[0] <= 0xE9


def begins(raw: bytes) -> bool:
    """Does a token with these bytes begin a word: a space, punctuation, a Chinese character?"""
    if raw[:1] == b"\xf0":  # emoji and rare characters, or the first bytes of one
        return True
    if not raw or 0x80 <= raw[0] < 0xC0:  # the inside of a character
        return False
    if is_chinese(raw):
        return True
    character = raw.decode("utf-8", "ignore")[:1]
    return character.isspace() or unicodedata.category(character or "a")[0] in "PSZ"
