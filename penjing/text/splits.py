"""Which records stay and which split each belongs to, by numbers alone: N records, first test, then valid, train, raw,
and last those of another step that are added to train.

A cluster is a set of records that are near duplicates of one another. A record of a later split whose cluster has a
member in valid or test is dropped; nothing is ever dropped from test. A share split off takes whole clusters, so near
duplicates never straddle the splits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

SPLITS = ("test", "valid", "train", "raw", "joined")  # in the order of precedence; codes 0 to 4
TEST, VALID, TRAIN, RAW, JOINED = range(5)
DROPPED = 5
Across = Literal["drop", "equal", "report"]  # what leaves the later split: equal and near duplicates, equal ones, none


@dataclass
class Clusters:
    """For each record the first record that equals it, the first of its cluster, its split, its labels (-1: none).

    `strata`: the label by which shares are split off, where `labels` are sets of labels that hardly ever recur.
    `keys`, N x K: numbers of the texts of which none may stand on two sides, where that is not the whole record.
    """

    exact: np.ndarray
    near: np.ndarray
    split: np.ndarray
    labels: np.ndarray
    strata: np.ndarray | None = None
    keys: np.ndarray | None = None


@dataclass
class Decision:
    """The split of each record after all (DROPPED: none), and what was found: {name: record numbers}."""

    split: np.ndarray
    partner: np.ndarray  # the record that a found one duplicates
    found: dict[str, np.ndarray] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)  # the names under which what was found was dropped

    def drop(self, name: str, which: np.ndarray, partner: np.ndarray, really: bool = True) -> None:
        """Record what was found under a name, beside what was found before, and drop it if it is to be dropped."""
        self.found[name] = np.union1d(self.found.get(name, which), which)
        self.partner[which] = partner[which]
        if really:
            self.split[which] = DROPPED
            self.gone.add(name)


def first_in(groups: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each record, the first record of its group among those marked; N where there is none."""
    first = np.full(len(groups), len(groups), np.int64)
    numbers = np.flatnonzero(among)[::-1]
    first[groups[numbers]] = numbers
    return first[groups]


def first_with(keys: np.ndarray, among: np.ndarray) -> np.ndarray:
    """For each record, the first among those marked with which it shares a key (N x K); N where there is none."""
    first = np.full(int(keys.max(initial=-1)) + 1, len(keys), np.int64)
    for column in keys.T:
        np.minimum.at(first, column[among], np.flatnonzero(among))
    return first[keys].min(axis=1)


def decide(
    clusters: Clusters,
    *,
    exact: bool,
    near: bool,
    across: Across,
    valid_share: float,
    test_share: float,
    seed: int,
    most: int | None = None,
) -> Decision:
    """Drop duplicates within train and within raw, split shares off train, drop what duplicates valid or test.

    Of what is left of train `most` records are drawn; then the added ones join it.
    """
    total = len(clusters.split)
    decision = Decision(clusters.split.copy(), np.full(total, -1, np.int64))
    over(decision, clusters, TEST, [VALID, TRAIN], across)
    over(decision, clusters, VALID, [TRAIN], across)
    for code in (TRAIN, RAW):
        within(decision, clusters, code, exact, near)
    split_off(decision, clusters, test_share, valid_share, seed)
    if clusters.keys is not None and test_share + valid_share:  # whole clusters share the first key, not the others
        over(decision, clusters, TEST, [VALID, TRAIN], across)
        over(decision, clusters, VALID, [TRAIN], across)
    for code in (TEST, VALID):
        over(decision, clusters, code, [RAW, JOINED], across)
    draw(decision, most, seed)
    decision.split[decision.split == JOINED] = TRAIN
    return decision


def over(decision: Decision, clusters: Clusters, owner: int, others: list[int], across: Across) -> None:
    """Find the records of other splits that share a key, or whose cluster has a member, with split `owner`."""
    for code in others:
        name = f"{SPLITS[owner]} {SPLITS[code]}"
        here = decision.split == owner
        equal = first_in(clusters.exact, here) if clusters.keys is None else first_with(clusters.keys, here)
        for kind, first in (("exact", equal), ("near", first_in(clusters.near, here))):
            which = np.flatnonzero((decision.split == code) & (first < len(first)))
            if kind == "near":
                which = np.setdiff1d(which, decision.found[f"exact {name}"])
            decision.drop(f"{kind} {name}", which, first, across == "drop" or (across == "equal" and kind == "exact"))


def draw(decision: Decision, most: int | None, seed: int) -> None:
    """Leave at most so many records of train, by chance."""
    train = np.flatnonzero(decision.split == TRAIN)
    if most is not None and most < len(train):
        order = np.random.Generator(np.random.PCG64([seed, 4])).permutation(len(train))
        decision.split[train[order[most:]]] = DROPPED


def within(decision: Decision, clusters: Clusters, code: int, exact: bool, near: bool) -> None:
    """Drop later duplicates within one split. Near ones with another label are kept: the labels tell them apart."""
    here = decision.split == code
    first = first_in(clusters.exact, here)
    later = here & (first < np.arange(len(here)))
    conflict = later & (clusters.labels[np.minimum(first, len(here) - 1)] != clusters.labels) if len(here) else later
    decision.found[f"label_conflicts {SPLITS[code]}"] = np.flatnonzero(conflict)
    decision.drop(f"exact {SPLITS[code]}", np.flatnonzero(later), first, exact)
    here = here & ~later
    first = first_in(clusters.near, here)
    later = here & (first < np.arange(len(here)))
    same = clusters.labels[np.minimum(first, len(here) - 1)] == clusters.labels if len(here) else later
    decision.drop(f"near {SPLITS[code]}", np.flatnonzero(later & same), first, near)


def split_off(decision: Decision, clusters: Clusters, test_share: float, valid_share: float, seed: int) -> None:
    """Move whole clusters of train to test and valid, label by label, until each has its share."""
    shares = [(code, share) for code, share in ((TEST, test_share), (VALID, valid_share)) if share > 0]
    train = np.flatnonzero(decision.split == TRAIN)
    if not shares or not len(train):
        return
    roots = first_in(clusters.near, decision.split == TRAIN)[train]
    order = np.lexsort((train, roots))
    begins = np.flatnonzero(np.diff(roots[order], prepend=-1))
    sizes = np.diff(np.append(begins, len(order)))
    groups = np.random.default_rng(seed).permutation(len(begins))
    strata = clusters.labels if clusters.strata is None else clusters.strata
    labels = strata[roots[order[begins]]]
    for label in np.unique(labels):
        mine = groups[labels[groups] == label]
        total, start = int(sizes[mine].sum()), 0
        taken = np.cumsum(sizes[mine])
        for code, share in shares:
            wanted = (taken[start - 1] if start else 0) + max(round(share * total), int(total > 2))
            end = min(int(np.searchsorted(taken, wanted, side="right")), len(mine) - 1)
            for group in mine[start : max(end, start)]:
                decision.split[train[order[begins[group] : begins[group] + sizes[group]]]] = code
            start = max(end, start)
