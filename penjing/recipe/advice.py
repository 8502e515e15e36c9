"""What a piece of advice is: a recommendation, the facts of this data that led to it, and its evidence.

The rules are in `advice_rules.py`, `advice_changes.py`, `advice_answers.py` and `advice_training.py`, their words in
`advice_words.py`, their evidence in `advice_evidence.py`; what they look at is in `advice_facts.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from penjing.recipe.advice_evidence import UNMEASURED, Evidence
from penjing.recipe.advice_facts import SHARES, Facts
from penjing.recipe.advice_text import Text
from penjing.recipe.advice_words import WORDS


@dataclass(frozen=True)
class Advice:
    """One recommendation. `sets`: `step.option` of the recipe, also inside a choice: `finetune.task.tag.crf`."""

    rule: str
    text: Text
    because: tuple[Text, ...]
    evidence: Evidence
    sets: Mapping[str, Any] = field(default_factory=dict)


Rule = Callable[[Facts], Advice | None]


@dataclass(frozen=True)
class Topic:
    """A question of the field. The first of its rules that has something to say answers it: no two can disagree."""

    name: str
    question: Text
    rules: tuple[Rule, ...]

    def answer(self, facts: Facts) -> Advice | None:
        """The answer for these facts; None where the question does not arise."""
        return next((found for rule in self.rules if (found := rule(facts))), None)


def say(
    facts: Facts, rule: str, because: str, evidence: Evidence = UNMEASURED, sets: Mapping[str, Any] | None = None,
    **values: Any,
) -> Advice:  # fmt: skip
    """A rule's advice. `because`: names of PHRASES, between spaces; `values` fill the rule's words."""
    reasons = tuple(PHRASES[name](facts) for name in because.split())
    return Advice(rule, WORDS[rule].filled(**values), reasons, evidence, dict(sets or {}))


# ---- the facts in words ----

TASKS = {
    "classify": Text("labels for texts", "文本分类"),
    "regress": Text("numbers for texts", "为文本预测数值"),
    "tag": Text("entities or tags in texts", "文本中的实体或标签序列"),
    "span": Text("answers in a context", "在上下文中找答案"),
    "embed": Text("sentence vectors", "句向量"),
    "chat": Text("dialogue or instructions", "对话或指令"),
    "seq2seq": Text("translation or summaries", "翻译或摘要"),
    "preference": Text("which answers are better", "哪些回答更好"),
    "reward": Text("a score for answers", "给回答打分"),
    "reinforce": Text("prompts whose answers can be checked", "可检验回答的提示"),
    "causal": Text("raw text, to learn to write", "原始文本，学习写作"),
    "masked": Text("raw text, to learn to read", "原始文本，学习阅读"),
}
LANGUAGES = {"en": Text("English", "英文"), "zh": Text("Chinese", "中文"), "mixed": Text("English and Chinese", "中英混合"),
             "other": Text("neither English nor Chinese", "非中文亦非英文")}  # fmt: skip


def percent(share: float) -> str:
    """A share in whole percents; a small one that is not zero says so."""
    return "<1" if 0 < share < 0.005 else f"{100 * share:.0f}"


def amount(number: float) -> str:
    """12 -> 12; 12345 -> 12,345; 12345678 -> 12.3M"""
    return f"{number / 1e6:.1f}M" if number >= 1e6 else f"{number:,.0f}"


def phrase(en: str, zh: str, values: Callable[[Facts], Mapping[str, Any]]) -> Callable[[Facts], Text]:
    """How one fact is said."""
    return lambda facts: Text(en, zh).filled(**values(facts))


def curve_values(f: Facts) -> dict[str, str]:
    """The points of a learning curve."""
    assert f.curve
    shares = ", ".join(percent(share) for share in SHARES)
    return {"shares": shares, "scores": ", ".join(f"{score:.3f}" for score in f.curve.scores),
            "last": f"{f.curve.records[-1]:,}", "gain": f"{f.curve.gain:+.1f}", "score": f.curve.score}  # fmt: skip


def given_values(f: Facts) -> dict[str, str]:
    """What a checkpoint is like beside the data and the machine."""
    assert f.given
    minutes = f.epoch_minutes
    return {"family": f.given.family, "size": amount(f.given.parameters), "length": f"{f.given.per_token:.1f}",
            "unknown": percent(f.given.unknown), "need": f"{f.need:.1f}", "memory": f"{f.machine.memory:.0f}",
            "minutes": "?" if minutes is None else f"{max(1.0, minutes):.0f}"}  # fmt: skip


def side_values(f: Facts) -> dict[str, str]:
    """What was counted in preferences."""
    sides = f.data.sides
    counts = {name: f"{sides.get(name, 0):,}" for name in ("pairs", "good", "bad", "useless")}
    return counts | {"longer": percent(sides.get("longer", 0) / max(1, sides.get("pairs", 0)))}


def checked_values(f: Facts) -> dict[str, str]:
    """What was counted in prompts whose answers can be checked."""
    different, count = f.data.answers
    return {"prompts": f"{f.data.records:,}", "size": f"{f.data.answered}", "a": f"{different:,}", "n": f"{count:,}",
            "reward": f.data.verifier}  # fmt: skip


PHRASES: Mapping[str, Callable[[Facts], Text]] = {
    "task": lambda f: TASKS[f.data.task],
    "language": lambda f: Text("texts: {}", "文本：{}")._replace(
        en=f"texts: {LANGUAGES[f.data.language].en}", zh=f"文本：{LANGUAGES[f.data.language].zh}"),
    "records": phrase("{n} records to learn from", "{n} 条训练记录", lambda f: {"n": f"{f.data.records:,}"}),
    "text": phrase("about {n} characters of text", "约 {n} 个字符的文本", lambda f: {"n": amount(f.data.characters)}),
    "labels": phrase("{n} labels", "{n} 个标签", lambda f: {"n": len(f.data.labels)}),
    "each": phrase("{n} records a label", "每个标签 {n} 条记录", lambda f: {"n": f"{f.each:,.0f}"}),
    "rarest": phrase("the rarest label, {name}, is seen {n} times", "最少的标签 {name} 出现 {n} 次",
                     lambda f: dict(zip(("name", "n"), f.data.rarest, strict=True))),
    "skew": phrase("the commonest label is {n} times as frequent as the rarest", "最多的标签是最少的 {n} 倍",
                   lambda f: {"n": f"{f.data.skew:.1f}"}),
    "length": phrase("tokens of a text: {middle} in the middle, 5 % have more than {most}",
                     "每条文本的词元数：中位数 {middle}，5% 超过 {most}",
                     lambda f: {"middle": f.data.tokens(0.5), "most": f.data.tokens(0.95)}),
    "longer": phrase("longer than 128, 256, 512 tokens: {a} %, {b} %, {c} %", "超过 128、256、512 个词元的：{a}%、{b}%、{c}%",
                     lambda f: {n: percent(f.data.longer(t)) for n, t in zip("abc", (128, 256, 512), strict=True)}),
    "lost": phrase("text behind 128, 256, 512 tokens: {a} %, {b} %, {c} %", "128、256、512 个词元之后的文本：{a}%、{b}%、{c}%",
                   lambda f: {n: percent(f.data.lost(t)) for n, t in zip("abc", (128, 256, 512), strict=True)}),
    "none": lambda f: Text("no checkpoint was given (--model)", "未给出检查点（--model）"),
    "given": phrase("the checkpoint: {family}, {size} parameters", "检查点：{family}，{size} 个参数", given_values),
    "fit": phrase("its tokens: {length} characters of your texts each, {unknown} % unknown",
                  "其词元：平均 {length} 个字符，{unknown}% 未知", given_values),
    "memory": phrase("training it takes about {need} GB of {memory}", "训练它约需 {need} GB，本机有 {memory} GB", given_values),
    "estimate": phrase("one time through the records: about {minutes} min, estimated", "读一遍记录约需 {minutes} 分钟（估计）",
                       given_values),
    "minutes": phrase("{n} minutes are granted", "给定 {n} 分钟", lambda f: {"n": f"{f.minutes or 0:g}"}),
    "machine": phrase("{cores} cores, {rate:.0f} GFLOP/s", "{cores} 核，{rate:.0f} GFLOP/s",
                      lambda f: {"cores": f.machine.cores, "rate": f.machine.rate}),
    "curve": phrase("n-grams, {score} with {shares} % of {last} records: {scores}",
                    "n-gram 在 {last} 条记录的 {shares}% 上的 {score}：{scores}", curve_values),
    "gain": phrase("the last doubling: {gain} points", "最后一次翻倍：{gain} 个百分点", curve_values),
    "answers": phrase("{a} different answers among {n}", "{n} 个回答中有 {a} 个不同",
                      lambda f: dict(zip("an", f.data.answers, strict=True))),
    "pairs": phrase("{pairs} pairs of answers, the longer one better in {longer} %; {useless} records equal, empty or broken",
                    "{pairs} 对回答，较长者更好的占 {longer}%；{useless} 条记录相同、为空或有误", side_values),
    "judged": phrase("{good} good answers, {bad} bad ones; {useless} records empty or broken",
                     "{good} 个好回答，{bad} 个坏回答；{useless} 条记录为空或有误", side_values),
    "checked": phrase("{prompts} prompts; answers of {size} characters and less, {a} different among {n}; checked by {reward}",
                      "{prompts} 个提示；回答不超过 {size} 个字符，{n} 个中有 {a} 个不同；由 {reward} 检验", checked_values),
    "repeats": phrase("equal texts: {d} in train, {c} of them with other labels, {l} also in valid or test",
                      "相同文本：训练集内 {d} 条，其中 {c} 条标签不同；{l} 条也在验证集或测试集中",
                      lambda f: {"d": f.data.duplicates, "c": f.data.conflicts, "l": f.data.leaks}),
    "splits": phrase("valid: {valid}; test: {test}", "验证集：{valid}；测试集：{test}",
                     lambda f: {n: f"{f.data.counts[n]:,}" if n in f.data.counts else "–" for n in ("valid", "test")}),
}  # fmt: skip
