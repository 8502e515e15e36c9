"""Runs of words and their translations, read off aligned sentences; a model of target words; the search for the best.

The search goes through the source from left to right and keeps the likeliest beginnings of a translation: phrases do
not change places (Koehn et al. 2003 without reordering). The model of target words is that of "stupid backoff"
(Brants et al. 2007).
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

HAN = "\u3005-\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
WORD = re.compile(rf" ?(?:[{HAN}]|(?:(?![{HAN}])[^\W_])+|[^\w\s]|_)")
LONGEST, OPTIONS, BEAM = 3, 10, 8  # words of a source phrase, its translations, beginnings that are kept
EXTRA = 2  # words that a translation may have more
BACK, FLOOR = 0.4, -12.0  # the price of a shorter history, and of a word never seen
START = ("", "")

Phrases = Mapping[str, Sequence[tuple[tuple[str, ...], float]]]


def words(text: str) -> list[str]:
    """Words, signs and Chinese characters, each with the space before it: joined they are the text."""
    return WORD.findall(" " + " ".join(text.split()))


def plain(word: str) -> str:
    """A word of the source: without space and case."""
    return word.strip().lower()


def phrase_pairs(links: set[tuple[int, int]], wide: int, high: int) -> Iterable[tuple[int, int, int, int]]:
    """Source and target runs (first, end, first, end) none of whose words is linked to a word outside."""
    by_source: list[list[int]] = [[] for _ in range(wide)]
    by_target: list[list[int]] = [[] for _ in range(high)]
    for i, j in links:
        by_source[i].append(j)
        by_target[j].append(i)
    for first in range(wide):
        for end in range(first + 1, min(wide, first + LONGEST) + 1):
            places = [j for i in range(first, end) for j in by_source[i]]
            if not places:
                continue
            low, up = min(places), max(places) + 1
            if up - low > end - first + EXTRA or any(
                not first <= i < end for j in range(low, up) for i in by_target[j]
            ):
                continue
            yield first, end, low, up
            if up < high and not by_target[up] and up + 1 - low <= end - first + EXTRA:
                yield first, end, low, up + 1  # with the word behind that belongs to none


def phrase_table(
    sources: Sequence[Sequence[str]], targets: Sequence[Sequence[str]], links: Sequence[set[tuple[int, int]]]
) -> dict[str, list[tuple[tuple[str, ...], float]]]:
    """For each source phrase its likeliest translations with the logarithm of their share."""
    counts: dict[str, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for source, target, linked in zip(sources, targets, links, strict=False):
        for first, end, low, up in phrase_pairs(linked, len(source), len(target)):
            counts[" ".join(source[first:end])][tuple(target[low:up])] += 1
    table = {}
    for source_words, found in counts.items():
        total = found.total()
        if total > 1 or " " not in source_words:  # longer runs that came once only fill the memory
            table[source_words] = [(t, math.log(n / (total + 0.5))) for t, n in found.most_common(OPTIONS)]
    return table


@dataclass
class WordModel:
    """How likely a target word follows two others, from counts."""

    counts: Mapping[tuple[str, ...], int]
    total: int

    @classmethod
    def fit(cls, sentences: Iterable[Sequence[str]]) -> WordModel:
        """Counts of one, two and three words; runs of three that came once are left out."""
        counts: Counter[tuple[str, ...]] = Counter()
        total = 0
        for sentence in sentences:
            line = [*START, *sentence, ""]
            total += len(line) - 2
            for size in (1, 2, 3):
                counts.update(tuple(line[i : i + size]) for i in range(2 - size + 1, len(line) - size + 1))
            counts[START] += 1
        return cls({run: n for run, n in counts.items() if n > 1 or len(run) < 3}, max(1, total))

    def log(self, before: tuple[str, str], word: str) -> float:
        """The logarithm of the score of a word."""
        penalty = 0.0
        for history in (before, before[1:]):
            seen = self.counts.get((*history, word))
            if seen:
                return penalty + math.log(seen / max(seen, self.counts.get(history, seen)))
            penalty += math.log(BACK)
        seen = self.counts.get((word,))
        return penalty + (math.log(seen / self.total) if seen else FLOOR)


@dataclass(frozen=True)
class Weights:
    """How much the model of target words counts beside the phrases, and what each word earns."""

    words: float = 0.6
    bonus: float = 0.5


def translated(text: str, phrases: Phrases, model: WordModel, weights: Weights) -> str:
    """The best translation that was found."""
    given = words(text)
    source = [plain(word) for word in given]
    beams: list[dict[tuple[str, str], tuple[float, tuple[str, ...]]]] = [{} for _ in range(len(source) + 1)]
    beams[0][START] = (0.0, ())
    for place in range(len(source)):
        kept = sorted(beams[place].items(), key=lambda one: -one[1][0])[:BEAM]
        for end in range(place + 1, min(len(source), place + LONGEST) + 1):
            options = phrases.get(" ".join(source[place:end]))
            if options is None and end == place + 1:
                options = [((given[place],), FLOOR / 2)]  # as it is
            for target, chance in options or ():
                for state, (score, written) in kept:
                    better(beams[end], grown(state, score + chance, written, target, model, weights))
    ends = [(score + weights.words * model.log(state, ""), written) for state, (score, written) in beams[-1].items()]
    return "".join(max(ends)[1]).strip() if ends else ""


def grown(
    state: tuple[str, str], score: float, written: tuple[str, ...], target: Sequence[str], model: WordModel,
    weights: Weights,
) -> tuple[tuple[str, str], float, tuple[str, ...]]:  # fmt: skip
    """A beginning with some words more."""
    for word in target:
        score += weights.words * model.log(state, word) + weights.bonus
        state = (state[1], word)
    return state, score, (*written, *target)


def better(beam: dict, found: tuple[tuple[str, str], float, tuple[str, ...]]) -> None:
    """Keep the best beginning of each ending."""
    state, score, written = found
    if state not in beam or beam[state][0] < score:
        beam[state] = (score, written)
