"""A tokenizer in a GGUF file: pieces, their kinds, merges, special tokens, chat templates; written, and read again.

llama.cpp knows ways of splitting by name, so only a tokenizer that splits in one of those ways can be written.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors

from penjing.base.errors import FileError
from penjing.base.messages.message import Both
from penjing.text.tokenizer import Tokenizer
from penjing.text.tokenizer_files import dress_bert
from penjing.text.tokenizer_templates import named_templates

NORMAL, UNKNOWN, CONTROL, USER, UNUSED, BYTE = 1, 2, 3, 4, 5, 6  # kinds of tokens
BYTES, WORDS, PIECES = "gpt2", "bert", "llama"  # what the file calls byte-level BPE, WordPiece, SentencePiece's BPE
SPACE = "\u2581"  # what stands for a space in pieces
CUT = r"|[^\r\n\p{L}\p{N}]?\p{L}+|%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
SPLITS = {  # the regular expression before byte-level BPE: llama.cpp's name; None: GPT-2's own
    None: "gpt-2",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)" + CUT % r"\p{N}": "qwen2",
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)" + CUT % r"\p{N}{1,3}": "llama-bpe",
}
SPECIAL = {  # key in the file: name in tokenizer_config.json
    "bos_token_id": "bos_token", "eos_token_id": "eos_token", "unknown_token_id": "unk_token",
    "padding_token_id": "pad_token", "mask_token_id": "mask_token",
}  # fmt: skip
KEY = "tokenizer.ggml."
BYTE_PIECES = {f"<0x{number:02X}>" for number in range(256)}
TEMPLATE = "tokenizer.chat_template"
OTHER = Both(
    "its tokenizer is neither byte-level BPE of a known splitting (gpt-2, qwen2, llama-bpe), nor BPE of pieces with bytes "
    "(Llama 2), nor lower-case WordPiece",
    "它的分词器既不是切分方式已知的字节级 BPE（gpt-2、qwen2、llama-bpe），也不是带字节回退的 BPE（Llama 2）或小写的 WordPiece",
)


def kind_of(tokenizer: Tokenizer) -> tuple[str, str] | None:
    """The file's names of the model and of the way of splitting; None where it has none."""
    about = json.loads(tokenizer.inner.to_str())
    model, split, normal = about["model"], about.get("pre_tokenizer") or {}, about.get("normalizer")
    framed = tokenizer.prefix in ([], [tokenizer.begin]) and tokenizer.suffix in ([], [tokenizer.end])
    if not framed:
        return None
    if model["type"] == "WordPiece":
        plain = (
            normal
            and normal["type"] == "BertNormalizer"
            and normal["lowercase"]
            and normal["strip_accents"] is not False
        )
        plain = plain and normal["handle_chinese_chars"] and split.get("type") == "BertPreTokenizer"
        return (WORDS, "default") if plain and tokenizer.prefix and tokenizer.suffix else None
    if model["type"] == "BPE" and model.get("byte_fallback"):
        return None if space_before(about) is None else (PIECES, "default")
    if model["type"] != "BPE" or (normal and normal["type"] != "NFC"):
        return None
    name = SPLITS.get(expression(split), "")
    return (BYTES, name) if name and bool(model.get("ignore_merges")) == (name == "llama-bpe") else None


def expression(split: Mapping[str, Any]) -> str | None:
    """The regular expression that cuts before bytes; None: GPT-2's; "": something else."""
    parts = split.get("pretokenizers", [split])
    last = parts[-1]
    if last.get("type") != "ByteLevel" or last.get("add_prefix_space") or len(parts) > 2:
        return ""
    if len(parts) == 1:
        return None if last.get("use_regex", True) else ""
    first = parts[0]
    plain = first.get("type") == "Split" and first.get("behavior") == "Isolated" and not first.get("invert")
    return first.get("pattern", {}).get("Regex", "") if plain and not last.get("use_regex", True) else ""


def space_before(about: Mapping[str, Any]) -> bool | None:
    """Whether a text of pieces begins with a space that is put there; None: spaces are marked in another way."""
    normal, split = about.get("normalizer"), about.get("pre_tokenizer")
    if normal is None and split and split["type"] == "Metaspace" and not split.get("split", True):
        return split.get("prepend_scheme", "always") != "never"
    steps = (normal or {}).get("normalizers", [normal] if normal else [])
    marks = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    if split is not None or not steps or steps[-1] != marks:
        return None
    return {1: False, 2: True}.get(len(steps)) if steps[0] in (marks, {"type": "Prepend", "prepend": SPACE}) else None


