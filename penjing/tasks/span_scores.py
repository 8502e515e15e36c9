"""Exact match and F1 of answers, as the official scripts of SQuAD (1.1 and 2.0) and of CMRC 2018 define them.

English: lower case, no punctuation, no articles; F1 over the words in common. Chinese: lower case, no punctuation; F1
over the longest run of characters in common. Of several references the best counts. The reference of a question
without an answer is the empty text.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from penjing.text.language import language_of

ARTICLES = re.compile(r"\b(a|an|the)\b")
PUNCTUATION = str.maketrans("", "", string.punctuation)
MARKS = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")  # the single ones that CMRC's script lists
HAN = re.compile(r"[\u4e00-\u9fa5]")
RUN = re.compile(r"\w+(?:[.,]\d+)*|[^\w\s]")  # words of other scripts, where CMRC's script asks nltk


def normal(text: str) -> str:
    """An English answer as it is compared."""
    return " ".join(ARTICLES.sub(" ", text.lower().translate(PUNCTUATION)).split())


def english(answer: str, reference: str) -> tuple[float, float]:
    """(exact match, F1) by SQuAD's definition; if either is empty, both are whether both are."""
    given, true = normal(answer), normal(reference)
    if not given or not true:
        return float(given == true), float(given == true)
    words, wanted = given.split(), true.split()
    common = sum((Counter(words) & Counter(wanted)).values())
    return float(given == true), 2 * common / (len(words) + len(wanted))


def without_marks(text: str) -> str:
    """A Chinese answer as it is compared."""
    return "".join(sign for sign in text.lower().strip() if sign not in MARKS)


def signs(text: str) -> list[str]:
    """The units of a Chinese text: characters, and words of other scripts."""
    found: list[str] = []
    run = ""
    for sign in without_marks(text):
        if HAN.match(sign):
            found += [*RUN.findall(run), sign]
            run = ""
        else:
            run += sign
    return found + RUN.findall(run)


def longest_run(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest run of units that both hold."""
    best, before = 0, [0] * (len(second) + 1)
    for one in first:
        row = [0] * (len(second) + 1)
        for place, other in enumerate(second):
            if one == other:
                row[place + 1] = before[place] + 1
                best = max(best, row[place + 1])
        before = row
    return best


def chinese(answer: str, reference: str) -> tuple[float, float]:
    """(exact match, F1) by CMRC 2018's definition; two empty texts are alike, as in SQuAD."""
    exact = float(without_marks(answer) == without_marks(reference))
    units, wanted = signs(answer), signs(reference)
    if not units and not wanted:
        return exact, exact
    return exact, 2 * longest_run(units, wanted) / (len(units) + len(wanted))


def is_chinese(record: Mapping[str, Any]) -> bool:
    """Whether a record is judged by characters: its question is Chinese, or is mixed like its context."""
    asked = language_of(record["question"])
    return asked == "zh" or asked == "mixed" and language_of(record["context"]) in ("zh", "mixed")


def references(record: Mapping[str, Any]) -> list[str]:
    """The texts that count as right: references that hold nothing but articles and punctuation do not."""
    texts = [answer["text"] for answer in record["answers"]]
    return [text for text in texts if is_chinese(record) or normal(text)] or [""]


def judged(answer: str, record: Mapping[str, Any]) -> tuple[float, float]:
    """(exact match, F1) of an answer against the references of its record, each the best."""
    judge = chinese if is_chinese(record) else english
    found = [judge(answer, reference) for reference in references(record)]
    return max(exact for exact, _ in found), max(f1 for _, f1 in found)


def best_threshold(no_answer: Sequence[float], gains: Sequence[float]) -> float:
    """The probability above which "no answer" is said, so that the mean F1 is best (the search of SQuAD 2.0's script).

    gains: what each answer earns over saying nothing: its F1, or -1 where there is no answer.
    """
    chances = np.asarray(no_answer, np.float64)
    order = np.argsort(chances, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(np.asarray(gains, np.float64)[order])])  # answering the first 0, 1 ... N
    edges = np.concatenate([[0.0], chances[order], [1.0]])
    able = np.concatenate([[True], edges[1:-2] < edges[2:-1], [True]])  # records with one probability go together
    best = int(np.argmax(np.where(able, sums, -np.inf)))
    return 1.0 if best == len(chances) else float((edges[best] + edges[best + 1]) / 2)
