"""The certificate of a task that answers with more than a label, and what the report makes of it."""

import json

import numpy as np
import pytest

from penjing.base.errors import EvaluateError
from penjing.evaluate.answers import answers_certificate
from penjing.evaluate.asking import write_answers
from penjing.evaluate.ensemble import load_candidate
from penjing.recipe.stages.report import report
from penjing.tasks.task import Task

RECORDS = [{"text": f"<b>{n}</b>", "wanted": n % 7} for n in range(60)]


class Counting(Task):
    """Answers are numbers: the share that is right, the mean distance, the middle distance (which is no sum)."""

    name, main_score, lower, taught = "counting", "right", ("distance", "middle"), ("wanted",)

    def statistics(self, answers, records):
        gaps = np.array([abs(a["number"] - r["wanted"]) for a, r in zip(answers, records, strict=True)], float)
        return np.stack([np.ones_like(gaps), gaps == 0, gaps], 1)

    def scores(self, sums):
        return {"right": sums[..., 1] / sums[..., 0], "distance": sums[..., 2] / sums[..., 0]}


class Middle(Counting):
    main_score = "middle"

    def resampled(self, answers, records, weights):
        gaps = self.statistics(answers, records)[:, 2]
        found = [np.median(np.repeat(gaps, row.astype(int))) for row in weights]
        return super().resampled(answers, records, weights) | {"middle": np.array(found)}

    def notes(self, records):
        return {"how": "by repetition"}


def answers(wrong, by=1):
    return [{"number": r["wanted"] + (by if n < wrong else 0)} for n, r in enumerate(RECORDS)]


def made(task, model, *baselines, **more):
    given = {"model": model} | {f"base{n}": one for n, one in enumerate(baselines)}
    return answers_certificate(task, given, {"model": {"bytes": 7}}, RECORDS, split="test", resamples=300, **more)


@pytest.mark.parametrize(
    "task, wrong, outcome",
    [(Counting(), (5, 40), "worth_it"), (Counting(), (40, 5), "not_worth_it"), (Counting(), (20, 21), None),
     (Middle(), (5, 55), "worth_it"), (Middle(), (55, 5), "not_worth_it")],
)  # fmt: skip
def test_the_verdict(task, wrong, outcome):
    found = made(task, answers(wrong[0]), answers(wrong[1]), answers(60), paths={"base0": "there"})
    again = made(task, answers(wrong[0]), answers(wrong[1]), answers(60), paths={"base0": "there"})
    assert found == json.loads(json.dumps(found)) == again
    assert found["best_baseline"] == "base0" and found["metric"] == task.main_score
    assert found["verdict"]["outcome"] == outcome or (outcome is None and found["verdict"]["difference"]["low"] <= 0)
    for about in found["candidates"].values():
        for score in about["scores"].values():
            assert score["low"] <= score["value"] <= score["high"]
    assert found["candidates"]["model"]["scores"]["right"]["value"] == pytest.approx(1 - wrong[0] / 60)
    assert found["candidates"]["model"]["bytes"] == 7 and found["candidates"]["base0"]["path"] == "there"
    assert made(task, answers(3))["verdict"] is None


@pytest.mark.parametrize(
    ("number", "outcome"), [(1, "no_clear_difference"), (5, "no_clear_difference"), (6, "worth_it")]
)
def test_a_handful_of_records_is_no_proof(number, outcome):
    """Right on all of them against wrong on all of them: the interval has no width, but five such draws are chance."""
    given = {"model": answers(0)[:number], "base": answers(60)[:number]}
    found = answers_certificate(Counting(), given, {}, RECORDS[:number], split="test", resamples=100)
    said, told = found["verdict"], found["differences"][0]
    assert (told["low"], told["high"]) == (1.0, 1.0) and said["outcome"] == outcome
    assert (f"only {number} texts tell them apart" in said["en"]) == (outcome != "worth_it")


def test_differences_are_paired():
    """The same mistakes and ten more: every resample is worse, though the scores' own intervals overlap."""
    found = made(Counting(), answers(10), answers(20))
    difference = next(d for d in found["differences"] if d["metric"] == "right")
    assert difference["low"] > 0 and difference["value"] == pytest.approx(10 / 60)
    scores = [found["candidates"][name]["scores"]["right"] for name in ("model", "base0")]
    assert scores[1]["high"] > scores[0]["low"]


@pytest.mark.parametrize("task", [Counting(), Middle()])
def test_the_report_and_the_card(task, tmp_path):
    step, out = tmp_path / "evaluate", tmp_path / "report"
    step.mkdir()
    out.mkdir()
    given = {"model": answers(5), "base": answers(40)}
    found = answers_certificate(task, given, {}, RECORDS, split="test", resamples=100)
    (step / "certificate.json").write_text(json.dumps(found))
    write_answers(step / "predictions.jsonl", task, RECORDS, given)
    lines = [json.loads(line) for line in (step / "predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 60 and lines[0]["record"] == RECORDS[0]
    assert [line["score"] for line in lines[:6]] == ([0.0] * 5 + [1.0])[:6] if task.main_score == "right" else True
    result = report(out, evaluation=step, title="counting", language="en")
    page, card = (out / "report.html").read_text(), (out / "README.md").read_text()
    assert result["verdict"].startswith("worth it") and "distance" in page
    assert ("lowest scores" in page and "&lt;b&gt;" in page) or task.main_score == "middle"
    assert lines[0]["true"] == "0" and page.count("&lt;b&gt;") == (
        5 if task.main_score == "right" else 0
    )  # no right one
    assert ("(less is better)" in result["verdict"]) == (task.main_score == "middle")
    assert ("by repetition" in page) == (task.main_score == "middle")
    assert "penjing predict" in card and "distance" in card and "Labels" not in card


def test_a_model_without_a_title_is_called_no_classifier(tmp_path):
    report(tmp_path, language="en")
    assert (tmp_path / "report.txt").read_text().startswith("model\n")


@pytest.mark.parametrize(
    "about", [{"kind": "lead"}, {"kind": "lead", "task": {"task": "seq2seq"}}, {"kind": "lead", "task": 3}]
)
def test_a_damaged_baseline_is_one_clear_error(about, tmp_path):
    (tmp_path / "penjing.json").write_text(json.dumps(about))
    with pytest.raises(EvaluateError, match="P-EVAL-003"):
        load_candidate(tmp_path)
