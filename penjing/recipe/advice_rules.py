"""The rules about what to begin with: which way, which checkpoint, which network, tokenizer and objective.

A rule looks at the facts and gives an advice, or None where it has nothing to say. In a topic the first that speaks is
heard, so the order is the precedence. What a rule sets is the recipe's: no two topics set the same option.
"""

from __future__ import annotations

from penjing.recipe.advice import Advice, Topic, say
from penjing.recipe.advice_answers import WAYS_OF_ANSWERS
from penjing.recipe.advice_evidence import (
    COUNTED,
    FILM,
    INTENTS,
    LIKENESS,
    NAMES,
    NOW,
    SHOP,
    SHORTEST,
    UNMEASURED,
    VERSE,
    Evidence,
    paper,
)
from penjing.recipe.advice_facts import FEW, Facts
from penjing.recipe.advice_text import Text
from penjing.recipe.columns import RAW

LITTLE, SOME, MUCH = 1e5, 2e6, 5e6  # characters of text
LONG = 128  # tokens of the middle text
WRITES = ("causal", "chat", "preference", "reinforce")  # tasks of a network that writes
SHORT_TIME = 3.0  # minutes; the smallest recipe measured, SMS spam, takes nearly as long


# ---- which way ----


def few_shots(f: Facts) -> Advice | None:
    if f.start and f.prompted:
        return say(
            f, "few_shots", "each given fit", paper("Brown et al. 2020"), {"fewshot.model": f.start.folder.as_posix()}
        )
    return None


def vectors_of_checkpoint(f: Facts) -> Advice | None:
    if f.start and f.data.task == "embed":
        return say(
            f, "vectors_of_checkpoint", "records given fit", LIKENESS, {"finetune.model": f.start.folder.as_posix()}
        )
    return None


def reading_on(f: Facts) -> Advice | None:
    if f.start and f.data.task in RAW:
        sets = {"pretrain.model": f.start.folder.as_posix()}
        return say(f, "reading_on", "text given fit", paper("Gururangan et al. 2020"), sets)
    return None


def whole_checkpoint(f: Facts) -> Advice | None:
    if f.start:
        sets = {"finetune.model": f.start.folder.as_posix()}
        return say(f, "whole_checkpoint", "records given fit", paper("Devlin et al. 2019"), sets)
    return None


def no_time(f: Facts) -> Advice | None:
    if f.minutes is not None and f.minutes < SHORT_TIME:
        return say(f, "no_time", "minutes machine", SHORTEST)
    return None


def few_labels(f: Facts) -> Advice | None:
    if f.data.task == "classify" and f.each < FEW:
        return say(f, "few_labels", "each labels none", paper("Brown et al. 2020"))
    return None


def long_reviews(f: Facts) -> Advice | None:
    if f.data.task == "classify" and f.data.tokens(0.5) >= LONG:
        return say(f, "long_reviews", "records length none", FILM)
    return None


def labelled_texts(f: Facts) -> Advice | None:
    if f.data.task == "classify":
        return say(f, "labelled_texts", "records length none", SHOP)
    return None


def numbers(f: Facts) -> Advice | None:
    if f.data.task == "regress":
        return say(f, "numbers", "records length none")
    return None


def tagged_texts(f: Facts) -> Advice | None:
    if f.data.task == "tag":
        return say(f, "tagged_texts", "records none", NAMES)
    return None


def contexts(f: Facts) -> Advice | None:
    if f.data.task == "span":
        return say(f, "contexts", "records none", paper("Devlin et al. 2019"))
    return None


def vectors(f: Facts) -> Advice | None:
    if f.data.task == "embed":
        return say(f, "vectors", "records none", LIKENESS)
    return None


def repeated_answers(f: Facts) -> Advice | None:
    if f.data.task == "chat" and f.data.answers[1] >= 20 * max(1, f.data.answers[0]):
        return say(f, "repeated_answers", "answers none", INTENTS)
    return None


def talks(f: Facts) -> Advice | None:
    if f.data.task == "chat":
        return say(f, "talks", "answers text none")
    return None


def two_sides(f: Facts) -> Advice | None:
    if f.data.task == "seq2seq":
        return say(f, "two_sides", "records text none", paper("Vaswani et al. 2017"))
    return None


def little_text(f: Facts) -> Advice | None:
    if f.data.characters < LITTLE:
        return say(f, "little_text", "text none")
    return None


