"""Regression through the stages: cleaning, fine-tuning beside ridge regression, the certificate, the report, prediction."""

import json

import pytest

from penjing.base.records import write_records
from penjing.cli.main import main
from penjing.recipe.call import call_stage
from penjing.recipe.stage import Stage
from penjing.recipe.stages import BUILT_IN

TINY = {
    "epochs": 6, "batch_tokens": 256, "layers": 1, "width": 16, "max_tokens": 32, "threads": 1, "measure_seconds": 0,
    "dtype": "float32", "validate_times": 2, "learning_rate": 0.01, "task": "regress",
}  # fmt: skip
THINGS = ("tree", "box", "parcel", "house", "garden", "river")


def stage(name, out, **options):
    return call_stage(Stage.of(name, BUILT_IN[name]), out, options, out.parent)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("regress")
    rows = [
        {"text": f"the {thing} number {i} was {word}", "label": number}
        for i, thing in enumerate(THINGS * 5)
        for word, number in (("good", 4.5), ("fine", 3.25), ("late", 1.5), ("broken", -2))
    ]
    write_records(root / "all.jsonl", rows)
    stage(
        "clean", root / "clean", folder=root, train="all.jsonl", valid_share=0.1, test_share=0.2, near_duplicates=False
    )
    stage("tokenizer", root / "tokenizer", data=root / "clean", size=120)
    stage("finetune", root / "finetune", data=root / "clean", tokenizer=root / "tokenizer", **TINY)
    stage("evaluate", root / "evaluate", data=root / "clean", model=root / "finetune", bootstrap=100)
    stage("report", root / "report", evaluation=root / "evaluate", model=root / "finetune", language="en")
    return root


def test_the_certificate_sets_it_beside_ridge(made):
    found = json.loads((made / "evaluate" / "certificate.json").read_text("utf-8"))
    assert list(found["candidates"]) == ["model", "ridge"] and found["metric"] == "pearson"
    scores = found["candidates"]["model"]["scores"]
    assert list(scores) == ["pearson", "spearman", "mse", "rmse"] and scores["pearson"]["value"] > 0.5
    assert any(one.get("lower") for one in found["differences"]) and found["verdict"]["outcome"]
    first = json.loads((made / "finetune" / "certificate.json").read_text("utf-8"))
    assert first["split"] == "valid" and "ridge" in first["candidates"]
    page = (made / "report" / "report.html").read_text("utf-8")
    assert "root of the mean squared error" in page


def test_predict_shows_the_number(made, tmp_path, capsys):
    assert main(["predict", str(made / "finetune"), "the tree number 3 was good", "--json"]) == 0
    assert 2 < json.loads(capsys.readouterr().out)["value"] < 6
    assert main(["predict", str(made / "finetune" / "baselines" / "ridge"), "the box was late"]) == 0
    assert float(capsys.readouterr().out.split()[-1]) < 3
    write_records(tmp_path / "two.jsonl", [{"one": "the tree", "other": "was good"}])
    both = ["--file", str(tmp_path / "two.jsonl"), "--columns", "text=one", "--columns", "text_b=other"]
    assert main(["predict", str(made / "finetune"), *both]) != 0
    assert "P-TASK-032" in capsys.readouterr().err  # it was trained on single texts
