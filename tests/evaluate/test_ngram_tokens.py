"""N-grams of tokens are asked for the very tokens that the network is, guess the likeliest, and are kept whole."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))
from toys_objectives import TEXTS, objective_model

from penjing.base.errors import EvaluateError
from penjing.evaluate.classical import load_classical
from penjing.evaluate.classical.ngram_tokens import Baseline
from penjing.evaluate.kneser_ney import KneserNey

RECORDS = [{"text": text} for text in TEXTS]
ODD = [{"text": text} for text in ("", " ".join(TEXTS * 3), "盆景 \U0001f333 unseen", TEXTS[0])]
STYLES = [("t5", {"span": 2}), ("bart", {"style": "bart", "infill": 0.3, "rotate": 0.5, "permute": 1.0})]


@pytest.mark.parametrize(("family", "options"), STYLES, ids=["t5", "bart"])
def test_the_same_questions_as_the_network(family, options, tmp_path):
    model = objective_model("denoise", family, **options)
    model.save(tmp_path / "model")
    found = Baseline.fit(model.task, RECORDS[:8], RECORDS[8:], model=tmp_path / "model")
    assert found.facts["chosen_on"] == "valid" and found.facts["ngrams"] > 0
    ours, theirs = found.answer(ODD), model.task.answer(model, ODD)
    assert [one["labels"] for one in ours] == [one["labels"] for one in theirs] and ours[1]["labels"]
    assert all(len(one["bits"]) == len(one["guesses"]) == len(one["labels"]) for one in ours)
    assert all(bits > 0 for one in ours for bits in one["bits"])
    assert found.answer(ODD[1:2]) == [ours[1]]  # in any company
    score = {"ours": ours, "theirs": theirs}
    bits = {name: sum(map(sum, (one["bits"] for one in answers))) for name, answers in score.items()}
    assert bits["ours"] < bits["theirs"]  # of a network that has learnt nothing
    differ = sum(a != b and c in (a, b) for x, y in zip(ours, theirs, strict=True)
                 for a, b, c in zip(x["guesses"], y["guesses"], x["labels"], strict=True))  # fmt: skip
    assert model.task.telling(ours * 30, theirs * 30, ODD * 30) == 30 * differ
    found.save(tmp_path / "kept")
    assert load_classical(tmp_path / "kept").answer(ODD) == ours
    (tmp_path / "kept" / "ngrams.npz").write_bytes(b"broken")
    with pytest.raises(EvaluateError) as error:
        load_classical(tmp_path / "kept")
    assert error.value.code == "P-EVAL-003"


def test_nothing_to_learn_from(tmp_path):
    model = objective_model("denoise", "t5")
    model.save(tmp_path / "model")
    assert Baseline.fit(model.task, RECORDS, model=tmp_path / "model").facts["chosen_on"] == "nothing"
    with pytest.raises(EvaluateError) as error:
        Baseline.fit(model.task, [], model=tmp_path / "model")
    assert error.value.code == "P-EVAL-001"


@pytest.mark.parametrize("order", [1, 2, 4])
def test_the_guess_is_the_likeliest_of_all(order):
    chance = np.random.default_rng(order)
    model = KneserNey.fit([chance.integers(0, 9, 30) for _ in range(4)], order, 12)
    text = chance.integers(0, 12, 40)
    guesses = model.likeliest(text, np.arange(40))
    for place, guess in enumerate(guesses):
        chances = model.following(text[:place])
        assert chances[guess] == chances.max()
