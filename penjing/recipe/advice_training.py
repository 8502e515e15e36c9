"""The rules about learning: how long, against overfitting, labels, whether the data is enough, long texts, splits."""

from __future__ import annotations

from penjing.recipe.advice import Advice, Topic, say
from penjing.recipe.advice_answers import (
    both_judgements,
    longer_answers,
    room_in_rounds,
    rounds,
    rounds_of_answers,
    slow_preference,
    valid_by_hand,
    watched_rewards,
)
from penjing.recipe.advice_changes import CHANGING, chosen, step_taught
from penjing.recipe.advice_evidence import COUNTED, DROPOUT, HOURS, NOW, PIECES, UNMEASURED, WEIGHTS, paper, tried
from penjing.recipe.advice_facts import Facts
from penjing.recipe.advice_rules import BEGINNING, MUCH, SOME, WRITES
from penjing.recipe.advice_text import Text
from penjing.recipe.columns import RAW
from penjing.recipe.looking import AS_THEY_ARE, COMPARED, TAUGHT

PRETRAIN_SHARE, FINETUNE_SHARE, SINGLE_SHARE = 0.6, 0.3, 0.85  # of the minutes; the rest is for data and measuring
FRESH_ONLY = ("seq2seq", "span", "embed")  # tasks whose fresh network is made by finetune


# ---- how long, how fast ----


def epochs_of_text(f: Facts) -> int:
    """How often little text is read: often."""
    return 20 if f.data.characters < 2e5 else 12 if f.data.characters <= SOME else 6


def epochs_of_records(f: Facts) -> int:
    """How often the records are learnt from: few ones often."""
    count = f.data.records
    if f.data.task == "seq2seq":
        return 40 if count < 5_000 else 20 if count < 20_000 else 10
    if f.data.task in AS_THEY_ARE:
        return 4
    return 3 if count > 20_000 else 5 if count > 5_000 else 10 if count > 2_000 else 15


def pace(f: Facts) -> dict[str, object]:
    """Optimizer, rates and batches of a network that begins fresh."""
    much, count = f.data.characters > SOME, f.data.records
    few = 8192 if count > 20_000 else 4096 if count > 5_000 else 1024
    read = {"optimizer": "muon", "learning_rate": 0.002 if much else 0.003, "batch_tokens": 8192 if much else 4096}
    if f.data.task in WRITES:
        little = f.data.characters < MUCH
        read = {
            "optimizer": "muon",
            "learning_rate": 0.008 if little else 0.004,
            "muon_rate": 0.02,
            "batch_tokens": 2048 if little else 4096,
        }
    if f.data.task == "tag":
        read = {"optimizer": "adamw", "learning_rate": 0.003}
    learn: dict[str, dict[str, object]] = {
        "classify": {"learning_rate": 0.001, "batch_tokens": few},
        "regress": {"learning_rate": 0.001, "batch_tokens": few},
        "tag": {"learning_rate": 0.002, "batch_tokens": 1024, "average": 0.2, "validate_times": 8},
        "chat": {"optimizer": "muon", "learning_rate": 0.001, "batch_tokens": 4096},
        "reinforce": {"optimizer": "muon", "learning_rate": 0.001, "batch_tokens": 4096},
        "preference": {"learning_rate": 0.0001, "batch_tokens": 4096},
        "reward": {"learning_rate": 0.0003, "batch_tokens": 4096},
        "seq2seq": {"optimizer": "muon", "learning_rate": 0.006, "average": 0.1, "validate_times": 8},
    }
    found = {} if f.data.task in FRESH_ONLY else {f"pretrain.{name}": value for name, value in read.items()}
    usual: dict[str, object] = {"learning_rate": 0.0005, "batch_tokens": 2048}
    told = {} if f.data.task in RAW else learn.get(f.data.task, usual)
    return found | {f"finetune.{name}": value for name, value in told.items()}


