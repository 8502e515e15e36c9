"""Folds: whole clusters, even labels."""

import numpy as np

from penjing.text.folds import clusters_of, folds_of


def test_near_duplicates_share_a_cluster():
    long = "the parcel that was sent to the old house by the river came late again and nobody was there"
    texts = [long, "满意的盆景今天送到了", long.upper() + " ", long + " today", "another thing", "满意的盆景今天送到了"]
    assert clusters_of(texts).tolist() == [0, 1, 0, 0, 4, 1]


def test_folds_keep_clusters_and_spread_labels():
    random = np.random.default_rng(0)
    clusters = np.minimum(np.arange(300), random.integers(0, 300, 300))
    clusters = clusters[clusters]
    labels = (clusters % 7 == 0).astype(int)
    fold = folds_of(clusters, labels, 5, seed=3)
    assert set(fold.tolist()) == set(range(5))
    for number in np.unique(clusters):
        assert len(set(fold[clusters == number].tolist())) == 1
    for label in (0, 1):
        counts = np.bincount(fold[labels == label], minlength=5)
        assert counts.max() - counts.min() <= 1 + max(np.bincount(clusters[labels == label]))
    assert (folds_of(clusters, labels, 5, seed=3) == fold).all() and (
        folds_of(clusters, labels, 5, seed=4) != fold
    ).any()
    single = folds_of(np.arange(103), np.repeat([0, 1], [100, 3]), 10, seed=0)
    assert set(np.bincount(single, minlength=10).tolist()) == {10, 11}
    assert len(set(single[100:].tolist())) == 3
