"""What a search proposes and what it may claim, without any model."""

import numpy as np
import pytest

from penjing.evaluate.drop import dropped, full_mark, hidden
from penjing.recipe.compressing.choosing import front, needed, told, verdict
from penjing.recipe.compressing.proposing import Alone, Cuts, Rung, cheapest, endings, following
from penjing.tasks import task_named

TASK = task_named("classify", labels=["a", "b"])
RECORDS = [{"text": str(number), "label": "ab"[number % 2]} for number in range(200)]
ALONE = {
    "layers": {1: Alone(0.25, 0.30), 2: Alone(0.5, 0.50), 3: Alone(0.75, 0.60)},
    "neurons": {0.25: Alone(0.16, 0.01), 0.5: Alone(0.33, 0.04), 0.75: Alone(0.5, 0.5)},
    "heads": {0.5: Alone(0.16, 0.02)},
}


def answers(wrong):
    """All right but these."""
    flipped = {"a": "b", "b": "a"}
    return [{"label": flipped[one["label"]] if n in wrong else one["label"]} for n, one in enumerate(RECORDS)]


def test_the_drop_is_paired_and_never_without_a_width():
    same = dropped(TASK, answers(range(50)), answers(range(50)), RECORDS)
    assert same["value"] == 0 and same["telling"] == 0 and same["high"] == pytest.approx(hidden(0) / 200)
    one = dropped(TASK, answers(()), answers({3}), RECORDS)
    exact = 4.74 / 200  # Poisson: at most so many, with 95 %, where one was seen
    assert one["value"] == pytest.approx(1 / 200) and 0.85 * exact < one["high"] < 1.15 * exact
    better = dropped(TASK, answers(range(60)), answers(()), RECORDS)
    assert better["value"] == pytest.approx(-0.3) and better["low"] < -0.3 < better["high"] < -0.2
    apart = dropped(TASK, answers(range(40)), answers(range(20, 80)), RECORDS)
    loose = np.sqrt((60 / 200 - 0.01) / 200) * 1.645
    assert apart["value"] == pytest.approx(0.1) and apart["high"] - 0.1 == pytest.approx(loose, rel=0.1)


def test_what_a_hundred_per_cent_are():
    assert full_mark(TASK, 0.9) == 1 and full_mark(task_named("seq2seq"), 30.0) == 100
    assert full_mark(task_named("causal"), 1.7) == 1.7


def test_cuts_that_cost_the_least_are_proposed():
    assert cheapest(0.0, 0.6, Cuts(), ALONE) == Cuts(0, 0.5, 0.5)
    assert cheapest(0.0, 0.5, Cuts(0, 0.5, 0.5), ALONE).within(Cuts(9, 0.9, 0.9)) and Cuts(0, 0.5, 0.5).within(
        cheapest(0.0, 0.5, Cuts(0, 0.5, 0.5), ALONE)
    )
    assert Cuts(3, 0.5, 0.25).after(Cuts(1, 0.25)) == [
        {"layers": {"number": 2}}, {"neurons": {"share": 0.3333}}, {"heads": {"share": 0.25}}
    ]  # fmt: skip
    assert cheapest(0.9, 0.5, Cuts(), ALONE) is None


def test_it_halves_while_the_budget_holds_and_then_goes_between():
    whole = Rung(Cuts(), [], 1.0, True)
    before, first = following([whole], ALONE)
    assert before is whole
    held = Rung(first, ["heal"], 0.5, True)
    before, second = following([whole, held], ALONE)
    assert before is held and first.within(second)
    failed = Rung(second, ["heal"], 0.25, False)
    before, third = following([whole, held, failed], ALONE) or (held, None)
    assert before is held and third != second
    assert following([whole, Rung(first, [], 0.5, False)], ALONE)[0] is whole
    assert following([whole, Rung(Cuts(3, 0.75, 0.5), [], 0.05, True)], ALONE) is None


def test_endings():
    assert endings(["int8", "vocabulary", "int4"]) == [
        ["vocabulary", "int8"],
        ["vocabulary", {"int4": {"method": "gptq"}}],
    ]
    assert endings(["vocabulary"]) == [["vocabulary"]] and endings(["heads"]) == []


def point(size, value, high, *stack):
    return {"stack": list(stack), "bytes": size, "drop": {"value": value, "low": value, "high": high, "records": 100}}


def test_the_front_and_how_many_records_are_needed():
    points = [point(9, 0.0, 0.01, "a"), point(5, 0.02, 0.05, "b"), point(6, 0.03, 0.04, "c"), point(3, 0.2, 0.3, "d")]
    assert [one["stack"] for one in front(points)] == [["d"], ["b"], ["a"]]
    assert needed(points, 8, 0.025) == 3600 and needed(points, 8, 0.01) is None
    assert told([{"layers": {"number": 3}}, "heal", "int8"]) == "layers 3 > heal > int8"


def test_the_words_of_each_outcome():
    one = point(3, 0.001, 0.004, "int8")
    said = [verdict(one, drop, 0.005, 1.0, None, 100) for drop in (None, one["drop"], one["drop"] | {"high": 0.02})]
    said += [verdict(None, None, 0.005, 1.0, more, 100) for more in (400, None)]
    assert [one["outcome"] for one in said] == ["unconfirmed", "confirmed", "not_confirmed", "not_shown", "nothing"]
    assert all("0.5" in one["en"] and "0.5" in one["zh"] for one in said[1:])
