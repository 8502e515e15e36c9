"""A recipe in which one step teaches another, on words and on raw text; what is wrong is told before anything runs."""

import json

import pytest
from test_label_pairs import stage

from penjing.base.records import write_records
from penjing.recipe.check import check_recipe
from penjing.recipe.reading import parse_recipe
from penjing.recipe.runner import run_recipe
from penjing.recipe.stages import BUILT_IN
from penjing.tasks.model import Model
from penjing.text.tokenizer_training import train_tokenizer

RECORDS = [{"text": f"the {thing} was {word}", "label": label} for label, words in
           {"good": ("good", "fine"), "bad": ("broken", "late")}.items() for word in words
           for thing in ("tree", "box", "parcel", "house")]  # fmt: skip
LOOP = "\n    ".join(("steps: 3", "measure_seconds: 0", "threads: 1", "dtype: float32", "baselines: false"))
RECIPE = f"""
name: toys
stages:
  big:
    do: finetune
    data: data
    tokenizer: cutter
    layers: 2
    width: 32
    {LOOP}
  small:
    do: finetune
    data: data
    task: {{distil: {{task: {{classify: {{smoothing: 0.1}}}}, teacher: $big, copy: 1, hidden: {{}}}}}}
    {LOOP}
  evaluate: {{data: data, model: $small, bootstrap: 100, ensemble: false}}
  report: {{model: $small, evaluation: $evaluate}}
"""


@pytest.fixture
def place(tmp_path):
    for split in ("train", "valid", "test"):
        (tmp_path / "data").mkdir(exist_ok=True)
        write_records(tmp_path / "data" / f"{split}.jsonl", RECORDS)
    train_tokenizer([one["text"] for one in RECORDS] * 4, kind="wordpiece", size=60).save(tmp_path / "cutter")
    return tmp_path


def test_a_step_teaches_a_later_one(place):
    (place / "recipe.yaml").write_text(RECIPE, "utf-8")
    run = run_recipe(place / "recipe.yaml", place / "out")
    model = Model.load(place / "out" / "small" / "model")
    assert model.task.name == "classify" and model.task.smoothing == 0.1 and len(model.network.encoder.blocks) == 1
    assert model.lineage["distil"]["ways"] == ["hidden"]
    card = (place / "out" / "report" / "README.md").read_text("utf-8")
    assert f"`{run.folders['big'].name}`" in card and model.lineage["distil"]["weights"] in card
    assert {one["step"] for one in run.manifests["small"]["inputs"] if "step" in one} == {"big"}


def test_raw_text_is_learnt_from_a_teacher_too(place):
    how = {
        "data": place / "data",
        "steps": 2,
        "measure_seconds": 0,
        "threads": 1,
        "dtype": "float32",
        "baselines": False,
    }
    stage("pretrain", place / "big", tokenizer=place / "cutter", layers=3, width=32, **how)
    task = {"distil": {"task": "masked", "teacher": str(place / "big"), "copy": [1, 3], "relations": {}, "hard": 0.0}}
    stage("pretrain", place / "small", task=task, **how)
    about = json.loads((place / "small" / "model" / "penjing.json").read_text("utf-8"))
    assert about["task"]["task"] == "masked" and about["lineage"]["distil"]["teacher"] == "big"
    small = stage("finetune", place / "use", model=place / "small", **how)
    assert small["result"]["task"] == "classify"
    assert "distil" in Model.load(place / "use" / "model").lineage


WRONG = [
    ("do: finetune, task: {distil: {task: clasify, teacher: data}}, tokenizer: cutter", {"P-OPTION-004"}),
    ("do: finetune, task: {distil: {teacher: data}}, tokenizer: cutter", {"P-OPTION-003"}),
    ("do: finetune, task: {distil: {task: classify}}, tokenizer: cutter", {"P-OPTION-003"}),
    ("do: finetune, task: {distil: {task: classify, teacher: nowhere}}, tokenizer: cutter", {"P-FILE-001"}),
    (
        "do: finetune, task: {distil: {task: classify, teacher: data, copy: 2}}, family: llama, layers: 3",
        {"P-TRAIN-007"},
    ),
    (
        "do: finetune, task: {distil: {task: classify, teacher: data, copy: 2, hidden: {}}}, compiled: true",
        {"P-OPTION-006"},
    ),
    (
        "do: finetune, task: {distil: {task: classify, teacher: data, hidden: {wight: 1}}}, tokenizer: cutter",
        {"P-OPTION-002"},
    ),
    ("do: finetune, task: {distil: {task: classify, teacher: data, soft: 0}}, tokenizer: cutter", {"P-TASK-150"}),
    ("do: finetune, task: {distil: {task: causal, teacher: data}}, tokenizer: cutter", {"P-OPTION-004"}),
    ("do: pretrain, task: {distil: {task: next_sentence, teacher: data}}, tokenizer: cutter", {"P-TASK-137"}),
    ("do: pretrain, task: {distil: {task: masked, teacher: data, copy: 1}}, width: 64", {"P-TRAIN-007"}),
]


def test_what_is_wrong_is_told_first(place):
    for step, codes in WRONG:
        recipe, _ = parse_recipe(
            f"name: toys\nstages:\n  one: {{{step}, data: data, steps: 1}}\n", place / "recipe.yaml"
        )
        _, problems = check_recipe(recipe, BUILT_IN)
        assert {one.code for problem in problems for one in (problem, *problem.others)} == codes, step
