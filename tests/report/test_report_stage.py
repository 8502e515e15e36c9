"""The stage report on invented step folders."""

import json

import numpy as np
import pytest

from penjing.base.errors import EvaluateError, FileError
from penjing.evaluate.certificate import certificate
from penjing.evaluate.measuring import write_predictions
from penjing.evaluate.metrics import confusion, per_label, reliability
from penjing.recipe.stages.report import report
from penjing.report.card import LIMITS
from penjing.report.steps import flat, rules_of
from penjing.report.words import WORDS

LABELS = ["late", "lost", "refund"]


def evaluation(folder, labels=LABELS, split="test", perfect=False):
    """An evaluate step folder."""
    random = np.random.default_rng(0)
    targets = random.integers(0, len(labels), 200)
    scores = random.random((200, len(labels)))
    scores[np.arange(200), targets] += 9 if perfect else 0.6
    chances = {"model": scores / scores.sum(1, keepdims=True), "tfidf": random.dirichlet(np.ones(len(labels)), 200)}
    facts = {
        "model": {"texts_per_second": 812.5, "bytes": 11_300_000},
        "tfidf": {"fit_seconds": 1.5, "bytes": 2_000_000},
    }
    found = certificate(chances, targets, labels, split=split, resamples=200, facts=facts)
    folder.mkdir()
    (folder / "certificate.json").write_text(json.dumps(found))
    details = {name: {"scores": found["candidates"][name]["scores"],
                      "per_label": per_label(targets, values.argmax(1), labels),
                      "confusion": confusion(targets, values.argmax(1), len(labels)).tolist(),
                      "reliability": reliability(values, targets)} for name, values in chances.items()}  # fmt: skip
    (folder / "scores.json").write_text(json.dumps(details))
    records = [{"text": f"<i>message {i}</i> " + "word " * 90} for i in range(200)]
    write_predictions(folder / "predictions.jsonl", records, targets, chances, labels)
    manifest(folder, "evaluate")
    return folder


def manifest(folder, step):
    folder.mkdir(exist_ok=True)
    found = {"step": step, "hash": "4f" * 8, "options": {"seed": 0, "rate": [1, 2]}, "seconds": 2.5,
             "inputs": [{"path": "in.csv", "sha256": "ab" * 32}], "outputs": [{"path": "out.bin", "sha256": "cd" * 32,
             "bytes": 5_000_000}], "code": {"sha256": "ef" * 32}, "python": "3.11", "torch": "2.13",
             "platform": "Linux", "peak_memory_bytes": 7_000_000}  # fmt: skip
    (folder / "manifest.json").write_text(json.dumps(found))


@pytest.fixture
def steps(tmp_path):
    """All step folders of a run."""
    folders = {name: tmp_path / name for name in ("clean", "tokenizer", "pretrain", "finetune")}
    for name, folder in folders.items():
        manifest(folder, name)
    rules = {"html": {"changed": 7, "dropped": 0, "samples": ["secret sample"]}}
    (folders["clean"] / "clean.json").write_text(json.dumps({"rules": rules, "facts": {"train": {"records": 321}}}))
    (folders["tokenizer"] / "report.json").write_text(json.dumps({"bytes_per_token": {"en": 4.41}}))
    log = [{"step": s, "loss": 5 / s, "rate": 1e-3} for s in range(1, 50)] + [{"step": 49, "valid_loss": 0.3}]
    for name in ("pretrain", "finetune"):
        (folders[name] / "log.jsonl").write_text("\n".join(map(json.dumps, log)) + '\n{"step": 50, "lo')
        (folders[name] / "outcome.json").write_text(json.dumps({"seconds": 91.5, "planned": {"seconds": 80.25}}))
    (tmp_path / "report").mkdir()
    made = {"out": tmp_path / "report", "evaluation": evaluation(tmp_path / "evaluate")}
    names = {"data": "clean", "tokenizer": "tokenizer", "pretrain": "pretrain", "model": "finetune"}
    return made | {option: folders[name] for option, name in names.items()}


def make(steps, **options):
    given = dict(steps) | options
    return report(given.pop("out"), **given), (steps["out"] / "report.html").read_text(encoding="utf-8")


def test_everything_is_told(steps):
    found, page = make(steps, title="Support <intents>", recipe="recipes/support/recipe.yaml")
    assert found["report"] == "report.html" and found["verdict"].startswith("worth it: +")
    for words in ("Scores", "most confident mistakes", "Labels", "Confusion", "Calibration", "Data", "Tokenizer",
                  "Training: pretrain", "Training: finetune", "Plan and outcome", "What was done", "How to reproduce",
                  "penjing run recipes/support/recipe.yaml", "321", "4.41", "91.5", "80.2", "812.5",
                  "Support &lt;intents&gt;", "&lt;i&gt;message"):  # fmt: skip
        assert words in page, words
    assert "secret sample" not in page and "<i>message" not in page
    assert json.loads((steps["out"] / "report.json").read_text())["title"] == "Support <intents>"
    assert "worth it" in (steps["out"] / "report.txt").read_text()


