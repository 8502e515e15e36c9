"""Training a tokenizer in bounded memory: a sample of the text is kept, the `tokenizers` library counts and merges.

bpe        byte-level, split by Qwen2's expression (llama.cpp: `qwen2`); nothing is unknown, texts come back whole
wordpiece  as BERT's
unigram    as T5's, but with NFC, which keeps full-width Chinese punctuation apart
The same texts, options and version of the library give the same bpe and wordpiece; of unigram, pieces of equal worth
can differ from run to run, because the library adds up in a random order.
"""

from __future__ import annotations

import heapq
import json
import random
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, get_args

import tokenizers
from tokenizers import decoders, models, normalizers, pre_tokenizers, processors, trainers

from penjing.base.errors import OptionError, TextError, known, raise_all
from penjing.base.progress import tell
from penjing.text.tokenizer import Tokenizer
from penjing.text.tokenizer_files import bert_names, dress_bert
from penjing.text.word_starts import CHINESE

Kind = Literal["wordpiece", "bpe", "unigram"]
QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
SPECIAL = {
    "wordpiece": ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"],
    "bpe": ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<pad>", "<mask>"],
    "unigram": ["<pad>", "</s>", "<unk>", "<mask>"],
}
# Bytes of text. bpe takes some 28 times this in memory (it counts Chinese clauses as words); unigram is slow.
SAMPLE = {"wordpiece": 32 << 20, "bpe": 16 << 20, "unigram": 4 << 20}
PIECE = 1 << 16  # characters: longer documents are sampled in pieces
BYTES = [f"<0x{byte:02X}>" for byte in range(256)]


