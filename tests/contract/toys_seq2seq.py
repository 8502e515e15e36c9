"""Toys of sequence to sequence: a word-by-word translation into one language, and a copy into another."""

import random
from functools import cache

from toys import KINDS, TEXTS, WORDS
from toys import STRANGE as TEXTS_OF_ALL_KINDS

from penjing.text.tokenizer_training import train_tokenizer

FAMILIES = ("t5", "bart", "mbart", "marian")  # vaswani is saved as marian
OPTIONS = {"max_new_tokens": 12}
LEARNT = 35.0  # BLEU
TEACH = {family: (200, 5e-3) for family in FAMILIES}
SOURCES = [random.Random(row).choices(list(WORDS), k=4 + row % 2) for row in range(16)]
RECORDS = [{"source": " ".join(words), "target": " ".join(map(WORDS.get, words)), "source_lang": "xx", "target_lang": "zh"}
           for words in SOURCES]  # fmt: skip
RECORDS += [{"source": f"{word} {word}", "target": " ".join([word] * 4), "source_lang": "xx", "target_lang": "xx"}
            for word in ("tree", "parcel", "box")]  # fmt: skip
STRANGE = [{"source": text, "target_lang": "zh"} for text in TEXTS_OF_ALL_KINDS]
TAGS = {"languages": "auto"}
EFFECTS = {
    "languages": (None, "auto"), "smoothing": (0.0, 0.3), "mixing": (1.0, 5.0, TAGS), "beams": (1, 4),
    "length_penalty": (1.0, -9.0), "max_new_tokens": (None, 3), "no_repeat_ngram": (0, 1), "stemmer": (False, True),
    "watch": ("loss", "score", {"watch_records": 5}), "watch_records": (200, 5),
}  # fmt: skip


@cache
def tokenizer(family):
    """With spare tokens, which can stand for languages."""
    sizes = {"wordpiece": 136, "unigram": 68}
    return train_tokenizer(TEXTS * 4, kind=KINDS[family], size=sizes[KINDS[family]], spare=4)
