"""Byte-level BPE from vocab.json and merges.txt, in the three ways that checkpoints are split and framed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from penjing.base.errors import TextError

QWEN = (  # Qwen2's pieces: contractions, letters, single digits, signs, line ends, spaces
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


class Style(NamedTuple):
    """How a kind of checkpoint uses its pair of files."""

    classes: tuple[str, ...]  # beginnings of tokenizer_class, in small letters
    types: tuple[str, ...]  # model types
    names: Mapping[str, str]  # special tokens, where tokenizer_config.json does not name them
    longest: int
    dress: Callable[[tokenizers.Tokenizer, Mapping[str, Any]], None]


def split_by_bytes(inner: tokenizers.Tokenizer, config: Mapping[str, Any]) -> None:
    """GPT-2's splitting."""
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=bool(config.get("add_prefix_space")))
    inner.post_processor = processors.ByteLevel(trim_offsets=False)


def framed(inner: tokenizers.Tokenizer, config: Mapping[str, Any]) -> None:
    """RoBERTa's: <s> A </s>, and of two texts <s> A </s></s> B </s>."""
    split_by_bytes(inner, config)
    ends = [(token, inner.token_to_id(token)) for token in (name_of(config, "sep_token"), name_of(config, "cls_token"))]
    if None in (number for _, number in ends):
        raise TextError("P-TOKEN-002", reason=f"the vocabulary lacks {' or '.join(token for token, _ in ends)}")
    inner.post_processor = processors.RobertaProcessing(
        *ends, trim_offsets=True, add_prefix_space=bool(config.get("add_prefix_space"))
    )


def split_by_expression(inner: tokenizers.Tokenizer, config: Mapping[str, Any]) -> None:
    """Qwen2's splitting, of text in normal form C."""
    inner.normalizer = normalizers.NFC()
    inner.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(QWEN), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=bool(config.get("add_prefix_space")), use_regex=False),
    ])  # fmt: skip


END = "<|endoftext|>"
FRAME = {"bos_token": "<s>", "eos_token": "</s>", "sep_token": "</s>", "cls_token": "<s>", "unk_token": "<unk>"}
FRAME |= {"pad_token": "<pad>", "mask_token": "<mask>"}
STYLES = {
    "gpt2": Style(("gpt2", "codegen"), ("gpt2", "gpt_neo", "codegen"),
                  dict.fromkeys(("bos_token", "eos_token", "unk_token"), END), 1024, split_by_bytes),
    "roberta": Style(("roberta", "bart", "longformer", "led"), ("roberta", "bart", "longformer", "led"), FRAME, 512,
                     framed),
    "qwen2": Style(("qwen2",), ("qwen2", "qwen3", "qwen2_moe", "qwen3_moe"),
                   dict.fromkeys(("eos_token", "pad_token"), END), 32768, split_by_expression),
}  # fmt: skip


def name_of(config: Mapping[str, Any], key: str) -> str:
    """A special token by its key in tokenizer_config.json, where it is a text or a table with its content."""
    value = config[key]
    return str(value.get("content", "")) if isinstance(value, dict) else str(value)


def style_of(config: Mapping[str, Any], model_type: str | None, table: Mapping[str, int], file: Path) -> Style:
    """By the tokenizer's class, else by the model's type, else by the special tokens. Another class is an error."""
    named = str(config.get("tokenizer_class") or "").lower()
    if named and not named.startswith(("pretrained", "tokenizersbackend")):
        found = next((style for style in STYLES.values() if named.startswith(style.classes)), None)
        if found is None:
            classes = [name for style in STYLES.values() for name in style.classes]
            raise TextError("P-TOKEN-021", file=file, given=config["tokenizer_class"], known=classes)
        return found
    by_type = next((style for style in STYLES.values() if model_type in style.types), None)
    return by_type or STYLES["roberta" if "<s>" in table and END not in table else "gpt2"]


def bpe_tokenizer(
    table: dict[str, int], merges: list[tuple[str, ...]], config: dict[str, Any], model_type: str | None, file: Path
) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """The tokenizer of a vocabulary and its merges, and its config with the special tokens named."""
    style = style_of(config, model_type, table, file)
    known = {key: token for key, token in style.names.items() if token in table}
    config = {"model_max_length": style.longest, **(style.names if style.dress is framed else known), **config}
    inner = tokenizers.Tokenizer(models.BPE(table, merges))
    inner.decoder = decoders.ByteLevel()
    style.dress(inner, config)
    names = dict.fromkeys(name_of(config, key) for key in config if key.endswith("_token") and config[key])
    inner.add_special_tokens([name for name in names if name in table])
    if style.dress is not framed and ("add_bos_token" in config or "add_eos_token" in config):
        inner.post_processor = ends_wanted(inner, config)
    return inner, {"model_input_names": ["input_ids", "attention_mask"], **config}


def ends_wanted(inner: tokenizers.Tokenizer, config: Mapping[str, Any]) -> processors.PostProcessor:
    """The frame that add_bos_token and add_eos_token ask for."""
    asked = ("add_bos_token", "bos_token"), ("add_eos_token", "eos_token")
    first, last = (name_of(config, key) if config.get(flag) and config.get(key) else None for flag, key in asked)
    parts = [f"{first}:{{0}} " if first else "", "${1}:{0}", f" {last}:{{0}}" if last else ""]
    one = "".join(parts)
    numbers = [(token, inner.token_to_id(token)) for token in dict.fromkeys((first, last)) if token]
    return processors.TemplateProcessing(
        single=one.format(0, "A"), pair=f"{one.format(0, 'A')} {one.format(1, 'B')}", special_tokens=numbers
    )


def added(inner: tokenizers.Tokenizer, config: Mapping[str, Any], folder: Path) -> None:
    """Tokens that stand beside the vocabulary, in `added_tokens_decoder` or added_tokens.json, under their numbers."""
    path = folder / "added_tokens.json"
    try:
        listed = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        wanted = {int(number): token for token, number in listed.items()}
        wanted |= {int(number): about for number, about in (config.get("added_tokens_decoder") or {}).items()}
    except (ValueError, AttributeError, OSError) as error:
        raise TextError("P-TOKEN-002", file=path, reason=error) from error
    for number, about in sorted(wanted.items()):
        options = dict(about) if isinstance(about, dict) else {"content": about, "special": False}
        text = options.pop("content")
        options = {
            key: bool(options[key]) for key in ("single_word", "lstrip", "rstrip", "normalized") if key in options
        } | {"special": bool(options.get("special", False))}
        inner.add_tokens([tokenizers.AddedToken(text, **options)])
        if inner.token_to_id(text) != number:
            raise TextError("P-TOKEN-020", file=folder, token=text, given=number, found=inner.token_to_id(text))