def raw_text(f: Facts) -> Advice | None:
    return say(f, "raw_text", "text none", VERSE if f.data.task == "causal" else UNMEASURED)


# ---- which pretrained model ----

PUBLIC: dict[str, dict[str, tuple[str, Evidence]]] = {  # task: language: a checkpoint of a family we read
    "classify": {
        "en": ("distilbert-base-uncased", paper("Sanh et al. 2019")),
        "zh": ("hfl/chinese-roberta-wwm-ext", paper("Cui et al. 2021")),
        "other": ("distilbert-base-multilingual-cased", paper("Sanh et al. 2019")),
    },
    "tag": {"en": ("distilbert-base-cased", paper("Sanh et al. 2019"))},
    "embed": {
        "en": ("sentence-transformers/all-MiniLM-L6-v2", LIKENESS),
        "zh": ("BAAI/bge-small-zh-v1.5", paper("Xiao et al. 2023")),
        "other": ("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", paper("Reimers & Gurevych 2020")),
    },
    "seq2seq": {"other": ("Helsinki-NLP/opus-mt-…", paper("Tiedemann & Thottingal 2020"))},
    "summary": {
        "en": ("facebook/bart-base", paper("Lewis et al. 2020")),
        "other": ("google/mt5-small", paper("Xue et al. 2021")),
    },
    "chat": {"other": ("Qwen/Qwen2.5-0.5B-Instruct", paper("Qwen 2024"))},
    "causal": {"en": ("gpt2", paper("Radford et al. 2019")), "other": ("Qwen/Qwen2.5-0.5B", paper("Qwen 2024"))},
}


def kind_of(f: Facts) -> str:
    """A row of PUBLIC."""
    summaries = f.data.task == "seq2seq" and {"summary", "highlights"} & set(f.data.columns)
    if f.data.task in ("preference", "reward", "reinforce"):
        return "chat"
    return "summary" if summaries else f.data.task if f.data.task in PUBLIC else "classify"


def cannot_do_it(f: Facts) -> Advice | None:
    if f.obstacle == "task":
        return say(f, "cannot_do_it", "given task", COUNTED)
    return None


def foreign_words(f: Facts) -> Advice | None:
    if f.obstacle == "vocabulary":
        return say(f, "foreign_words", "given fit language", NOW)
    return None


def too_large(f: Facts) -> Advice | None:
    if f.obstacle == "memory":
        return say(f, "too_large", "given memory", COUNTED)
    return None


def at_hand(f: Facts) -> Advice | None:
    if f.start:
        return say(f, "at_hand", "given fit memory", NOW)
    return None


def public(f: Facts) -> Advice | None:
    row = PUBLIC[kind_of(f)] | {
        n: one
        for n, one in PUBLIC["classify"].items()
        if n not in PUBLIC[kind_of(f)] and f.data.task in ("classify", "regress", "tag", "span", "masked")
    }
    name, evidence = row.get(f.data.language, row["other"])
    return say(f, "public", "task language none", evidence, name=name)


# ---- which network ----


def own_network(f: Facts) -> Advice | None:
    if f.start:
        return say(f, "own_network", "given", COUNTED, family=f.start.family)
    return None


def fresh(f: Facts, step: str, name: str, layers: int, width: int, **more: object) -> dict[str, object]:
    """The options of a fresh network in the step that makes it."""
    return {f"{step}.{key}": value for key, value in {"family": name, "layers": layers, "width": width, **more}.items()}


def tagger(f: Facts) -> Advice | None:
    if f.data.task == "tag":
        width = 384 if f.data.characters > LITTLE else 128
        return say(f, "tagger", "task text", UNMEASURED, fresh(f, "pretrain", "lstm", 2, width), width=width)
    return None


def near_decoder(f: Facts) -> Advice | None:
    if f.data.task in WRITES and f.data.characters < MUCH:
        return say(f, "near_decoder", "text", VERSE, fresh(f, "pretrain", "bloom", 4, 192, heads=6))
    return None


def decoder(f: Facts) -> Advice | None:
    if f.data.task in WRITES:
        return say(f, "decoder", "text", UNMEASURED, fresh(f, "pretrain", "llama", 4, 256))
    return None


