"""What the fields of records say: the task that they are for, the column of text, the column of labels."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Rows = Sequence[Mapping[str, Any]]

TEXTS = (
    "text", "review", "sentence", "content", "message", "comment", "body", "question", "文本", "内容", "评论", "句子",
)  # fmt: skip
LABELS = (
    "label", "labels", "class", "category", "intent", "sentiment", "target", "topic", "cat", "标签", "类别", "意图",
)  # fmt: skip
NUMBERS = ("score", "label", "rating", "grade", "price", "target", "value", "评分", "价格")
FORMS = (  # task, and the fields that are all there; the first that fits is meant
    ("preference", ("chosen", "rejected")),
    ("reward", ("chosen", "rejected")),
    ("preference", ("prompt", "completion", "label")),
    ("preference", ("messages", "label")),
    ("reinforce", ("prompt", "answer")),
    ("tag", ("tokens", "tags")),
    ("tag", ("text", "entities")),
    ("span", ("context", "question")),
    ("embed", ("anchor", "positive")),
    ("embed", ("query", "positive")),
    ("embed", ("text", "positive", "negative")),
    ("embed", ("query", "passage")),
    ("embed", ("sentence1", "sentence2", "score")),
    ("embed", ("text", "text_b", "score")),
    ("seq2seq", ("source", "target")),
    ("seq2seq", ("translation",)),
    ("seq2seq", ("document", "summary")),
    ("seq2seq", ("dialogue", "summary")),
    ("seq2seq", ("article", "highlights")),
    ("seq2seq", ("text", "summary")),
    ("chat", ("messages",)),
    ("chat", ("conversations",)),
    ("chat", ("conversation",)),
    ("chat", ("instruction", "output")),
    ("chat", ("prompt", "completion")),
    ("chat", ("prompt", "response")),
    ("chat", ("prompt", "answer")),
    ("chat", ("question", "answer")),
    ("chat", ("query", "response")),
)
PAIRS = (  # two texts of one record, under one label
    ("text", "text_b"), ("sentence1", "sentence2"), ("sentence_1", "sentence_2"), ("text1", "text2"),
    ("premise", "hypothesis"), ("question1", "question2"),
)  # fmt: skip
RAW = ("causal", "masked")  # what text alone can teach: to write, or to read


def forms_in(columns: Iterable[str]) -> list[str]:
    """The tasks whose fields are all there, without those that need a column of labels."""
    there = set(columns)
    return list(dict.fromkeys(task for task, fields in FORMS if there.issuperset(fields)))


def pair_in(columns: Iterable[str]) -> tuple[str, str] | None:
    """The two columns of a pair of texts, if the records hold one."""
    there = set(columns)
    return next((pair for pair in PAIRS if there.issuperset(pair)), None)


def labels_in(value: Any) -> list[str]:
    """The labels that one record carries."""
    if value is None or value == "" or isinstance(value, dict):
        return []
    return [str(one) for one in value] if isinstance(value, list | tuple) else [str(value)]


def text_column(records: Rows, columns: Sequence[str]) -> str | None:
    """A column with a usual name for text, else the one with the longest texts (8 characters and more on average)."""
    means = {}
    for column in columns:
        values = [record[column] for record in records if isinstance(record.get(column), str)]
        if values and not all(numeric(value) for value in values[:200]):
            means[column] = sum(map(len, values)) / len(values)
    for column in columns:
        if column.lower() in TEXTS and column in means:
            return column
    best = max(means, key=lambda column: means[column], default=None)
    return best if best is not None and means[best] >= 8 else None


def label_column(records: Rows, columns: Sequence[str]) -> str | None:
    """A column with a usual name for labels, else the one with the fewest different values, each seen often."""
    counts = {column: Counter(one for record in records for one in labels_in(record.get(column))) for column in columns}
    for column in columns:
        if column.lower() in LABELS and len(counts[column]) >= 2:
            return column
    often = {c: n for c, n in counts.items() if 2 <= len(n) <= 200 and len(n) <= n.total() / 5}
    return min(often, key=lambda column: len(often[column]), default=None)


def number_column(records: Rows, columns: Sequence[str]) -> str | None:
    """A column with a usual name for a number that is to be told of a text, and with numbers in it."""
    for column in columns:
        values = [str(record[column]) for record in records if record.get(column) not in (None, "")]
        if column.lower() in NUMBERS and values and all(map(numeric, values)):
            return column
    return None


def fractions(records: Rows, column: str) -> bool:
    """Are the labels numbers, some of them no whole ones?"""
    values = [one for record in records for one in labels_in(record.get(column))]
    return all(map(numeric, values)) and any(not float(value).is_integer() for value in values)


def numeric(text: str) -> bool:
    """Is this text only a number? What is infinite or no number teaches nothing."""
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False
