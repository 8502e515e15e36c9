"""A tokenizer: text to token ids and back, the same ids as transformers' AutoTokenizer gives for the saved folder.

It wraps `tokenizers.Tokenizer`. Special tokens at both ends (`prefix`, `suffix`) are read off the post-processor, so
that `build(encode(text))` equals `AutoTokenizer.from_pretrained(folder)(text)["input_ids"]`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers

from penjing.base.errors import TextError
from penjing.base.files import existing, whole_file, write_json
from penjing.base.progress import tell
from penjing.text.sentences import Sentences
from penjing.text.tokenizer_frame import Frame, frame_of
from penjing.text.tokenizer_templates import TEMPLATE, TEMPLATES, named_templates
from penjing.text.word_starts import WordStarts

CONFIG, VOCABULARY = "tokenizer_config.json", "tokenizer.json"
TARGET = "target_tokenizer.json"  # of the texts that are to be written, where these are cut by other pieces
TYPED = ("bert", "electra")  # classes that give token types where model_input_names does not tell
NAMES = {  # our name: (the name in tokenizer_config.json, what it is usually called)
    "pad": (("pad_token",), ("[PAD]", "<pad>", "<|pad|>", "<|finetune_right_pad_id|>")),
    "unknown": (("unk_token",), ("[UNK]", "<unk>")),
    "begin": (("bos_token", "cls_token"), ("[CLS]", "<s>", "<|begin_of_text|>", "<bos>")),
    "end": (("eos_token", "sep_token"), ("[SEP]", "</s>", "<|endoftext|>", "<|end_of_text|>", "<eos>")),
    "mask": (("mask_token",), ("[MASK]", "<mask>")),
}


class Tokenizer:
    """Text to token ids and back. `config` is what tokenizer_config.json holds."""

    def __init__(self, inner: tokenizers.Tokenizer, config: dict[str, Any] | None = None, *, file: Path | None = None):
        inner.no_padding()
        inner.no_truncation()
        self.inner, self.config = inner, dict(config or {})
        self.size = max(inner.get_vocab(with_added_tokens=True).values(), default=-1) + 1
        if not self.size:
            raise TextError("P-TOKEN-002", file=file, reason="the vocabulary is empty")
        self.unknown, self.begin = self.find("unknown"), self.find("begin")
        self.end, self.mask = self.find("end"), self.find("mask")
        self.prefix, self.suffix = ends(inner)
        self.pad = self.find_pad(file)
        added = {i for i, token in inner.get_added_tokens_decoder().items() if token.special}
        named = {i for i in (self.pad, self.begin, self.end, self.mask, self.unknown) if i is not None}
        self.special = frozenset(added | named | {*self.prefix, *self.suffix})
        self.target: Tokenizer | None = None

    def find(self, name: str) -> int | None:
        """The id of a special token: as the config names it, else by its usual names; None if there is none."""
        keys, usual = NAMES[name]
        named = [content(self.config[key]) for key in keys if self.config.get(key)]
        ids = (self.inner.token_to_id(token) for token in named or usual)
        return next((i for i in ids if i is not None), None)

    def find_pad(self, file: Path | None) -> int:
        """The padding token, or a token that can stand in for it, said aloud."""
        pad = self.find("pad")
        if pad is not None:
            return pad
        for name in ("end", "unknown", "begin"):
            found = getattr(self, name)
            if found is not None:
                text = f"the tokenizer has no padding token; its {name} token {self.inner.id_to_token(found)!r} is used"
                tell("note", "tokenizer", text, token=found)
                return found
        raise TextError("P-TOKEN-003", file=file)

    def __len__(self) -> int:
        return self.size

    def encode(self, text: str) -> list[int]:
        """Token ids without special tokens."""
        return self.inner.encode(text, add_special_tokens=False).ids

    def encode_many(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many texts, on all cores."""
        return [one.ids for one in self.inner.encode_batch_fast(list(texts), add_special_tokens=False)]

    def encode_targets(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of texts that are to be written: Marian cuts its target's language by a vocabulary of its own."""
        return (self.target or self).encode_many(texts)

    def build(self, tokens: Sequence[int]) -> list[int]:
        """Tokens with the special tokens that the tokenizer puts around a text."""
        return [*self.prefix, *tokens, *self.suffix]

    @cached_property
    def frame(self) -> Frame:
        """What stands around two texts."""
        return frame_of(self.inner)

    @property
    def typed(self) -> bool:
        """Whether token types tell the second of two texts, as BERT's do."""
        names, kind = self.config.get("model_input_names"), str(self.config.get("tokenizer_class") or "").lower()
        usual = kind.startswith(TYPED) if kind else isinstance(self.inner.model, tokenizers.models.WordPiece)
        told = usual if names is None else "token_type_ids" in names
        return self.frame.typed and told

    def build_pair(self, first: Sequence[int], second: Sequence[int]) -> tuple[list[int], list[int]]:
        """Two texts with the special tokens around them, and the type of each token (0 or 1)."""
        tokens, types = self.frame.build(first, second)
        return tokens, types if self.typed else [0] * len(types)

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of token ids, special tokens left out. Raises P-TOKEN-004 for ids outside the vocabulary."""
        tokens = np.asarray(tokens, dtype=np.int64).ravel()
        outside = tokens[(tokens < 0) | (tokens >= self.size)]
        if outside.size:
            raise TextError("P-TOKEN-004", given=outside[:10].tolist(), size=self.size)
        return self.inner.decode(tokens.tolist(), skip_special_tokens=True)

    def token(self, number: int) -> str:
        """One token as the vocabulary writes it. Raises P-TOKEN-004."""
        found = self.inner.id_to_token(number) if 0 <= number < self.size else None
        if found is None:
            raise TextError("P-TOKEN-004", given=[number], size=self.size)
        return found

    @cached_property
    def silent(self) -> frozenset[int]:
        """The tokens that `decode` leaves out."""
        return frozenset(i for i, token in self.inner.get_added_tokens_decoder().items() if token.special)

    @cached_property
    def starts(self) -> WordStarts:
        """Where words begin among tokens."""
        return WordStarts(self.inner, self.size, self.special)

    @cached_property
    def ordinary(self) -> np.ndarray:
        """All tokens that are not special."""
        return np.delete(np.arange(self.size), sorted(self.special))

    @cached_property
    def sentences(self) -> Sentences:
        """Where sentences begin among tokens."""
        return Sentences(self)

    def word_starts(self, text: str, *, chinese_words: bool = False) -> tuple[list[int], list[bool]]:
        """Token ids, and for each whether it begins a word. `chinese_words` joins characters into words with jieba."""
        tokens, starts = self.word_starts_many([text], chinese_words=chinese_words)[0]
        return tokens.tolist(), starts.tolist()

    def word_starts_many(
        self, texts: Sequence[str], *, chinese_words: bool = False
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each text: token ids (int64) and word starts (bool), of equal length."""
        batch = self.inner.encode_batch if chinese_words else self.inner.encode_batch_fast
        found = []
        for text, one in zip(texts, batch(list(texts), add_special_tokens=False), strict=True):
            tokens = np.array(one.ids, dtype=np.int64)
            starts = self.starts.of(tokens)
            if chinese_words:
                starts = self.starts.joined(starts, text, one.offsets, tokens)
            found.append((tokens, starts))
        return found

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides the ids."""
        return hashlib.sha256(f"{self.inner.to_str()}\0{self.prefix}{self.suffix}{self.pad}".encode()).hexdigest()

    @property
    def templates(self) -> dict[str, str]:
        """The chat templates by name; `default` is the one in chat_template.jinja."""
        return named_templates(self.config.get("chat_template"))

    def save(self, folder: str | Path, *, typed: bool | None = None) -> None:
        """Write tokenizer.json, tokenizer_config.json and chat templates so that AutoTokenizer gives the same ids.

        typed: whether it shall give token types; None: as it does.
        """
        folder = Path(folder)
        with whole_file(folder / VOCABULARY) as file:
            file.write(self.inner.to_str(pretty=True))
        if self.target is not None:
            with whole_file(folder / TARGET) as file:
                file.write(self.target.inner.to_str(pretty=True))
        for name, template in self.templates.items():
            with whole_file(folder / (TEMPLATE if name == "default" else f"{TEMPLATES}/{name}.jinja")) as file:
                file.write(template)
        names = ["input_ids", *(["token_type_ids"] if typed else []), "attention_mask"]
        write_json(folder / CONFIG, self.full_config() | ({} if typed is None else {"model_input_names": names}))

    def full_config(self) -> dict[str, Any]:
        """tokenizer_config.json. PreTrainedTokenizerFast takes tokenizer.json as it is, in transformers 4 and 5."""
        config = {
            "model_max_length": 512,
            "padding_side": "right",
            "clean_up_tokenization_spaces": False,
            **self.config,
        }
        config["tokenizer_class"] = "PreTrainedTokenizerFast"
        for stale in (
            "chat_template",
            "auto_map",
            "added_tokens_decoder",
            "add_bos_token",
            "add_eos_token",
            "add_prefix_space",
        ):
            config.pop(stale, None)
        for name, (keys, _) in NAMES.items():
            number = getattr(self, name)
            if number is not None and not any(config.get(key) for key in keys):
                config[keys[0]] = self.token(number)
        config["model_input_names"] = ["input_ids", *(["token_type_ids"] if self.typed else []), "attention_mask"]
        return config

    @classmethod
    def load(cls, source: str | Path) -> Tokenizer:
        """Load a folder or file: tokenizer.json, vocab.json with merges.txt, or vocab.txt. Raises P-TOKEN-001, -002."""
        from penjing.text.tokenizer_files import read_target, read_tokenizer

        found = cls(*read_tokenizer(existing(source)), file=Path(source))
        target = read_target(Path(source), TARGET)
        found.target = None if target is None else cls(*target, file=Path(source))
        return found


def content(value: Any) -> str:
    """A special token as tokenizer_config.json writes it: a text, or a table with its content."""
    return str(value.get("content", "")) if isinstance(value, dict) else str(value)


def ends(inner: tokenizers.Tokenizer) -> tuple[list[int], list[int]]:
    """The special tokens that the post-processor puts before and after one text."""
    if inner.post_processor is None:
        return [], []
    for probe in ("a", "1", ".", "的"):
        plain = inner.encode(probe, add_special_tokens=False).ids
        whole = inner.encode(probe, add_special_tokens=True).ids
        for start in range(len(whole) - len(plain) + 1):
            if plain and whole[start : start + len(plain)] == plain:
                return whole[:start], whole[start + len(plain) :]
    return [], inner.encode("", add_special_tokens=True).ids