def encoder_decoder(f: Facts) -> Advice | None:
    if f.data.task == "seq2seq":
        layers, width = (3, 192) if f.data.characters > 5e5 else (2, 128)
        return say(
            f,
            "encoder_decoder",
            "records text",
            UNMEASURED,
            fresh(f, "finetune", "marian", layers, width),
            layers=layers,
            width=width,
        )
    return None


def encoder(f: Facts) -> Advice | None:
    width = 192 if f.data.characters > SOME else 128
    step = "finetune" if f.data.task in ("span", "embed") else "pretrain"
    return say(
        f, "encoder", "text", FILM if width == 192 else UNMEASURED, fresh(f, step, "modernbert", 2, width), width=width
    )


# ---- which tokenizer ----


def own_tokenizer(f: Facts) -> Advice | None:
    if f.start:
        return say(f, "own_tokenizer", "fit", NOW)
    return None


def size_of(f: Facts) -> int:
    """Tokens of a vocabulary: few for little text, more for Chinese with its many characters."""
    sizes = ((MUCH, 8000), (5e5, 4000), (LITTLE, 2000), (0, 1000))
    return next(size for least, size in sizes if f.data.characters >= least) * (2 if f.data.chinese else 1)


def bytes_of_verse(f: Facts) -> Advice | None:
    if f.data.task == "causal" and f.data.characters < SOME and not f.data.chinese:
        return say(f, "bytes_of_verse", "text", VERSE, {"tokenizer.kind": "bpe", "tokenizer.size": 1024})
    return None


def fresh_tokenizer(f: Facts) -> Advice | None:
    kind = "unigram" if f.data.task == "seq2seq" else "bpe" if f.data.task in WRITES else "wordpiece"
    cased: dict[str, object] = {"tokenizer.lowercase": False} if f.data.task == "tag" and not f.data.chinese else {}
    return say(
        f,
        "fresh_tokenizer",
        "text language",
        UNMEASURED,
        {"tokenizer.kind": kind, "tokenizer.size": size_of(f), **cased},
        kind=kind,
        size=size_of(f),
    )


# ---- which objective ----


def already_learnt(f: Facts) -> Advice | None:
    if f.start and f.data.task not in RAW:
        return say(f, "already_learnt", "text given", paper("Gururangan et al. 2020"))
    return None


def nothing_before(f: Facts) -> Advice | None:
    if f.data.task in ("seq2seq", "span", "embed"):
        return say(f, "nothing_before", "task records")
    return None


def next_token(f: Facts) -> Advice | None:
    if f.data.task in WRITES:
        return say(f, "next_token", "task", paper("Radford et al. 2018"), {"pretrain.task": "causal"})
    return None


def hidden_words(f: Facts) -> Advice | None:
    if f.data.task == "tag":
        whole = {"pretrain.task.masked.whole_words": True} if not f.data.chinese else {}
        return say(f, "hidden_words", "task language", UNMEASURED, {"pretrain.task.masked.rate": 0.2, **whole})
    return None


def hidden_tokens(f: Facts) -> Advice | None:
    rate = 0.2 if f.data.characters > SOME else 0.3
    return say(f, "hidden_tokens", "text", paper("Wettig et al. 2023"), {"pretrain.task.masked.rate": rate}, rate=rate)


BEGINNING = (
    Topic(
        "way",
        Text("Which way?", "走哪条路？"),
        (
            *WAYS_OF_ANSWERS,
            few_shots,
            vectors_of_checkpoint,
            reading_on,
            whole_checkpoint,
            no_time,
            few_labels,
            long_reviews,
            labelled_texts,
            numbers,
            tagged_texts,
            contexts,
            vectors,
            repeated_answers,
            talks,
            two_sides,
            little_text,
            raw_text,
        ),
    ),
    Topic(
        "pretrained",
        Text("Which pretrained model?", "用哪个预训练模型？"),
        (cannot_do_it, foreign_words, too_large, at_hand, public),
    ),
    Topic(
        "network",
        Text("Which network, how large?", "用什么网络，多大？"),
        (own_network, tagger, near_decoder, decoder, encoder_decoder, encoder),
    ),
    Topic("tokenizer", Text("Which tokenizer?", "用什么分词器？"), (own_tokenizer, bytes_of_verse, fresh_tokenizer)),
    Topic(
        "objective",
        Text("Which pre-training?", "怎样预训练？"),
        (already_learnt, nothing_before, next_token, hidden_words, hidden_tokens),
    ),
)
