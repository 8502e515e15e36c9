"""Is one classifier better than another on the same texts? Paired differences with intervals, the verdict in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import comb, erfc, sqrt
from typing import Any

import numpy as np

from penjing.evaluate.intervals import Samples, interval

Outcome = str  # worth_it | not_worth_it | no_clear_difference
METRICS = {
    "accuracy": "准确率",
    "macro_f1": "宏平均 F1",
    "micro_f1": "微平均 F1",
    "f1": "F1",
    "exact_match": "完全匹配率",
    "word_f1": "词 F1",
    "bits_per_byte": "每字节比特",
}
SPELT = (("_", "-"), ("f1", "F1"), ("bleu", "BLEU"), ("chrf", "chrF"), ("rouge-l", "ROUGE-L"), ("mrr", "MRR"))
Words = Mapping[Outcome, tuple[str, str]]  # what is said of an outcome, in English and in Chinese
CLASSICAL: Words = {
    "worth_it": ("worth it: {over}", "值得：{told}"),
    "not_worth_it": (
        "not worth it: use the classical model {name}{saved}: {against}",
        "不值得：请用经典模型 {name}{place}：{told}",
    ),
    "no_clear_difference": (
        "no clear difference: {against}; the classical model is smaller and faster{saved}",
        "没有明显差别：{told}；经典模型更小更快{place}",
    ),
}
TAUGHT: Words = {  # of a linear model that a teacher taught, beside one that has learnt the true labels alone
    "worth_it": (
        "the teacher helps: {over}; {name} has learnt the true labels alone",
        "教师有帮助：{told}；{name} 只学了真实标签",
    ),
    "not_worth_it": (
        "the teacher does harm: use {name}, which has learnt the true labels alone{saved}: {against}",
        "教师反而有害：请用只学了真实标签的 {name}{place}：{told}",
    ),
    "no_clear_difference": (
        "the teacher gives nothing that shows: {against}; {name} has learnt the true labels alone{saved}",
        "看不出教师有帮助：{told}；{name} 只学了真实标签{place}",
    ),
}
EXACT = 1000  # McNemar: the exact test up to this many texts on which one is right and the other wrong


def difference(
    of: str,
    to: str,
    metric: str,
    values: Mapping[str, Mapping[str, float]],
    samples: Mapping[str, Samples],
    share: float,
) -> dict[str, Any]:
    """`of` minus `to` in one metric, with the interval of the paired resamples."""
    value = values[of][metric] - values[to][metric]
    return {"of": of, "to": to, "metric": metric} | interval(samples[of][metric] - samples[to][metric], value, share)


def mcnemar(right: np.ndarray, other: np.ndarray) -> dict[str, float]:
    """How often only one of the two is right (N booleans each), and the two-sided p of chance (McNemar 1947)."""
    first, second = int((right & ~other).sum()), int((other & ~right).sum())
    number = first + second
    if number <= EXACT:
        p = min(1.0, 2 * sum(comb(number, k) for k in range(min(first, second) + 1)) / 2**number)
    else:
        p = erfc(max(abs(first - second) - 1, 0) / sqrt(number) / sqrt(2))
    return {"only_first_right": first, "only_second_right": second, "p": p}


def outcome(found: Mapping[str, Any], doubtful: bool = False) -> Outcome:
    """What the interval of a difference says; nothing where a test on so few texts does not bear it out."""
    low, high = (-found["high"], -found["low"]) if found.get("lower") else (found["low"], found["high"])
    if doubtful:
        return "no_clear_difference"
    if low > 0:
        return "worth_it"
    return "not_worth_it" if high < 0 else "no_clear_difference"


def verdict(
    found: Mapping[str, Any],
    confidence: float,
    path: str | None,
    test: Mapping[str, float] | None = None,
    scale: float = 100.0,
    words: Words = CLASSICAL,
) -> dict[str, Any]:
    """The difference of the model to the best baseline in words, in both languages.

    test: McNemar's on the same decisions. The bootstrap's interval is too narrow where only a few texts tell the two
    apart (three of three give an interval of no width), and the exact test is not. scale: what one is shown as: 100
    for shares, told in points.
    """
    doubtful = test is not None and test["p"] > 1 - confidence and not found["low"] <= 0 <= found["high"]
    digits = 1 if scale == 100 else 2
    result, points = outcome(found, doubtful), f"{scale * found['value']:+.{digits}f}"
    low, high = (f"{scale * found[side]:.{digits}f}" for side in ("low", "high"))
    percent, unit, single = f"{100 * confidence:g}", *((" points", " 个百分点") if scale == 100 else ("", ""))
    metric, name = spelt(found["metric"]), found["to"]
    less, fewer = (" (less is better)", "（越低越好）") if found.get("lower") else ("", "")
    rest = f"{percent} % interval {low} to {high}"
    over, against = (f"{points}{unit} {metric}{less} {word} {name}, {rest}" for word in ("over", "against"))
    told = f"{METRICS.get(found['metric'], metric)}{fewer}与 {name} 相差 {points}{single}，{percent} % 区间 {low} 到 {high}"
    if doubtful and test is not None:
        few = int(test["only_first_right"] + test["only_second_right"])
        against += f", but only {few} texts tell them apart (p = {test['p']:.2g})"
        told += f"，但只有 {few} 条文本分出高下（p = {test['p']:.2g}）"
    saved, place = (f" (saved at {path})", f"（保存在 {path}）") if path else ("", "")
    said = {"over": over, "against": against, "told": told, "name": name, "saved": saved, "place": place}
    english, chinese = (text.format(**said) for text in words[result])
    return {
        "outcome": result,
        "en": english,
        "zh": chinese,
        "baseline": name,
        "difference": dict(found),
    }


def spelt(metric: str) -> str:
    """The name of a score in a sentence."""
    for written, told in SPELT:
        metric = metric.replace(written, told)
    return metric


def best_of(names: Sequence[str], values: Mapping[str, Mapping[str, float]], metric: str) -> str:
    """The name with the highest value of the metric; of equals, the one with the lower log loss."""
    return max(names, key=lambda name: (values[name][metric], -values[name]["log_loss"]))