def test_commands_are_those_that_made_it(steps):
    alone = make(steps)[1]
    assert "penjing run" not in alone and "penjing verify clean\n" in alone and "penjing verify finetune" in alone
    (steps["data"].parent / "run.json").write_text(json.dumps({"recipe": "/home/me/support/recipe.yaml"}))
    whole = make(steps)[1]
    assert "penjing run support/recipe.yaml\n" in whole and "/home/me" not in whole
    assert f"/{steps['data'].parent.name}" in whole[whole.index("penjing verify") :].split("\n")[0]


def test_the_card_is_the_hubs(steps):
    from huggingface_hub import ModelCard

    make(steps, title="support-intents", licence="apache-2.0", datasets=["me/support"], text_languages=["en", "zh"])
    card = ModelCard((steps["out"] / "README.md").read_text(encoding="utf-8"))
    assert card.data.license == "apache-2.0" and card.data.language == ["en", "zh"]
    assert card.data.pipeline_tag == "text-classification" and card.data.datasets == ["me/support"]
    results = card.data.eval_results
    assert {r.metric_type for r in results} == {"accuracy", "f1", "matthews_correlation"}
    assert results[0].dataset_split == "test"
    assert "worth it" in card.text and LIMITS["en"][0] in card.text and "AutoModel" not in card.text


@pytest.mark.parametrize("name", ["evaluation", "model", "data", "tokenizer", "pretrain"])
def test_each_step_may_be_absent(steps, name):
    _, whole = make(steps)
    _, page = make(steps, **{name: None})
    assert len(page) < len(whole) and "<h1>" in page


def test_nothing_at_all(tmp_path):
    found = report(tmp_path)
    assert found["verdict"].startswith("No evaluation") and (tmp_path / "README.md").exists()


def test_chinese(steps, monkeypatch):
    monkeypatch.setenv("PENJING_LANG", "zh")
    found, page = make(steps)
    assert (
        found["language"] == "zh" and "值得" in found["verdict"] and '<html lang="zh">' in page and "混淆矩阵" in page
    )
    assert LIMITS["zh"][0] in (steps["out"] / "README.md").read_text(encoding="utf-8")
    assert make(steps, language="en")[0]["verdict"].startswith("worth it")
    assert all(english and chinese for english, chinese in WORDS.values())


def test_scores_on_valid_are_called_so_and_no_mistakes_too(steps, tmp_path):
    many = [f"label {i}" for i in range(20)]
    _, page = make(steps, evaluation=evaluation(tmp_path / "other", many, "valid", perfect=True))
    assert "validation split" in page and "No mistakes" in page and "more (4)" in page


def test_broken_files_are_told(steps):
    with pytest.raises(FileError, match="P-FILE-001"):
        make(steps, pretrain=steps["out"] / "nowhere")
    (steps["pretrain"] / "log.jsonl").write_text('{"step": 1, "loss": 2}\n{broken\n{"step": 3, "loss": 1}\n')
    with pytest.raises(EvaluateError, match="P-EVAL-010") as error:
        make(steps)
    assert error.value.line == 2
    (steps["data"] / "clean.json").write_text("[]")
    with pytest.raises(EvaluateError, match="P-EVAL-010"):
        make(steps, pretrain=None)


def test_flat_facts():
    assert flat({"a_b": {"c": 1}, "samples": [1], "l": [1, 2], "rows": [{"x": 1}]}) == [
        ("a b › c", 1), ("l", "1, 2"), ("rows 1 › x", 1)]  # fmt: skip
    rules, rest = rules_of({"train": {"html": {"changed": 1, "dropped": 2}}, "n": 3})
    assert rules == {"train › html": {"changed": 1, "dropped": 2}} and rest == {"n": 3}


@pytest.mark.parametrize(
    "counts, wanted", [({"zh": 90, "en": 2}, ["zh"]), ({"en": 9, "mixed": 1}, ["en", "zh"]), ({}, None)]
)
def test_the_card_names_the_languages_that_were_found(steps, counts, wanted):
    from huggingface_hub import ModelCard

    (steps["data"] / "clean.json").write_text(json.dumps({"facts": {"splits": {"train": {"languages": counts}}}}))
    make(steps)
    assert ModelCard((steps["out"] / "README.md").read_text(encoding="utf-8")).data.language == wanted


def test_scores_without_a_baseline_are_no_verdict_and_no_absence_of_scores(tmp_path, steps):
    path = steps["evaluation"] / "certificate.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"verdict": None}))
    assert make(steps)[0]["verdict"].startswith("Measured without a baseline")