def after(f: Facts) -> dict[str, object]:
    """The rounds of reinforcement that follow the examples."""
    return rounds(f) if f.data.task == "reinforce" else {}


def only_prompts(f: Facts) -> Advice | None:
    if f.prompted:
        return say(f, "only_prompts", "each given", paper("Brown et al. 2020"))
    return None


def from_checkpoint(f: Facts) -> Advice | None:
    if not f.start:
        return None
    step, rate = step_taught(f), chosen(f).rate
    epochs = {"preference": 2, "reward": 1}.get(f.data.task, 3)
    size = 4096 if f.data.task in COMPARED else 2048
    long: dict[str, object] = (
        {"epochs": epochs} if f.minutes is None else {"minutes": round(SINGLE_SHARE * f.minutes, 2)}
    )
    sets = {f"{step}.{name}": value for name, value in {**long, "learning_rate": rate, "batch_tokens": size}.items()}
    told = f"epochs {epochs}" if f.minutes is None else f"minutes {long['minutes']}"
    one = chosen(f)
    evidence = tried(one.trial, one.best) if one.trial and one.best else paper("Devlin et al. 2019")
    return say(f, "from_checkpoint", "records estimate", evidence, sets, step=step, told=told, rate=rate)


def granted_minutes(f: Facts) -> Advice | None:
    if f.minutes is None:
        return None
    shares = {"pretrain": PRETRAIN_SHARE, "finetune": FINETUNE_SHARE}
    if f.data.task in RAW:
        shares = {"pretrain": SINGLE_SHARE}
    if f.data.task in FRESH_ONLY:
        shares = {"finetune": SINGLE_SHARE}
    sets = {f"{step}.minutes": round(share * f.minutes, 2) for step, share in shares.items()}
    parts = ", ".join(f"{step} {sets[f'{step}.minutes']:g}" for step in shares)
    return say(f, "granted_minutes", "minutes text machine", HOURS, sets | pace(f) | after(f), parts=parts)


def by_epochs(f: Facts) -> Advice | None:
    sets: dict[str, object] = {}
    if f.data.task not in FRESH_ONLY:
        long = f.data.characters > MUCH
        minutes = 20 if f.data.characters > 2e7 else 10
        sets |= {"pretrain.minutes": minutes} if long else {"pretrain.epochs": epochs_of_text(f)}
    if f.data.task not in RAW:
        sets["finetune.epochs"] = epochs_of_records(f)
    parts = ", ".join(f"{name.replace('.', ' ')} {value}" for name, value in sets.items())
    return say(f, "by_epochs", "records text", UNMEASURED, sets | pace(f) | after(f), parts=parts)


# ---- against overfitting ----


def nothing_learnt(f: Facts) -> Advice | None:
    if f.prompted:
        return say(f, "nothing_learnt", "each given", paper("Perez et al. 2021"))
    return None


def few_epochs(f: Facts) -> Advice | None:
    if f.start:
        return say(f, "few_epochs", "records given", paper("Devlin et al. 2019"))
    return None


def seen_once(f: Facts) -> Advice | None:
    if f.data.task in RAW and f.data.characters > 2e7:
        return say(f, "seen_once", "text")
    return None


def drop_much(f: Facts) -> Advice | None:
    if f.data.task in WRITES and f.data.characters < MUCH:
        sets: dict[str, object] = {"pretrain.dropout": 0.2, "pretrain.weight_decay": 0.1}
        sets |= {"finetune.dropout": 0.2} if f.data.task in ("chat", "reinforce") else {}
        return say(f, "drop_much", "text", DROPOUT, sets)
    return None


def drop_of_tags(f: Facts) -> Advice | None:
    if f.data.task == "tag":
        sets = {
            "pretrain.dropout": 0.2,
            "finetune.dropout": 0.4 if f.data.records < 20_000 else 0.3,
            "finetune.task.tag.crf": True,
            "finetune.task.tag.token_dropout": 0.1,
        }
        return say(f, "drop_of_tags", "records", UNMEASURED, sets, drop=sets["finetune.dropout"])
    return None