def train_tokenizer(
    texts: Iterable[str],
    *,
    kind: Kind,
    size: int,
    lowercase: bool | None = None,
    alphabet: int | None = None,
    least: int | None = None,
    spare: int = 0,
    special: Sequence[str] = (),
    extra_ids: int = 0,
    multiple: int = 1,
    byte_fallback: bool | None = None,
    sample_bytes: int | None = None,
    longest: int = 512,
    seed: int = 0,
) -> Tokenizer:
    """Train a tokenizer of `size` tokens, specials included, rounded up to a `multiple`.

    lowercase      fold case; wordpiece (default True) and unigram (default False)
    alphabet       most single characters to know; wordpiece and unigram (default: half of `size`)
    least          a pair must occur this often to be merged; wordpiece and bpe (default 2)
    spare          unused special tokens to name later
    special        more special tokens, such as the marks of a chat template; those that every bpe has are not doubled
    extra_ids      T5's <extra_id_N>; unigram
    byte_fallback  spell unknown characters in bytes; unigram (default: if `size` >= 4,096)
    sample_bytes   most text to train on, drawn evenly from the whole; longest: model_max_length
    Raises P-TOKEN-005 (no text), P-TOKEN-006 (size too small), P-TOKEN-008 (an option this kind does not have).
    """
    known(kind, get_args(Kind), "tokenizer kind")
    given = {"lowercase": lowercase, "alphabet": alphabet, "least": least, "extra_ids": extra_ids or None,
             "byte_fallback": byte_fallback}  # fmt: skip
    refuse(kind, given)
    size = -(-size // multiple) * multiple
    tell("begin", "tokenizer", f"{kind}, {size} tokens")
    sample = sample_texts(texts, SAMPLE[kind] if sample_bytes is None else sample_bytes, seed)
    if not any(text.strip() for text in sample):
        raise TextError("P-TOKEN-005")
    marks = [token for token in dict.fromkeys(special) if token not in SPECIAL[kind]]
    tail = [f"<extra_id_{i}>" for i in reversed(range(extra_ids))] + spare_tokens(kind, spare) + marks
    inner, config = {"wordpiece": train_wordpiece, "bpe": train_bpe, "unigram": train_unigram}[kind](
        sample, size - len(tail), {name: value for name, value in given.items() if value is not None}, len(tail)
    )
    inner.add_special_tokens([*marks, *spare_tokens(kind, spare)])
    inner.add_special_tokens([token for token in tail if token.startswith("<extra_id_")])
    fill(inner, kind, spare, multiple)
    tokenizer = Tokenizer(inner, {"model_max_length": longest, "padding_side": "right", **config})
    if tokenizer.size < size:
        tell("note", "tokenizer", f"the text gives {tokenizer.size} tokens only, {size} were asked for")
    tell("end", "tokenizer", f"{tokenizer.size} tokens")
    return tokenizer


def refuse(kind: str, given: dict[str, object]) -> None:
    """An option that has no effect on this kind is an error."""
    fits = {"wordpiece": ("lowercase", "alphabet", "least"), "bpe": ("least",),
            "unigram": ("lowercase", "alphabet", "extra_ids", "byte_fallback")}  # fmt: skip
    wrong = [name for name, value in given.items() if value is not None and name not in fits[kind]]
    raise_all([OptionError("P-TOKEN-008", option=name, kind=kind) for name in wrong])


def spare_tokens(kind: str, count: int, first: int = 0) -> list[str]:
    """Unused special tokens, named as BERT and Llama 3 name theirs."""
    form = "[unused{}]" if kind == "wordpiece" else "<|reserved_{}|>"
    return [form.format(i) for i in range(first, first + count)]


def fill(inner: tokenizers.Tokenizer, kind: str, spare: int, multiple: int) -> None:
    """More spare tokens until the vocabulary is a multiple."""
    inner.add_special_tokens(spare_tokens(kind, -inner.get_vocab_size() % multiple, spare))


def sample_texts(texts: Iterable[str], most: int, seed: int) -> list[str]:
    """At most `most` UTF-8 bytes of text, in order, each piece with the same chance, wherever it stands."""
    draw, held, kept = random.Random(seed), 0, []  # kept: a heap of (-chance, number, bytes, text), worst first
    worst = 2.0
    for number, text in enumerate(pieces(texts)):
        chance = draw.random()
        if chance >= worst:
            continue
        length = len(text.encode("utf-8", "replace"))
        heapq.heappush(kept, (-chance, number, length, text))
        held += length
        while held > most and len(kept) > 1:
            worst = -kept[0][0]
            held -= heapq.heappop(kept)[2]
        if number % 100_000 == 99_999:
            tell("step", "tokenizer", f"{number + 1} documents read", done=number + 1)
    return [text for _, _, _, text in sorted(kept, key=lambda one: one[1])]


def pieces(texts: Iterable[str]) -> Iterator[str]:
    """Documents, the long ones in pieces; half surrogate pairs, which no tokenizer takes, replaced."""
    for text in texts:
        for place in range(0, len(text), PIECE):
            piece = text[place : place + PIECE]
            yield piece if piece.isascii() else piece.encode("utf-8", "replace").decode("utf-8")


def check_size(size: int, needed: int, tail: int) -> None:
    if needed >= size:
        raise TextError("P-TOKEN-006", given=size + tail, needed=needed + tail)


def train_bpe(sample: list[str], size: int, given: dict, tail: int) -> tuple[tokenizers.Tokenizer, dict]:
    """Byte-level BPE."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    check_size(size, len(SPECIAL["bpe"]) + len(letters), tail)
    inner = tokenizers.Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(QWEN2), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    inner.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=given.get("least", 2), special_tokens=SPECIAL["bpe"], initial_alphabet=letters,
        show_progress=False,
    )  # fmt: skip
    inner.train_from_iterator(sample, trainer, length=len(sample))
    return inner, {"pad_token": "<pad>", "eos_token": "<|endoftext|>", "mask_token": "<mask>"}


def train_wordpiece(sample: list[str], size: int, given: dict, tail: int) -> tuple[tokenizers.Tokenizer, dict]:
    """BERT's WordPiece. The library numbers the single characters in a random order and breaks ties by number, so they
    are given to it as special tokens, in order; the model is then built anew from the vocabulary."""
    lowercase, head = given.get("lowercase", True), SPECIAL["wordpiece"]
    normaliser = normalizers.BertNormalizer(lowercase=lowercase)
    letters, inside = letters_of(sample, normaliser, given.get("alphabet", size // 2))
    singles = [*letters, *(f"##{letter}" for letter in letters if letter in inside)]
    check_size(size, len(head) + len(singles), tail)
    rough = tokenizers.Tokenizer(models.WordPiece(unk_token="[UNK]"))
    rough.normalizer, rough.pre_tokenizer = normaliser, pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=size, min_frequency=given.get("least", 2), special_tokens=[*head, *singles], show_progress=False,
        initial_alphabet=letters, limit_alphabet=len(letters), continuing_subword_prefix="##",
    )  # fmt: skip
    words = (text.translate(Keep(letters)) for text in normalised(sample, normaliser))
    rough.train_from_iterator(words, trainer, length=len(sample))
    vocabulary = rough.get_vocab(with_added_tokens=True)
    inner = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    dress_bert(inner, lowercase=lowercase)
    inner.add_special_tokens(head)
    return inner, {"do_lower_case": lowercase, **bert_names()}


class Keep(dict):
    """A table for str.translate: letters stay, all else becomes a space."""

    def __init__(self, letters: Sequence[str]):
        super().__init__((ord(letter), letter) for letter in letters)

    def __missing__(self, code: int) -> str:
        self[code] = " "
        return " "


class Split(dict):
    """A table for str.translate: white space, punctuation and Chinese characters (words alone) become spaces."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        apart = unicodedata.category(letter)[0] == "P" or (code < 128 and not letter.isalnum()) or CHINESE.match(letter)
        self[code] = " " if apart else letter
        return self[code]


def normalised(sample: Iterable[str], normaliser: normalizers.Normalizer) -> Iterator[str]:
    return (normaliser.normalize_str(text) for text in sample)


def letters_of(sample: list[str], normaliser: normalizers.Normalizer, most: int) -> tuple[list[str], set[str]]:
    """The most frequent characters, sorted by code point, and all that stand inside a word."""
    counts: Counter[str] = Counter()
    words: set[str] = set()
    table = Split()
    for text in normalised(sample, normaliser):
        counts.update(text)
        words.update(text.translate(table).split())
    inside = {letter for word in words for letter in word[1:]}
    seen = ((letter, count) for letter, count in counts.items() if not letter.isspace())
    frequent = sorted(seen, key=lambda one: (-one[1], one[0]))[:most]
    return sorted(letter for letter, _ in frequent), inside


def train_unigram(sample: list[str], size: int, given: dict, tail: int) -> tuple[tokenizers.Tokenizer, dict]:
    """T5's Unigram. Words end at Chinese punctuation too: sentences as words would make training slow."""
    head = SPECIAL["unigram"]
    fallback = BYTES if given.get("byte_fallback", size >= 4096) else []
    inner = tokenizers.Tokenizer(models.Unigram())
    fold = [normalizers.Lowercase()] if given.get("lowercase", False) else []
    inner.normalizer = normalizers.Sequence([normalizers.Nmt(), normalizers.NFC(), *fold])
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Metaspace(prepend_scheme="always"),
            pre_tokenizers.Split(tokenizers.Regex("[、。，！？；：…～“”（）《》【】]+"), "isolated"),
        ]
    )
    letters, _ = letters_of(sample, inner.normalizer, given.get("alphabet", size // 2))
    check_size(size, len(head) + len(fallback) + len(letters) + 1, tail)
    trainer = trainers.UnigramTrainer(
        vocab_size=size - len(fallback),
        special_tokens=head,
        unk_token="<unk>",
        show_progress=False,
        shrinking_factor=0.5,
    )
    keep = Keep(letters)
    texts = (text.translate(keep) for text in normalised(sample, inner.normalizer))
    inner.train_from_iterator(texts, trainer, length=len(sample))
    inner.model = rounded(inner, fallback)
    inner.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="always")])
    number = inner.token_to_id("</s>")
    inner.post_processor = processors.TemplateProcessing(
        single="$A </s>", pair="$A </s> $B </s>", special_tokens=[("</s>", number)]
    )
    return inner, {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>", "mask_token": "<mask>"}


def rounded(inner: tokenizers.Tokenizer, fallback: list[str]) -> models.Unigram:
    """The model with scores of 4 decimals, because the library's sums differ in the last ones from run to run, and
    with a token for each byte behind the special ones."""
    table = [(token, score) for token, score in json.loads(inner.to_str())["model"]["vocab"]]
    head, rest = table[: len(SPECIAL["unigram"])], [(token, round(score, 4)) for token, score in table[4:]]
    rest.sort(key=lambda one: (-one[1], one[0]))
    least = min((score for _, score in rest), default=0.0) - 20
    unknown = SPECIAL["unigram"].index("<unk>")
    return models.Unigram([*head, *((token, least) for token in fallback), *rest], unknown, bool(fallback))
