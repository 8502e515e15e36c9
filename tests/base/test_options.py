"""Options of a signature: typed, checked all at once, nearest names."""

from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import Field

from penjing.base.errors import DataError, OptionError, raise_all
from penjing.base.options import check_options


@dataclass
class Moved:
    far: int | None = None
    near: int | None = None


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


def test_why_a_value_does_not_fit_is_said_in_both_languages():
    def stage(
        *,
        share: Annotated[float, Field(lt=1)] = 0,
        way: Literal["up", "down"] = "up",
        many: int = 1,
        moved: Moved | None = None,
    ):
        pass

    with pytest.raises(OptionError) as caught:
        check_options(stage, {"share": 3, "way": "left", "many": "x", "moved": "far"}, "stage")
    first, way, many, moved = caught.value, *caught.value.others
    assert "less than 1" in first.text("en") and "必须小于 1" in first.text("zh")
    assert "应为 'up' 或 'down' 之一" in way.text("zh") and "不是整数" in many.text("zh")
    assert "{far | near: value}" in moved.text("en")
    assert "Input should" not in "".join(one.text("zh") for one in (first, way, many, moved))


def test_what_many_problems_have_in_common_is_said_once():
    def problem(line, known=("text", "tags")):
        return DataError("P-DATA-017", line=line, given="label", ours="label", known=known)

    problems = [problem(1), problem(2), problem(3), problem(4, ("stars",)), problem(5, ("stars",))]
    with pytest.raises(DataError) as caught:
        raise_all(problems)
    text = caught.value.text("en")
    assert [text.count(word) for word in ("known: text, tags", "known: stars", "  fix:", "- P-DATA-017")] == [
        1,
        1,
        1,
        4,
    ]
