"""Options of a signature: typed, checked all at once, nearest names."""

from typing import Annotated, Literal

import pytest
from pydantic import Field

from penjing.base.errors import OptionError
from penjing.base.options import check_options


def stage(
    out,
    *,
    rate: Annotated[float, Field(gt=0)],
    personal: Literal["off", "mask"] = "mask",
    loud: bool = False,
    steps: int = 3,
): ...


def test_values_become_what_the_signature_says():
    assert check_options(stage, {"rate": 3, "steps": 5.0, "loud": True}, "stage") == {
        "rate": 3.0,
        "steps": 5,
        "loud": True,
    }


def test_yaml_reads_off_as_false():
    assert check_options(stage, {"rate": 1, "personal": False}, "stage")["personal"] == "off"


@pytest.mark.parametrize(
    "given",
    [
        {"rate": True},
        {"rate": "x"},
        {"rate": 0},
        {"rate": float("inf")},
        {"rate": 1, "steps": False},
        {"rate": 1, "steps": "3.5"},
    ],
)
def test_wrong_kinds(given):
    with pytest.raises(OptionError, match="P-OPTION-002"):
        check_options(stage, given, "stage")


def test_all_problems_at_once():
    with pytest.raises(OptionError) as caught:
        check_options(stage, {"ratte": 1, "steps": "x"}, "stage")
    assert [e.code for e in (caught.value, *caught.value.others)] == ["P-OPTION-001", "P-OPTION-002", "P-OPTION-003"]
    assert caught.value.nearest == "rate"
