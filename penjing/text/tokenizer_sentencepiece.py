"""SentencePiece models (tokenizer.model, spiece.model) as Llama, T5 and XLM-RoBERTa use them.

The file is a protocol buffer of three messages: pieces (text, score, kind), how it was trained, how text is normalised.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from penjing.base.errors import TextError
from penjing.base.files import told
from penjing.text.tokenizer_bpe import ends_wanted

NAMES = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
NORMAL = 1  # the kind of a piece that training made
KINDS = {"llama": ("llama", "codellama", "mistral"), "t5": ("t5", "mt5"), "xlm": ("xlm-roberta", "xlmroberta")}


class Pieces(NamedTuple):
    """What a model file holds."""

    texts: list[str]
    scores: list[float]
    kinds: list[int]
    charsmap: bytes  # how characters are normalised
    unigram: bool


def fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Numbers and values of a protocol buffer's fields: whole numbers, floats, bytes."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    while at < len(data):
        key = number()
        kind = key & 7
        if kind == 0:
            yield key >> 3, number()
            continue
        size = {1: 8, 5: 4}.get(kind) or number()
        part, at = data[at : at + size], at + size
        if kind not in (1, 2, 5) or len(part) != size:
            raise ValueError("it ends in the middle")
        yield key >> 3, struct.unpack("<f", part)[0] if kind == 5 else part


def read_pieces(path: Path) -> Pieces:
    """The pieces of a model file."""
    texts, scores, kinds, charsmap, unigram = [], [], [], b"", True
    with told(path):
        data = path.read_bytes()
    try:
        for name, value in fields(data):
            found = dict(fields(value)) if name in (1, 2, 3) else {}
            if name == 1:
                texts.append(found[1].decode("utf-8"))
                scores.append(float(found.get(2, 0.0)))
                kinds.append(found.get(3, NORMAL))
            elif name == 2:
                unigram = found.get(3, 1) == 1
            elif name == 3:
                charsmap = found.get(2, b"")
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, struct.error) as error:
        raise TextError("P-TOKEN-002", file=path, reason=f"no SentencePiece model ({error})") from error
    if not texts:
        raise TextError("P-TOKEN-002", file=path, reason="no SentencePiece model (no pieces)")
    return Pieces(texts, scores, kinds, charsmap, unigram)


def read_sentencepiece(
    path: Path, config: dict[str, Any], model_type: str | None
) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """The tokenizer of a model file, by the tokenizer's class or the model's type, and its config."""
    pieces, named = read_pieces(path), str(config.get("tokenizer_class") or model_type or "").lower()
    kind = next((kind for kind, starts in KINDS.items() if named.startswith(starts)), None)
    if kind is None or pieces.unigram is (kind == "llama"):
        given = config.get("tokenizer_class") or model_type
        raise TextError(
            "P-TOKEN-021", file=path, given=given, known=[name for names in KINDS.values() for name in names]
        )
    return {"llama": as_llama, "t5": as_t5, "xlm": as_xlm}[kind](pieces, config)


def as_llama(pieces: Pieces, config: dict[str, Any]) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """BPE with bytes for what is unknown; each pair that makes a piece is merged, the earlier piece first.

    Where no class says how the file is used, the piece of the higher score is, as SentencePiece itself would.
    """
    alone = not config.get("tokenizer_class")
    table = {text: number for number, text in enumerate(pieces.texts)}
    order = sorted(table, key=lambda text: -pieces.scores[table[text]]) if alone else list(table)
    made = {text for text, kind in zip(pieces.texts, pieces.kinds, strict=True) if kind == NORMAL or not alone}
    merges = [(text[:i], text[i:]) for text in order for i in range(1, len(text)) if {text, text[:i], text[i:]} <= made]
    inner = tokenizers.Tokenizer(models.BPE(table, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    if alone:
        doubled = normalizers.Replace(tokenizers.Regex(r"\A▁"), "▁▁")
        inner.normalizer = normalizers.Sequence([normalizers.Replace(" ", "▁"), doubled])
    scheme = "always" if config.get("legacy", alone) else "first"
    scheme = "never" if config.get("add_prefix_space") is False else scheme
    inner.pre_tokenizer = pre_tokenizers.Metaspace("▁", prepend_scheme=scheme, split=False)
    ends = [decoders.Strip(" ", 1, 0)] if scheme != "never" else []
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), *ends])
    config = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | config
    inner.add_special_tokens([token for token in ("<unk>", "<s>", "</s>") if token in table])
    inner.post_processor = ends_wanted(inner, config)
    return inner, config


def unigram(table: list[tuple[str, float]], unknown: int, pieces: Pieces) -> tokenizers.Tokenizer:
    """T5's and XLM-RoBERTa's: words with a mark before each, the likeliest pieces of each word."""
    inner = tokenizers.Tokenizer(models.Unigram(table, unknown, False))
    if pieces.charsmap:
        inner.normalizer = normalizers.Precompiled(pieces.charsmap)
    marked = pre_tokenizers.Metaspace("▁", prepend_scheme="always")
    inner.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), marked])
    inner.decoder = decoders.Metaspace("▁", prepend_scheme="always")
    return inner


def framed(inner: tokenizers.Tokenizer, single: str, pair: str) -> None:
    """Special tokens around one text and two."""
    tokens = [part for part in dict.fromkeys(single.split()) if part != "$A"]
    inner.add_special_tokens(tokens)
    numbers = [(token, inner.token_to_id(token)) for token in tokens]
    inner.post_processor = processors.TemplateProcessing(single=single, pair=pair, special_tokens=numbers)


def as_t5(pieces: Pieces, config: dict[str, Any]) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """With 100 sentinels behind the vocabulary, the first of them last."""
    inner = unigram(list(zip(pieces.texts, pieces.scores, strict=True)), 2, pieces)
    inner.add_special_tokens(["<pad>", "</s>", "<unk>"])
    extra = config.get("extra_ids", 100)
    inner.add_special_tokens([f"<extra_id_{number}>" for number in reversed(range(extra))])
    framed(inner, "$A </s>", "$A </s> $B </s>")
    return inner, {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", **config}


def as_xlm(pieces: Pieces, config: dict[str, Any]) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """With fairseq's numbers: four special tokens, the pieces after the file's own three, the mask token."""
    head = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    rest = list(zip(pieces.texts, pieces.scores, strict=True))[3:]
    inner = unigram([*head, *rest, ("<mask>", 0.0)], 3, pieces)
    inner.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    inner.add_special_tokens([tokenizers.AddedToken("<mask>", lstrip=True, special=True)])
    framed(inner, "<s> $A </s>", "<s> $A </s> </s> $B </s>")
    named = {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>", "sep_token": "</s>", "unk_token": "<unk>"}
    return inner, named | {"pad_token": "<pad>", "mask_token": "<mask>"} | config
