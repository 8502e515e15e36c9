"""The tokenizer of an opus-mt translator: source.spm, a unigram model of SentencePiece, with the ids of vocab.json.

The ids are those of transformers' MarianTokenizer, but for runs of letters that source.spm has never seen: theirs are
one unknown token, here they are cut into the target's pieces where it has some.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tokenizers

from penjing.base.errors import TextError
from penjing.base.progress import tell
from penjing.text.tokenizer_sentencepiece import NORMAL, framed, read_pieces, unigram

MODEL, SPECIAL = "source.spm", ("</s>", "<unk>", "<pad>")
MODELS = ("vocab.json", MODEL, "target.spm")  # the last one cuts what is to be written
ORDINARY = (NORMAL, 4)  # kinds of pieces that texts are cut into; 4 were given to the training


def read_marian(
    path: Path, table: dict[str, Any], config: dict[str, Any]
) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """The tokenizer of the source, which also turns the tokens of answers into text, and its config.

    Given target.spm, it is the one that cuts the texts which are to be written.
    """
    pieces = read_pieces(path)
    given = zip(pieces.texts, pieces.scores, pieces.kinds, strict=True)
    scores = {text: score for text, score, kind in given if kind in ORDINARY}
    ids = sorted(table.values()) if all(isinstance(number, int) for number in table.values()) else []
    if not scores or not pieces.unigram or ids != list(range(len(table))) or not set(SPECIAL) <= table.keys():
        reason = "no unigram model, or vocab.json has gaps; with transformers it can be saved as a tokenizer.json"
        raise TextError("P-TOKEN-002", file=path, reason=reason)
    lost = len(scores.keys() - table.keys())
    if lost:
        text = f"{lost} pieces of {path.name} have no number in vocab.json; such text is cut into other pieces"
        tell("note", "tokenizer", text, pieces=lost)
    inner = unigram(scored(table, scores), table["<unk>"], pieces)
    inner.add_special_tokens(list(SPECIAL))
    codes = [token for token in table if token.startswith(">>") and token.endswith("<<")]
    inner.add_special_tokens([tokenizers.AddedToken(code, normalized=False, special=True) for code in codes])
    framed(inner, "$A </s>", "$A $B </s>")
    return inner, dict(zip(("eos_token", "unk_token", "pad_token"), SPECIAL, strict=True)) | config


def scored(table: dict[str, int], scores: dict[str, float]) -> list[tuple[str, float]]:
    """All tokens by number. Those of the target alone score less than any way to spell them, so no source gets them."""
    least = min(scores.values())
    ordered = sorted(table, key=table.__getitem__)
    return [(token, scores.get(token, least * len(token) - 1)) for token in ordered]
