"""What a command says at its end."""

import re

import pytest

from penjing.cli.summary import show_stage


def score(value, low, high):
    return {"accuracy": {"value": value, "low": low, "high": high}}


@pytest.mark.parametrize("lang, before", [("en", "before folding"), ("zh", "合并前")])
def test_scores_of_merge_stand_in_a_table(capsys, monkeypatch, lang, before):
    monkeypatch.setenv("PENJING_LANG", lang)
    scores = {"before": score(0.5, 0.4, 0.6), "after": score(0.5, 0.4, 0.6), "alone": {"a": score(0.25, 0.1, 0.3)}}
    result = {"folded": ["lora"], "same_tokens": True, "distance": 1e-7, "records": 100, **scores}
    show_stage({"step": "merge", "stage": "merge", "seconds": 1, "result": result}, "out")
    first, *table = capsys.readouterr().out.split("\n\n")
    assert "before" not in first and "same tokens yes, distance 1e-07, records 100" in first
    rows = [re.split("  +", line) for line in table[0].splitlines() if "0." in line]
    assert len(rows) == 3 and rows[1][0] == before and "0.500 (0.400 – 0.600)" in rows[1]


def test_merge_without_data_has_no_table(capsys):
    show_stage({"step": "merge", "stage": "merge", "seconds": 1, "result": {"distance": 0.0}}, "out")
    assert len(capsys.readouterr().out.strip().splitlines()) == 2


def test_a_score_among_the_facts_has_its_interval(capsys):
    result = {"members": 3, "cross_validated": score(0.522, 0.475, 0.573)}
    show_stage({"step": "finetune", "stage": "finetune", "seconds": 1, "result": result}, "out")
    assert "members 3, cross validated accuracy 0.522 (0.475 – 0.573)" in capsys.readouterr().out