def drop_of_pairs(f: Facts) -> Advice | None:
    if f.data.task == "seq2seq":
        drop = 0.3 if f.data.records < 5_000 else 0.2
        return say(
            f,
            "drop_of_pairs",
            "records",
            paper("Vaswani et al. 2017"),
            {"finetune.dropout": drop, "finetune.task.seq2seq.smoothing": 0.1},
            drop=drop,
        )
    return None


def drop_of_labels(f: Facts) -> Advice | None:
    if f.data.task in TAUGHT and f.data.records < 20_000:
        sets: dict[str, object] = {"finetune.dropout": 0.1, f"finetune.task.{f.data.task}.token_dropout": 0.1}
        sets |= {"finetune.task.classify.smoothing": 0.1} if len(f.data.labels) > 20 else {}
        return say(f, "drop_of_labels", "records labels", UNMEASURED, sets)
    return None


def best_validation(f: Facts) -> Advice | None:
    return say(f, "best_validation", "records text")


# ---- labels ----


def several_labels(f: Facts) -> Advice | None:
    if f.data.task == "classify" and f.data.several:
        return say(f, "several_labels", "labels rarest", COUNTED, {"finetune.task.classify.several": True})
    return None


def lonely_labels(f: Facts) -> Advice | None:
    if f.data.labels and f.data.rarest[1] < 5:
        return say(f, "lonely_labels", "labels rarest", COUNTED)
    return None


def heavy_labels(f: Facts) -> Advice | None:
    if f.data.task == "classify" and f.data.skew > 10 and not f.prompted:
        return say(f, "heavy_labels", "skew rarest", UNMEASURED, {"finetune.task.classify.weights": "balanced"})
    return None


def uneven_labels(f: Facts) -> Advice | None:
    if f.data.task == "classify" and f.data.skew > 3:
        return say(f, "uneven_labels", "skew rarest", WEIGHTS)
    return None


def even_labels(f: Facts) -> Advice | None:
    if f.data.labels:
        return say(f, "even_labels", "labels skew", COUNTED)
    return None


# ---- is the data enough ----


def more_labels(f: Facts) -> Advice | None:
    if f.curve and f.curve.gain >= 1:
        return say(f, "more_labels", "curve gain", NOW)
    return None


def enough_labels(f: Facts) -> Advice | None:
    if f.curve:
        return say(f, "enough_labels", "curve gain", NOW)
    return None


def unknown_amount(f: Facts) -> Advice | None:
    return say(f, "unknown_amount", "records text")


# ---- long texts ----


def room(f: Facts, most: int, least: int = 64, factor: float = 1.0) -> int:
    """Tokens that 19 of 20 texts need, as a power of two."""
    return min(most, max(least, 1 << (round(factor * f.data.tokens(0.95)) - 1).bit_length()))


def in_the_prompt(f: Facts) -> Advice | None:
    if f.prompted:
        return say(f, "in_the_prompt", "length longer given", COUNTED)
    return None


def window_of_checkpoint(f: Facts) -> Advice | None:
    if not f.start:
        return None
    most = 1024 if f.data.task in ("chat", *COMPARED) else 512
    window = min(room(f, most, 128), f.start.window or most)
    step = step_taught(f)
    return say(f, "window_of_checkpoint", "longer lost", COUNTED, {f"{step}.window": window}, window=window)


def overlapping(f: Facts) -> Advice | None:
    if f.data.task not in ("tag", "span"):
        return None
    step, most = ("pretrain", 256) if f.data.task == "tag" else ("finetune", 384)
    return say(f, "overlapping", "longer", COUNTED, {f"{step}.max_tokens": most}, most=most)


