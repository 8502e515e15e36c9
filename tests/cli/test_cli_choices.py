"""Choices on the command line: a name, its options after it, several in a row, or YAML."""

import pytest

from penjing.base.options import options_of
from penjing.cli.stage import value_of
from penjing.recipe.stages import BUILT_IN

CHANGE = options_of(BUILT_IN["finetune"].function)["change"]
TASK = options_of(BUILT_IN["finetune"].function)["task"]


@pytest.mark.parametrize(
    ("texts", "value"),
    [
        (["lora"], "lora"),
        (["lora", "rank=4", "where=query|value"], {"lora": {"rank": 4, "where": "query|value"}}),
        (["freeze", "top=2", "lora"], [{"freeze": {"top": 2}}, "lora"]),
        (["{lora: {rank: 2}}", "ia3"], [{"lora": {"rank": 2}}, "ia3"]),
        (["{lora: {rank: 2}}", "dora=true"], {"lora": {"rank": 2, "dora": True}}),
        (["lora", "where=[qv].*"], {"lora": {"where": "[qv].*"}}),  # no YAML
        (["[ia3, {lora: {rank: 2}}]"], ["ia3", {"lora": {"rank": 2}}]),
    ],
)
def test_changes(texts, value):
    assert value_of(CHANGE, texts) == value


def test_a_task_is_one_choice():
    assert value_of(TASK, ["tag", "crf=true"]) == {"tag": {"crf": True}}
    assert value_of(TASK, ["tag"]) == "tag"
