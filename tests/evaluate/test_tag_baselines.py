"""The classical taggers: what they learn, that they are kept whole, their features."""

import json

import numpy as np
import pytest
from tagged import RECORDS, records

from penjing.base.errors import EvaluateError
from penjing.evaluate.classical import classical, load_classical
from penjing.evaluate.classical import tag_linear as linear
from penjing.evaluate.tag_features import TEMPLATES, features, shape_of
from penjing.tasks.tag import Task

NAMES = ("tag_dictionary", "tag_linear")
TASK = Task.made(RECORDS)
UNSEEN = records(20, seed=9)
STRANGE = [{"text": text} for text in ("", " ", "满意😀", "\ud800 half", "Ann in New York", "box " * 300)]


def scored(task, model, given):
    return task.scores(task.statistics(model.answer(given), given).sum(0))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scheme", ["bio", "bioes", "iob1", "none"])
def test_they_learn_and_are_kept(name, scheme, tmp_path):
    given, other = RECORDS, UNSEEN
    if scheme == "none":
        given, other = (
            [{"tokens": r["tokens"], "tags": [t[:1] + "X" for t in r["tags"]]} for r in s] for s in (given, other)
        )
    task = Task.made(given, scheme=scheme)
    model = classical(name).fit(task, given, other[:4], seed=1)
    assert scored(task, model, other)["f1"] > 0.9 and model.facts["seconds"] >= 0
    model.save(tmp_path / "b")
    again = load_classical(tmp_path / "b")
    asked = [*other, *map(task.normal, STRANGE)]
    answers = model.answer(asked)
    assert again.answer(asked) == answers and json.dumps(answers)
    assert [len(answer["tags"]) for answer in answers] == [len(record["tokens"]) for record in asked]
    assert not list((tmp_path / "b").glob("*.pkl")) and again.facts == model.facts
    if scheme != "none":
        assert answers[-2]["entities"][-1]["text"] == "New York" and answers[-2]["entities"][-1]["start"] == 7
        assert all(0 < e["score"] <= 1 for answer in answers for e in answer["entities"])
    together, alone = model.answer(asked), [model.answer([record])[0] for record in asked]
    assert [one["tags"] for one in together] == [one["tags"] for one in alone]


def test_what_is_mostly_no_entity_is_none():
    given = [{"tokens": ["May", "went"], "tags": ["B-PER", "O"]}, *[{"tokens": ["in", "May"], "tags": ["O", "O"]}] * 2]
    model = classical("tag_dictionary").fit(TASK, given)
    assert model.answer([{"tokens": ["May"]}])[0]["tags"] == ["O"] and model.facts["entries"] == 0
    longer = [{"tokens": ["New", "York"], "tags": ["B-LOC", "I-LOC"]}, {"tokens": ["York"], "tags": ["B-PER"]}]
    tags = classical("tag_dictionary").fit(TASK, longer).answer([{"tokens": ["New", "York", "York", "New"]}])[0]["tags"]
    assert tags == ["B-LOC", "I-LOC", "O", "O"]  # York alone is a person in one of two places


def test_a_linear_tagger_fits_long_texts_and_the_seed_decides(monkeypatch):
    long = [{"tokens": sum((r["tokens"] for r in RECORDS), []), "tags": sum((r["tags"] for r in RECORDS), [])}]
    monkeypatch.setattr(linear, "LONGEST", 16)
    first, same, other = (linear.Baseline.fit(TASK, long, seed=seed) for seed in (0, 0, 1))
    assert scored(TASK, first, UNSEEN)["f1"] > 0.9 and first.facts["chosen_on"] == "nothing"
    assert bool((first.weights == same.weights).all()) and not bool((first.weights == other.weights).all())
    assert first.facts["epochs"] == linear.EPOCHS


def test_nothing_and_broken_folders(tmp_path):
    for name in NAMES:
        with pytest.raises(EvaluateError, match="P-EVAL-001"):
            classical(name).fit(TASK, [])
        model = classical(name).fit(TASK, RECORDS)
        model.save(tmp_path / name)
        about = json.loads((tmp_path / name / "penjing.json").read_text())
        (tmp_path / name / "penjing.json").write_text(json.dumps(about | {"task": {}}))
        with pytest.raises(EvaluateError, match="P-EVAL-003"):
            load_classical(tmp_path / name)
    (tmp_path / "tag_linear" / "penjing.json").write_text(json.dumps(about))
    (tmp_path / "tag_linear" / "tagger.npz").write_bytes(b"PK")
    with pytest.raises(EvaluateError, match="P-EVAL-003"):
        load_classical(tmp_path / "tag_linear")


def test_features_know_only_their_own_text():
    texts = [["Ann", "saw", "U.N.-1"], [], ["Ann"], ["京"]]
    found = features(texts)
    assert found.shape == (5, len(TEMPLATES)) and found.dtype == np.uint64
    assert (features([["Ann"]]) == found[3]).all() and not (found[0] == found[3]).all()
    assert (found[0] == features([["Ann", "saw", "tree"]])[0]).sum() > len(TEMPLATES) / 2
    assert (found[:, 0] != 0).all() and (found[4] == 0).sum() > (found[2] == 0).sum()  # short words have few affixes
    assert shape_of("U.N.-1é京") == "A.A.-9ac" and features([]).shape == (0, len(TEMPLATES))
