"""What each token adds to the text, in bytes: what a grammar or a verse form needs to judge a token before it is taken.

A byte-level or byte-fallback token may be a part of a character, so text would not do.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from penjing.base.errors import GenerateError
from penjing.text.tokenizer import Tokenizer
from penjing.text.word_starts import SPACE, bytes_of_characters

BYTES = {f"<0x{byte:02X}>": bytes([byte]) for byte in range(256)}
BYTES["<0x20>"] = b""  # a space has its own sign, and as a byte it would not be dropped at the start of a text
TABLE = bytes_of_characters()
KNOWN = ("ByteLevel", "WordPiece", "Metaspace", "ByteFallback", "Fuse", "Strip", "Replace")
ANCHOR = "x"  # a word before the token, so that its own space is seen


class TokenBytes(NamedTuple):
    """The bytes of every token id; b"" where a token adds nothing (special tokens, holes of the vocabulary)."""

    of: list[bytes]
    first_space: (
        str  # a space before the text's first token is "kept", "dropped" if there, or there "always" and dropped
    )


def token_bytes(tokenizer: Tokenizer) -> TokenBytes:
    """The bytes that each token adds to `tokenizer.decode`. Raises P-GENERATE-030 for a decoder it does not know."""
    inner = tokenizer.inner
    parts = decoders(json.loads(inner.to_str())["decoder"])
    names = {part["type"] for part in parts}
    strange = sorted(part["type"] for part in parts if not understood(part))
    if strange or not names & {"ByteLevel", "WordPiece", "Metaspace", "Replace"}:
        raise GenerateError("P-GENERATE-030", given=strange[0] if strange else "none", known=KNOWN)
    found = [b""] * tokenizer.size
    for token, number in inner.get_vocab(with_added_tokens=True).items():
        if number not in tokenizer.special:
            found[number] = meaning(token, names, inner.decoder)
    if "WordPiece" in names:
        return TokenBytes(found, "always")
    return TokenBytes(found, "dropped" if inner.decoder.decode([SPACE + ANCHOR]) == ANCHOR else "kept")


def decoders(table: dict[str, Any] | None) -> list[dict[str, Any]]:
    """The decoder's parts, sequences unfolded."""
    if table is None:
        return []
    if table["type"] != "Sequence":
        return [table]
    return [part for one in table["decoders"] for part in decoders(one)]


def understood(part: dict[str, Any]) -> bool:
    """Is it clear what this part of a decoder does to one token?"""
    if part["type"] == "Replace":
        return part["pattern"] == {"String": SPACE} and part["content"] == " "
    if part["type"] == "Strip":
        return (part["content"], part["start"] <= 1, part["stop"]) == (" ", True, 0)
    return part["type"] in KNOWN


def meaning(token: str, names: set[str], decoder: Any) -> bytes:
    """The bytes of one token behind others."""
    if "WordPiece" in names:
        return decoder.decode([ANCHOR, token])[len(ANCHOR) :].encode("utf-8", "replace")
    if "ByteLevel" in names and all(character in TABLE for character in token):
        return bytes(TABLE[character] for character in token)
    if "ByteFallback" in names and token in BYTES:
        return BYTES[token]
    return token.replace(SPACE, " ").encode("utf-8", "replace")
