"""The stage merge: what is folded says the same, what does not leaves no model, several adapters by weights."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from toys import RECORDS, TEXTS, toy_model

from penjing.base.errors import ModelError, PenjingError
from penjing.base.files import read_json, write_json
from penjing.base.records import write_records
from penjing.changes import change_named
from penjing.changes.change import Change, Changes
from penjing.changes.merging import combined, dropped, elected, folded_difference, largest
from penjing.changes.peft import CONFIG
from penjing.evaluate import folding
from penjing.recipe.folding import CERTIFICATE
from penjing.recipe.stages.finetune import finetune
from penjing.recipe.stages.merge import check, merge
from penjing.tasks.model import Model

HOW = dict(
    steps=12, measure_seconds=0, threads=1, dtype="float32", validate_times=0, baselines=False, learning_rate=0.02
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Records, a base, and three fine-tuned steps."""
    root = tmp_path_factory.mktemp("merge")
    torch.set_num_threads(1)
    for split in ("train", "test"):
        write_records(root / "data" / f"{split}.jsonl", RECORDS)
    toy_model("masked", "bert", seed=4).save(root / "base")
    for name, change in {
        "one": "lora",
        "two": {"lora": {"rank": 2}},
        "stack": ["ia3", {"lora": {"dora": True}}, "bitfit"],
    }.items():
        (root / name).mkdir()
        finetune(root / name, data=root / "data", model=root / "base", change=change, **HOW)
    return root


@pytest.mark.parametrize("name", ["one", "stack"])
def test_folded_says_the_same_and_proves_it(name, place, tmp_path):
    found = merge(tmp_path, model=place / name, data=place / "data")
    assert found["same_tokens"] and found["other_answers"] == 0 and found["distance"] < 1e-5
    assert found["before"]["accuracy"]["value"] == found["after"]["accuracy"]["value"]
    proof = json.loads((tmp_path / CERTIFICATE).read_text("utf-8"))
    assert proof["passed"] and proof["records"] == len(RECORDS)
    again, tuned = Model.load(tmp_path / "model"), Model.load(place / name / "model")
    assert not again.changes and not (tmp_path / "model" / "changes.safetensors").exists()
    np.testing.assert_allclose(again.probabilities(TEXTS[:9]), tuned.probabilities(TEXTS[:9]), atol=1e-5)


def test_a_fold_that_changes_answers_is_refused(place, tmp_path, monkeypatch):
    plain = Change.fuse

    def spoilt(self, network, number):
        plain(self, network, number)
        network.embedding.weight.data.mul_(1.5)

    monkeypatch.setattr(Change, "fuse", spoilt)
    with pytest.raises(ModelError) as caught:
        merge(tmp_path, model=place / "one", data=place / "data")
    assert caught.value.code == "P-CHANGE-020"
    assert not (tmp_path / "model").exists() and not json.loads((tmp_path / CERTIFICATE).read_text("utf-8"))["passed"]


def test_answers_alone_can_refuse(place, tmp_path, monkeypatch):
    monkeypatch.setattr(folding, "DISTANCE", -1.0)
    with pytest.raises(ModelError) as caught:
        merge(tmp_path, model=place / "one")
    assert caught.value.code == "P-CHANGE-020"


def test_several_adapters_by_weights(place, tmp_path):
    steps = [place / "one", place / "two"]
    for number, way in enumerate(("linear", "ties", "dare")):
        (tmp_path / str(number)).mkdir()
        found = merge(tmp_path / str(number), model=steps, way=way, data=place / "data", density=0.6 if number else 0.5)
        assert set(found["alone"]) == {"1", "2"} and Model.load(tmp_path / str(number) / "model").answer(TEXTS[:3])
    merge(tmp_path, model=steps, weights=[1.0, 1e-9])
    one = Model.load(place / "one" / "model").probabilities(TEXTS[:9])
    np.testing.assert_allclose(Model.load(tmp_path / "model").probabilities(TEXTS[:9]), one, atol=1e-5)


def test_adapters_of_one_base_by_whatever_path(place, tmp_path, monkeypatch):
    """A hub id, or a path from here, is the same base for both."""
    monkeypatch.chdir(place)
    for name in ("one", "two"):
        shutil.copytree(place / name / "adapter", tmp_path / name)
        about = read_json(tmp_path / name / CONFIG)
        write_json(tmp_path / name / CONFIG, about | {"base_model_name_or_path": "base"})
    (tmp_path / "out").mkdir()
    assert merge(tmp_path / "out", model=[tmp_path / "one", tmp_path / "two"])["same_tokens"]


def test_the_ways_by_their_definitions():
    x, y = torch.tensor([4.0, -1.0, 0.5, 0.0]), torch.tensor([-2.0, -3.0, 0.1, 8.0])
    assert largest(x, 0.5).tolist() == [4.0, -1.0, 0.0, 0.0]
    assert elected([x, y]).tolist() == pytest.approx([4.0, -2.0, 0.3, 8.0])
    found = combined([{"a": x}, {"a": y, "b": y}], [0.5, 2.0], "linear", 0.5, 0)
    assert found["a"].tolist() == pytest.approx([-2.0, -6.5, 0.45, 16.0]) and found["b"].tolist() == (2 * y).tolist()
    found = combined([{"a": x}, {"a": y}], [1.0, 1.0], "ties", 0.5, 0)
    assert found["a"].tolist() == [4.0, -2.0, 0.0, 8.0]
    many = dropped(torch.ones(10_000), 0.25, torch.Generator().manual_seed(0))
    assert set(many.tolist()) == {0.0, 4.0} and abs(float(many.mean()) - 1) < 0.1


def test_a_difference_leaves_the_base():
    model = toy_model("causal", "llama")
    state = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    changes = Changes(model.network)
    changes.adopt([change_named("lora", start="pissa"), change_named("freeze", top=1)], 0)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.add_(0.01 if parameter.requires_grad else 0.0)
    found = folded_difference(changes)
    assert any("mlp" in name for name in found) and not changes
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.network.state_dict().items())


def test_bad_input_is_one_message(place, tmp_path):
    toy_model("masked", "bert", seed=5).save(tmp_path / "base2")
    (tmp_path / "odd").mkdir()
    finetune(tmp_path / "odd", data=place / "data", model=tmp_path / "base2", change="lora", **HOW | {"steps": 1})
    (tmp_path / "smooth").mkdir()
    finetune(tmp_path / "smooth", data=place / "data", model=place / "base", change="lora",
             task={"classify": {"smoothing": 0.1}}, **HOW | {"steps": 1})  # fmt: skip
    for model, code in [
        (place / "base", "P-CHANGE-021"), ([place / "one", place / "stack"], "P-CHANGE-018"),
        ([place / "one", tmp_path / "odd"], "P-CHANGE-022"), ([place / "one", tmp_path / "smooth"], "P-CHANGE-023"),
    ]:  # fmt: skip
        with pytest.raises(PenjingError) as caught:
            merge(tmp_path / "out", model=model)
        assert caught.value.code == code
    usual = {"weights": None, "way": "linear", "density": 0.5, "seed": 0, "split": "test", "data": None}
    assert [e.code for e in check(usual | {"model": ["a", "b"], "weights": [1.0]}, tmp_path)] == ["P-CHANGE-024"]
    idle = check(usual | {"model": "a", "way": "ties", "weights": [1.0], "seed": 3, "split": "valid"}, tmp_path)
    assert [error.code for error in idle] == ["P-TRAIN-007"] * 4
    assert check(usual | {"model": ["a"], "density": 0.1}, tmp_path)[0].code == "P-TRAIN-007"