def one_space_more(tokenizer: Tokenizer) -> bool:
    """Whether llama.cpp puts a space before a text that begins with one, and the tokenizer does not."""
    about = json.loads(tokenizer.inner.to_str())
    return kind_of(tokenizer) == (PIECES, "default") and bool(space_before(about)) and bool(about["pre_tokenizer"])


# ---- writing ----


def write_tokenizer(writer: Any, tokenizer: Tokenizer, rows: int, stops: list[int]) -> None:
    """All that the file says of text. `rows`: tokens that the network has; `stops`: what ends an answer."""
    kind, split = kind_of(tokenizer)
    added = tokenizer.inner.get_added_tokens_decoder()
    texts = [tokenizer.inner.id_to_token(number) for number in range(rows)]
    kinds = [kind_of_token(number, text, added) for number, text in enumerate(texts)]
    if kind == PIECES:
        kinds = [BYTE if text in BYTE_PIECES else UNKNOWN if number == tokenizer.unknown else one
                 for number, (text, one) in enumerate(zip(texts, kinds, strict=True))]  # fmt: skip
    texts = [f"[PAD{number}]" if text is None else text for number, text in enumerate(texts)]
    writer.add_tokenizer_model(kind)
    writer.add_tokenizer_pre(split)
    writer.add_token_list(
        [marked(text, one) for text, one in zip(texts, kinds, strict=True)] if kind == WORDS else texts
    )
    writer.add_token_types(kinds)
    if kind == BYTES:
        writer.add_token_merges(merges(tokenizer))
    elif kind == PIECES:
        writer.add_token_scores(scores(tokenizer, texts))
        writer.add_add_space_prefix(space_before(json.loads(tokenizer.inner.to_str())))
    else:
        writer.add_token_type_count(2)
        writer.add_sep_token_id(tokenizer.end)
    named = {"bos_token_id": tokenizer.begin, "eos_token_id": tokenizer.end, "unknown_token_id": tokenizer.unknown,
             "padding_token_id": tokenizer.pad, "mask_token_id": tokenizer.mask}  # fmt: skip
    more = [stop for stop in stops if stop != tokenizer.end]
    named["eot_token_id"] = more[0] if len(more) == 1 else None
    for name, number in named.items():
        if number is not None:
            writer.add_uint32(KEY + name, number)
    writer.add_add_bos_token(bool(tokenizer.prefix))
    writer.add_add_eos_token(bool(tokenizer.suffix))
    if tokenizer.templates:
        writer.add_chat_template([{"name": name, "template": text} for name, text in tokenizer.templates.items()])


def kind_of_token(number: int, text: str | None, added: Mapping[int, Any]) -> int:
    if text is None:
        return UNUSED
    return (CONTROL if added[number].special else USER) if number in added else NORMAL


def merges(tokenizer: Tokenizer) -> list[str]:
    """The pairs in their order, each with a space between."""
    listed = json.loads(tokenizer.inner.to_str())["model"]["merges"]
    return [pair if isinstance(pair, str) else " ".join(pair) for pair in listed]


def scores(tokenizer: Tokenizer, texts: list[str]) -> list[float]:
    """For each piece how early it is made: the later, the lower."""
    first: dict[str, float] = {}
    for rank, pair in enumerate(merges(tokenizer)):
        first.setdefault(pair.replace(" ", ""), -float(rank))
    return [first.get(text, -float(len(texts) + len(first))) for text in texts]


def marked(text: str, kind: int) -> str:
    """A WordPiece token as the file has it: what begins a word is marked, not what goes on."""
    if kind != NORMAL:
        return text
    return text[2:] if text.startswith("##") else SPACE + text


# ---- reading ----


