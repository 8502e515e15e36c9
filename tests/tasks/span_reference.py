"""The official definitions, transcribed plainly from what the scripts of SQuAD 2.0 and CMRC 2018 describe, and the choice
of answers as transformers' question-answering example makes it. Slow and direct: what the package is measured against."""

import collections
import re
import string

import numpy as np


def normalize(text):
    """Lower text, drop punctuation, then articles, then extra white space."""
    text = "".join(sign for sign in text.lower() if sign not in set(string.punctuation))
    text = re.sub(re.compile(r"\b(a|an|the)\b", re.UNICODE), " ", text)
    return " ".join(text.split())


def squad_exact(gold, given):
    return int(normalize(gold) == normalize(given))


def squad_f1(gold, given):
    gold_words, given_words = normalize(gold).split(), normalize(given).split()
    common = collections.Counter(gold_words) & collections.Counter(given_words)
    same = sum(common.values())
    if len(gold_words) == 0 or len(given_words) == 0:
        return int(gold_words == given_words)
    if same == 0:
        return 0
    precision, recall = 1.0 * same / len(given_words), 1.0 * same / len(gold_words)
    return (2 * precision * recall) / (precision + recall)


def squad(golds, given):
    """The best over the references; those that normalize to nothing are none, and without any the empty one is."""
    golds = [gold for gold in golds if normalize(gold)] or [""]
    return max(squad_exact(g, given) for g in golds), max(squad_f1(g, given) for g in golds)


def squad_sweep(chances, scores, answerable):
    """The best mean score over all thresholds, records sorted by their probability of no answer."""
    current = best = sum(not has for has in answerable)
    for place in np.argsort(chances, kind="stable"):
        current += scores[place] if answerable[place] else -1
        best = max(best, current)
    return best / len(chances)


CMRC_MARKS = ["-", ":", "_", "*", "^", "/", "\\", "~", "`", "+", "=", "，", "。", "：", "？", "！", "“", "”", "；", "’",
              "《", "》", "……", "·", "、", "「", "」", "（", "）", "－", "～", "『", "』"]  # fmt: skip


def cmrc_units(text, words):
    """Characters of Chinese, one each; what stands between them is cut by `words`; marks are dropped."""
    units, held = [], ""
    for sign in text.lower().strip():
        if sign in CMRC_MARKS:
            continue
        if re.search(r"[\u4e00-\u9fa5]", sign):
            if held:
                units.extend(words(held))
                held = ""
            units.append(sign)
        else:
            held += sign
    return units + (words(held) if held else [])


def cmrc_common(first, second):
    """The longest run that both hold, by the full table."""
    table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
    longest = 0
    for i in range(len(first)):
        for j in range(len(second)):
            if first[i] == second[j]:
                table[i + 1][j + 1] = table[i][j] + 1
                longest = max(longest, table[i + 1][j + 1])
    return longest


def cmrc(golds, given, words=str.split):
    exact = f1 = 0
    plain = lambda text: "".join(sign for sign in text.lower().strip() if sign not in CMRC_MARKS)  # noqa: E731
    for gold in golds:
        exact = max(exact, int(plain(gold) == plain(given)))
        units, wanted = cmrc_units(given, words), cmrc_units(gold, words)
        common = cmrc_common(units, wanted)
        if common:
            precision, recall = common / len(units), common / len(wanted)
            f1 = max(f1, 2 * precision * recall / (precision + recall))
    return exact, f1


def postprocessed(features, context, n_best=20, longest=30, version_2=False, null_threshold=0.0):
    """The answer that transformers' example for question answering chooses.

    features: for each window its start logits, its end logits, and for each place the characters it stands for (None
    outside the context). Scores are sums of logits; of several windows the best span counts, and for no answer the least.
    """
    null, found = None, []
    for starts, ends, offsets in features:
        nothing = starts[0] + ends[0]
        null = nothing if null is None or nothing < null else null
        for first in np.argsort(starts)[-1 : -n_best - 1 : -1].tolist():
            for last in np.argsort(ends)[-1 : -n_best - 1 : -1].tolist():
                if offsets[first] is None or offsets[last] is None or last < first or last - first + 1 > longest:
                    continue
                found.append((starts[first] + ends[last], offsets[first][0], offsets[last][1]))
    score, start, end = max(found, key=lambda one: one[0])
    if version_2 and null - score > null_threshold:
        return ""
    return context[start:end]
