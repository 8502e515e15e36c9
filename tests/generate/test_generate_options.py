"""Options that contradict each other or can have no effect are errors, all told at once."""

import pytest

from penjing.base.errors import PenjingError
from penjing.generate.options import GenerateOptions


def codes(**given):
    with pytest.raises(PenjingError) as error:
        GenerateOptions.read(given)
    assert error.value.text("zh") and error.value.text("en")
    return [one.code for one in (error.value, *error.value.others)]


@pytest.mark.parametrize(
    ("given", "code"),
    [
        (dict(temperature=0, top_k=3), "P-OPTION-005"),
        (dict(temperature=0, top_p=0.5), "P-OPTION-005"),
        (dict(temperature=0, min_p=0.5), "P-OPTION-005"),
        (dict(temperature=0, typical_p=0.5), "P-OPTION-005"),
        (dict(temperature=0, seed=1), "P-OPTION-005"),
        (dict(length_penalty=2.0), "P-OPTION-005"),
        (dict(early_stopping=True), "P-OPTION-005"),
        (dict(forced_words=((1,),)), "P-OPTION-005"),
        (dict(min_new_tokens=3), "P-OPTION-005"),
        (dict(beams=2, top_k=3), "P-OPTION-006"),
        (dict(beams=2, temperature=0.5), "P-OPTION-006"),
        (dict(beams=2, seed=5), "P-OPTION-006"),
        (dict(beams=2, top_log_probabilities=5), "P-OPTION-006"),
        (dict(min_new_tokens=9, max_new_tokens=8, stop_tokens=(2,)), "P-GENERATE-001"),
        (dict(temperature=0, returns=2), "P-GENERATE-002"),
        (dict(beams=3, returns=4), "P-GENERATE-002"),
        (dict(beams=3, forced_words=((1, 2), (3, 4)), max_new_tokens=3), "P-GENERATE-003"),
        (dict(max_new_tokens=0), "P-OPTION-002"),
        (dict(temperature=-1), "P-OPTION-002"),
        (dict(temperature=float("nan")), "P-OPTION-002"),
        (dict(top_p=0), "P-OPTION-002"),
        (dict(bad_words=((),)), "P-OPTION-002"),
        (dict(stop_tokens=(-1,)), "P-OPTION-002"),
        (dict(temprature=1), "P-OPTION-001"),
    ],
)
def test_mistakes(given, code):
    assert codes(**given) == [code]


def test_all_are_told():
    assert codes(temperature=0, top_k=3, returns=2, early_stopping=True) == [
        "P-OPTION-005", "P-OPTION-005", "P-GENERATE-002",
    ]  # fmt: skip


def test_greedy_means_no_chance():
    assert GenerateOptions(temperature=0).greedy and GenerateOptions(beams=2).greedy and not GenerateOptions().greedy
    assert GenerateOptions.read({"bad_words": [[1, 2]], "logit_bias": {3: 1}}).bad_words == ((1, 2),)
