"""Prompts made of examples: a form is filled with each of them, and last with a text whose label is left open.

form = Form("Text: {text}\nLabel: {label}", "Give each text one of these labels: {labels}.")
form.prompt({"text": "late again"}, [({"text": "thank you"}, "praise")], ["complaint", "praise"])

A template with `{{` or `{%` is Jinja, in the sandbox of the chat templates; else `{text}`, `{text_b}` and `{label}` are
replaced, and other braces stay. Brown et al. 2020 (arXiv:2005.14165) is the idea.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penjing.base.errors import TextError, known
from penjing.text.budget import Budget
from penjing.text.chat import compiled
from penjing.text.sandbox import budget, plain

FIELD = re.compile(r"\{(text|text_b|label|labels)\}")
OPEN = "\ufdd0"  # no character: where the label would stand
SEEN = {"text": "\ufdd1", "text_b": "\ufdd2"}  # no characters: do the texts come?
LISTED = 20  # labels that the built-in instruction names

BUILT_IN = {  # name: language: the form of one text, the form of two, the instruction
    "label": {
        "en": ("Text: {text}\nLabel: {label}", "Text 1: {text}\nText 2: {text_b}\nLabel: {label}",
               "Give each text one of these labels: {labels}."),
        "zh": ("文本：{text}\n标签：{label}", "文本一：{text}\n文本二：{text_b}\n标签：{label}",
               "给每段文本选一个标签：{labels}。"),
    },
    "sentiment": {
        "en": ("Review: {text}\nSentiment: {label}", "Review: {text}\n{text_b}\nSentiment: {label}",
               "Tell the sentiment of each review: {labels}."),
        "zh": ("评论：{text}\n情感：{label}", "评论：{text}\n{text_b}\n情感：{label}", "判断每条评论的情感：{labels}。"),
    },
    "topic": {
        "en": ("Article: {text}\nTopic: {label}", "Title: {text}\nArticle: {text_b}\nTopic: {label}",
               "Tell the topic of each article: {labels}."),
        "zh": ("文章：{text}\n主题：{label}", "标题：{text}\n文章：{text_b}\n主题：{label}", "判断每篇文章的主题：{labels}。"),
    },
    "intent": {
        "en": ("Customer: {text}\nIntent: {label}", "Customer: {text}\n{text_b}\nIntent: {label}",
               "Tell what each customer wants: {labels}."),
        "zh": ("客户：{text}\n意图：{label}", "客户：{text}\n{text_b}\n意图：{label}", "判断每位客户的意图：{labels}。"),
    },
    "same": {
        "en": ("Sentence: {text}\nAnswer: {label}", "Sentence 1: {text}\nSentence 2: {text_b}\nAnswer: {label}",
               "Compare the two sentences: {labels}."),
        "zh": ("句子：{text}\n答案：{label}", "句子一：{text}\n句子二：{text_b}\n答案：{label}", "比较两个句子：{labels}。"),
    },
}  # fmt: skip

Example = tuple[Mapping[str, Any], str]  # a record and the words of its label


@dataclass(frozen=True)
class Form:
    """How examples are written. Raises P-SHOT-001 where a place is missing, -002 where the template fails."""

    example: str
    instruction: str = ""
    between: str = "\n\n"
    pairs: bool = False  # whether records have two texts

    def __post_init__(self) -> None:
        needed = ["text", *(["text_b"] if self.pairs else [])]
        whole = filled(self.example, SEEN | {"label": OPEN})
        if whole.count(OPEN) != 1:
            raise TextError("P-SHOT-001", given=self.example, absent="label")
        for name in needed:
            if SEEN[name] not in whole.partition(OPEN)[0]:
                raise TextError("P-SHOT-001", given=self.example, absent=name)

    @classmethod
    def named(cls, template: str, language: str = "en", pairs: bool = False, instruction: str | None = None) -> Form:
        """A built-in form by its name, or a form of the user's own; `instruction` None: the built-in's, else none."""
        if "{" in template:
            return cls(template, instruction or "", pairs=pairs)
        single, double, usual = BUILT_IN[known(template, BUILT_IN, "template")][language]
        return cls(double if pairs else single, usual if instruction is None else instruction, pairs=pairs)

    def open(self, record: Mapping[str, Any]) -> tuple[str, str]:
        """What stands before and after the label."""
        before, _, after = filled(self.example, {**texts(record), "label": OPEN}).partition(OPEN)
        return before, after

    @property
    def tail(self) -> str:
        """The words of the template itself right before the label: `Label: `."""
        before = filled(self.example, SEEN | {"label": OPEN}).partition(OPEN)[0]
        return re.split("[" + "".join(SEEN.values()) + "\n]", before)[-1]

    def told(self, words: Sequence[str]) -> str:
        """The instruction with the labels in it; a built-in one is left out where they are too many."""
        usual = any(self.instruction == one[2] for form in BUILT_IN.values() for one in form.values())
        if not self.instruction or (usual and len(words) > LISTED):
            return ""
        chinese = "：" in self.instruction
        return filled(self.instruction, {"labels": ("、" if chinese else ", ").join(words)})

    def prompt(self, record: Mapping[str, Any], examples: Sequence[Example], words: Sequence[str]) -> str:
        """The whole prompt, up to where the label would stand."""
        shown = [word.join(self.open(one)) for one, word in examples]
        return self.joined(self.open(record)[0], shown, words)

    def joined(self, before: str, shown: Sequence[str], words: Sequence[str]) -> str:
        """The same of parts that are filled already."""
        return self.between.join(part for part in (self.told(words), *shown, before) if part)

    def messages(
        self, record: Mapping[str, Any], examples: Sequence[Example], words: Sequence[str]
    ) -> list[dict[str, str]]:
        """The same as a conversation: each text is said by the user, each label by the assistant; the last is open."""
        found: list[dict[str, str]] = []
        for one, word in examples:
            found.append({"role": "user", "content": self.open(one)[0].strip()})
            found.append({"role": "assistant", "content": word})
        found.append({"role": "user", "content": self.open(record)[0].strip()})
        told = self.told(words)
        if told:
            found[0] = {"role": "user", "content": told + self.between + found[0]["content"]}
        return found


def texts(record: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a record, without what marks places in templates and what no tokenizer takes."""
    found = {name: str(record.get(name) or "") for name in SEEN}
    drop = str.maketrans(dict.fromkeys((OPEN, *SEEN.values()), ""))
    return {name: text.translate(drop).encode("utf-8", "replace").decode("utf-8") for name, text in found.items()}


def filled(template: str, values: Mapping[str, str]) -> str:
    """A template with its fields replaced, once: a text that looks like a field stays a text."""
    if "{{" not in template and "{%" not in template:
        return FIELD.sub(lambda place: values.get(place[1], place[0]), template)
    spent = budget.set(Budget(1))
    try:
        return compiled(template).render(**plain(dict(values)))
    except Exception as error:  # the template is a program: anything may happen in it
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise TextError("P-SHOT-002", given=template, reason=reason) from error
    finally:
        budget.reset(spent)