def short_pieces(f: Facts) -> Advice | None:
    if f.data.task != "causal":
        return None
    most = 128 if f.data.characters < MUCH else 256
    return say(
        f,
        "short_pieces",
        "longer text",
        PIECES if most == 128 else UNMEASURED,
        {"pretrain.max_tokens": most, "pretrain.cuts": "moving"},
        most=most,
    )


def whole_answers(f: Facts) -> Advice | None:
    if f.data.task not in ("chat", "seq2seq", "reinforce", *COMPARED):
        return None
    pairs = f.data.task == "seq2seq"
    step, most = ("finetune", room(f, 512, 64, 1.5)) if pairs else ("pretrain", room(f, 1024, 128))
    return say(f, "whole_answers", "length longer", COUNTED, {f"{step}.max_tokens": most}, most=most)


def both_ends(f: Facts) -> Advice | None:
    if f.data.task in TAUGHT and f.data.longer(512) > 0.05:
        sets = {"pretrain.max_tokens": 512, "pretrain.window": 256, "finetune.long_text": "head_tail"}
        return say(f, "both_ends", "longer lost", paper("Sun et al. 2019"), sets)
    return None


def all_of_it(f: Facts) -> Advice | None:
    most = room(f, 512)
    step = "finetune" if f.data.task in AS_THEY_ARE else "pretrain"
    sets: dict[str, object] = {f"{step}.max_tokens": most}
    sets |= {"pretrain.window": 256} if most == 512 and step == "pretrain" else {}
    return say(f, "all_of_it", "longer lost", COUNTED, sets, most=most)


# ---- valid and test ----


def contradictions(f: Facts) -> Advice | None:
    if f.data.conflicts > 0.01 * f.data.records or f.data.conflicts > 100:
        return say(f, "contradictions", "repeats", COUNTED)
    return None


def split_by_hand(f: Facts) -> Advice | None:
    if f.data.task in AS_THEY_ARE and "test" not in f.data.files:
        return say(f, "split_by_hand", "splits repeats", COUNTED)
    return None


def split_off(f: Facts) -> Advice | None:
    if "test" not in f.data.files and f.data.task not in RAW:
        return say(f, "split_off", "splits repeats", COUNTED)
    return None


def held_back(f: Facts) -> Advice | None:
    if "test" not in f.data.files and f.data.task in RAW:
        return say(f, "held_back", "splits repeats", COUNTED)
    return None


def as_split(f: Facts) -> Advice | None:
    return say(f, "as_split", "splits repeats", COUNTED)


TOPICS = (
    *BEGINNING,
    *CHANGING,
    Topic(
        "budget",
        Text("How do I train it, how long?", "怎样训练，多久？"),
        (only_prompts, rounds_of_answers, from_checkpoint, granted_minutes, by_epochs),
    ),
    Topic(
        "overfitting",
        Text("How do I stop overfitting?", "怎样防止过拟合？"),
        (
            nothing_learnt,
            longer_answers,
            slow_preference,
            watched_rewards,
            few_epochs,
            seen_once,
            drop_much,
            drop_of_tags,
            drop_of_pairs,
            drop_of_labels,
            best_validation,
        ),
    ),
    Topic(
        "labels",
        Text("What of the labels?", "标签如何？"),
        (both_judgements, several_labels, lonely_labels, heavy_labels, uneven_labels, even_labels),
    ),
    Topic("enough", Text("Is my data enough?", "我的数据够吗？"), (more_labels, enough_labels, unknown_amount)),
    Topic(
        "long",
        Text("Long texts?", "长文本？"),
        (
            in_the_prompt,
            room_in_rounds,
            window_of_checkpoint,
            overlapping,
            short_pieces,
            whole_answers,
            both_ends,
            all_of_it,
        ),
    ),
    Topic(
        "splits",
        Text("Valid and test?", "验证集与测试集？"),
        (contradictions, split_by_hand, valid_by_hand, split_off, held_back, as_split),
    ),
)
