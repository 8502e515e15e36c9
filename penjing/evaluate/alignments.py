"""Which words of a sentence belong to which of its translation: IBM model 1 with a preference for the diagonal.

Every target word is said to be translated from one source word, or from none; how likely each is, is found by
expectation and maximisation (Brown et al. 1993; the preference: Dyer et al. 2013). Both directions are joined by what
they agree on, grown by neighbours (Koehn et al. 2003).
Shapes: N sentences, L links (a source word and a target word of one sentence), E entries (different links), J target
words in all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ROUNDS = 5
TENSION = 4.0  # how much a link costs that is far from the diagonal
NOWHERE = 0.08  # how likely a target word comes from no source word
MOST_LINKS = 15_000_000
NEAR = ((-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1))

Sentences = Sequence[np.ndarray]  # word numbers, 0 is no word


@dataclass
class Links:
    """All links of some sentences, with the weight that their places give them."""

    entry: np.ndarray  # L: number of the entry
    word: np.ndarray  # L: number of the target word (0 ... J-1), ascending
    weight: np.ndarray  # L: by place
    place: np.ndarray  # L: the source word's place in its sentence, -1 for none
    sources: np.ndarray  # E: the source word of each entry
    targets: np.ndarray  # E: its target word


def links_of(sources: Sentences, targets: Sentences) -> Links:
    """All links of all sentences."""
    rows: list[np.ndarray] = []
    words, weights, places, keys, count = [], [], [], [], 0
    size = 1 + max((int(row.max()) for row in targets if len(row)), default=0)
    for source, target in zip(sources, targets, strict=True):
        wide, high = len(source), len(target)
        if not wide or not high:
            continue
        near = np.exp(-TENSION * np.abs((np.arange(wide) + 0.5)[None] / wide - (np.arange(high) + 0.5)[:, None] / high))
        near *= (1 - NOWHERE) / near.sum(1, keepdims=True)
        weights.append(np.concatenate([np.full((high, 1), NOWHERE), near], axis=1).ravel())
        line = np.concatenate([[0], source]).astype(np.int64)
        keys.append((line[None] * size + target[:, None]).ravel())
        words.append(np.repeat(np.arange(count, count + high), wide + 1))
        places.append(np.tile(np.arange(-1, wide), high))
        count += high
    rows = [np.concatenate(one) if one else np.zeros(0, np.int64) for one in (keys, words, weights, places)]
    entries, entry = np.unique(rows[0], return_inverse=True)
    return Links(entry.astype(np.int32), rows[1].astype(np.int32), rows[2].astype(np.float32),
                 rows[3].astype(np.int32), *np.divmod(entries, size))  # fmt: skip


def learn(links: Links, rounds: int = ROUNDS) -> np.ndarray:
    """How likely each entry's source word becomes its target word: E."""
    chances, number = np.ones(len(links.sources)), int(links.word[-1]) + 1 if len(links.word) else 0
    for _ in range(rounds):
        counts = np.bincount(links.entry, share(links, chances, number), minlength=len(chances))
        totals = np.bincount(links.sources, counts, minlength=int(links.sources.max(initial=0)) + 1)
        chances = counts / np.maximum(totals[links.sources], 1e-30)
    return chances


def share(links: Links, chances: np.ndarray, number: int) -> np.ndarray:
    """The share that each link has in its target word: L."""
    values = chances[links.entry] * links.weight
    totals = np.bincount(links.word, values, minlength=number)
    return values / np.maximum(totals[links.word], 1e-30)


def best_places(links: Links, chances: np.ndarray, targets: Sentences, sources: Sentences) -> list[np.ndarray]:
    """For each sentence the place of the source word of each target word, -1 where there is none."""
    values = chances[links.entry] * links.weight
    order = np.lexsort((values, links.word))
    last = np.flatnonzero(np.diff(links.word[order], append=-1))
    flat, found, start = links.place[order[last]], [], 0
    for source, target in zip(sources, targets, strict=True):
        size = len(target) if len(source) else 0
        found.append(np.concatenate([flat[start : start + size], np.full(len(target) - size, -1)]).astype(int))
        start += size
    return found


def joined(there: np.ndarray, back: np.ndarray) -> set[tuple[int, int]]:
    """Links (source place, target place) of a sentence from both directions."""
    one = {(int(i), j) for j, i in enumerate(there) if i >= 0}
    other = {(i, int(j)) for i, j in enumerate(back) if j >= 0}
    kept, rest = one & other, (one | other) - (one & other)
    rows, columns = {i for i, _ in kept}, {j for _, j in kept}
    grown = True
    while grown:
        grown = False
        for i, j in sorted(rest):
            free = i not in rows or j not in columns
            if free and any((i + a, j + b) in kept for a, b in NEAR):
                kept.add((i, j))
                rest.discard((i, j))
                rows.add(i)
                columns.add(j)
                grown = True
    return kept


def aligned(sources: Sentences, targets: Sentences) -> list[set[tuple[int, int]]]:
    """The links of each sentence; more sentences than memory allows are left without any."""
    cells = np.cumsum([(len(s) + 1) * (len(t) + 1) for s, t in zip(sources, targets, strict=True)])
    most = int(np.searchsorted(cells, MOST_LINKS, side="right"))
    sources, targets = sources[:most], targets[:most]
    both = []
    for one, other in ((sources, targets), (targets, sources)):
        links = links_of(one, other)
        both.append(best_places(links, learn(links), other, one))
    return [joined(there, back) for there, back in zip(*both, strict=True)]