def read_tokenizer(fields: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer that a file's fields describe."""
    texts, kinds = fields[KEY + "tokens"], fields[KEY + "token_type"]
    kept = {text: number for number, (text, kind) in enumerate(zip(texts, kinds, strict=True)) if kind != UNUSED}
    if fields[KEY + "model"] == WORDS:
        kept = {unmarked(text, kinds[number]): number for text, number in kept.items()}
        inner = tokenizers.Tokenizer(models.WordPiece(kept, unk_token=texts[fields[KEY + "unknown_token_id"]]))
    elif fields[KEY + "model"] == PIECES:
        inner = of_pieces(fields, kept)
    else:
        pairs = [tuple(pair.split(" ")) for pair in fields[KEY + "merges"]]
        inner = tokenizers.Tokenizer(models.BPE(kept, pairs, ignore_merges=fields[KEY + "pre"] == "llama-bpe"))
        inner.pre_tokenizer, inner.decoder = splitter(fields[KEY + "pre"]), decoders.ByteLevel()
    by_kind = {kind: [text for text, one in zip(texts, kinds, strict=True) if one == kind] for kind in (CONTROL, USER)}
    inner.add_special_tokens(by_kind[CONTROL])
    inner.add_tokens(by_kind[USER])
    if fields[KEY + "model"] == WORDS:
        dress_bert(inner, lowercase=True)
    inner.post_processor = frame(fields, texts)
    config = {name: texts[fields[KEY + key]] for key, name in SPECIAL.items() if KEY + key in fields}
    named = {"default" if key == TEMPLATE else key.removeprefix(TEMPLATE + "."): text
             for key, text in fields.items() if key == TEMPLATE or key.startswith(TEMPLATE + ".")}  # fmt: skip
    return Tokenizer(inner, config | {"chat_template": named_templates(named)} if named else config)


def of_pieces(fields: Mapping[str, Any], kept: Mapping[str, int]) -> tokenizers.Tokenizer:
    """BPE of pieces: any two that together are a piece are joined, the higher score first, as llama.cpp does."""
    texts, kinds, ranks = (fields[KEY + name] for name in ("tokens", "token_type", "scores"))
    made = {text for text, kind in zip(texts, kinds, strict=True) if kind == NORMAL}
    order = sorted(made, key=lambda text: -ranks[kept[text]])
    pairs = [(text[:i], text[i:]) for text in order for i in range(1, len(text)) if {text[:i], text[i:]} <= made]
    unknown = next((text for text, kind in zip(texts, kinds, strict=True) if kind == UNKNOWN), None)
    inner = tokenizers.Tokenizer(models.BPE(dict(kept), pairs, unk_token=unknown, fuse_unk=True, byte_fallback=True))
    before = [normalizers.Prepend(SPACE)] if fields[KEY + "add_space_prefix"] else []
    inner.normalizer = normalizers.Sequence([*before, normalizers.Replace(" ", SPACE)])
    strip = [decoders.Strip(" ", 1, 0)] if before else []
    inner.decoder = decoders.Sequence([decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *strip])
    if unknown is not None:
        inner.add_special_tokens([unknown])
    return inner


def unmarked(text: str, kind: int) -> str:
    """The inverse of `marked`."""
    if kind != NORMAL:
        return text
    return text[1:] if text.startswith(SPACE) else "##" + text


def splitter(name: str) -> pre_tokenizers.PreTokenizer:
    """What cuts a text before the merges."""
    known = {value: key for key, value in SPLITS.items()}
    if name not in known:
        raise FileError("P-FILE-004", path="tokenizer.ggml.pre", reason=name)
    if known[name] is None:
        return pre_tokenizers.ByteLevel(add_prefix_space=False)
    return pre_tokenizers.Sequence([
        pre_tokenizers.Split(tokenizers.Regex(known[name]), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip


def frame(fields: Mapping[str, Any], texts: list[str]) -> processors.PostProcessor:
    """The tokens around a text, as `add_bos_token` and `add_eos_token` say."""
    ends = [fields[KEY + f"{name}_token_id"] if fields[KEY + f"add_{name}_token"] else None for name in ("bos", "eos")]
    first, last = (None if number is None else texts[number] for number in ends)
    single = " ".join(part for part in (first, "$A", last) if part)
    pair = " ".join(part for part in (first, "$A", last, "$B:1", last and f"{last}:1") if part)
    numbers = [(texts[number], number) for number in dict.fromkeys(ends) if number is not None]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=numbers)
