"""Pairs from labels: scores, several labels, what cannot be paired; and vectors that then tell labels apart."""

from collections import Counter

import numpy as np
import pytest

from penjing.base.errors import PenjingError
from penjing.base.records import read_records, write_records
from penjing.recipe.call import call_stage
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN
from penjing.text.label_pairs import label_pairs

RECORDS = [{"text": f"the {thing} was {word}", "label": label} for label, words in
           {"good": ("good", "fine"), "bad": ("broken", "late")}.items() for word in words
           for thing in ("tree", "box", "parcel", "house")]  # fmt: skip


def chance(seed=0):
    return np.random.Generator(np.random.PCG64(seed))


def stage(name, out, **options):
    return call_stage(Stage.of(name, BUILT_IN[name]), out, options, out.parent)


def test_pairs_are_as_their_labels():
    label = {record["text"]: record["label"] for record in RECORDS}
    found = label_pairs(RECORDS, 3, chance())
    assert len(found) == 16 * 6 and Counter(pair["score"] for pair in found) == {1.0: 48, 0.0: 48}
    for pair in found:
        assert pair["text"] != pair["text_b"] and (label[pair["text"]] == label[pair["text_b"]]) == (pair["score"] == 1)
    assert found == label_pairs(RECORDS, 3, chance()) != label_pairs(RECORDS, 3, chance(1))
    single = label_pairs([*RECORDS, {"text": "alone", "label": "x"}], 2, chance())
    assert {pair["score"] for pair in single if pair["text"] == "alone"} == {0.0}


def test_several_labels_are_alike_by_what_they_share():
    records = [{"text": text, "labels": labels} for text, labels in
               (("a", ["x", "y"]), ("b", ["y", "x"]), ("c", ["x"]), ("d", []), ("e", []))]  # fmt: skip
    scores = {(pair["text"], pair["text_b"]): pair["score"] for pair in label_pairs(records, 30, chance())}
    assert scores["a", "b"] == 1 and scores["a", "c"] == 0.5 and scores["a", "d"] == 0 and scores["d", "e"] == 1


def test_what_cannot_be_paired():
    with pytest.raises(PenjingError, match="P-TEXT-097"):
        label_pairs([{"text": "a", "label": "x"}, {"text": "b", "label": "x"}], 2, chance())
    with pytest.raises(PenjingError, match="P-TEXT-097"):
        label_pairs([{"text": "a", "label": "x"}, {"text": "b", "label": "y"}], 2, chance())
    for record in ({"text": "a"}, {"text": "a", "text_b": "b", "label": "x"}, {"label": "x"}):
        with pytest.raises(PenjingError, match="P-TEXT-098"):
            label_pairs([RECORDS[0], record], 2, chance())


def test_vectors_of_pairs_then_labels(tmp_path):
    """The whole road: pairs, vectors, a classifier that begins from them."""
    write_records(tmp_path / "data" / "train.jsonl", RECORDS)
    write_records(tmp_path / "data" / "valid.jsonl", RECORDS[::3])
    counts = stage("label_pairs", tmp_path / "pairs", data=tmp_path / "data", times=4)["result"]
    assert counts == {"train": 128, "valid": len(list(read_records(tmp_path / "pairs" / "valid.jsonl")))}
    stage("tokenizer", tmp_path / "cutter", data=tmp_path / "data", size=80)
    tiny = {"batch_tokens": 256, "threads": 1, "measure_seconds": 0, "dtype": "float32", "baselines": False}
    fresh = {"layers": 1, "width": 16, "max_tokens": 32, "tokenizer": tmp_path / "cutter"}
    vectors = stage("finetune", tmp_path / "vectors", data=tmp_path / "pairs", epochs=6, learning_rate=0.01,
                    task={"embed": {"objective": "cosine"}}, **tiny, **fresh)["result"]  # fmt: skip
    assert vectors["best_score"] > 0.5
    found = stage("finetune", tmp_path / "labels", data=tmp_path / "data", model=tmp_path / "vectors", epochs=8,
                  learning_rate=0.005, **tiny)["result"]  # fmt: skip
    assert found["best_score"] >= 0.8
    with pytest.raises(PenjingError, match="P-TRAIN-003"):
        stage("label_pairs", tmp_path / "none", data=tmp_path / "cutter")


def test_a_text_is_never_unlike_itself():
    """A text that has another label elsewhere, as in a file that was not cleaned."""
    found = label_pairs([*RECORDS, RECORDS[0] | {"label": "bad"}], 9, chance())
    assert found and all(one["text"] != one["text_b"] for one in found)
