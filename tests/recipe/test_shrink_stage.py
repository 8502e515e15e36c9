"""The stage shrink: smaller on disk, the same when read again, healed by finetune, folded by merge."""

import json
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tasks"))

from toys import RECORDS, toy_model

from penjing.base.errors import PenjingError
from penjing.base.records import write_records
from penjing.changes import changes_of
from penjing.model.checkpoint import read_checkpoint
from penjing.recipe import shrinking
from penjing.recipe.models import model_folder
from penjing.recipe.shrinking import CERTIFICATE
from penjing.recipe.stages.ensemble import ensemble
from penjing.recipe.stages.finetune import finetune
from penjing.recipe.stages.merge import merge
from penjing.recipe.stages.shrink import check, shrink
from penjing.tasks.model import Model

STACK = [{"layers": {"number": 1}}, "heads", {"neurons": {"across": "network"}}, {"lowrank": {"keep": 0.6}}]
HOW = dict(steps=4, measure_seconds=0, threads=1, dtype="float32", validate_times=0, baselines=False)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Records, and a classifier of two blocks."""
    root = tmp_path_factory.mktemp("shrink")
    torch.set_num_threads(1)
    for split in ("train", "test"):
        write_records(root / "data" / f"{split}.jsonl", RECORDS[:12])
    toy_model("classify", "bert", layers=2).save(root / "whole")
    toy_model("classify", "bert", seed=1).save(root / "other")
    return root


def test_shrunk_measured_healed_and_folded(place, tmp_path):
    for name in ("small", "healed", "folded"):
        (tmp_path / name).mkdir()
    found = shrink(tmp_path / "small", model=place / "whole", change=STACK, data=place / "data")
    assert found["changes"] == ["layers", "heads", "neurons", "lowrank"] and 0 < found["share"] < 0.8
    assert found["parameters"] < found["parameters_before"] and found["before"].keys() == found["after"].keys()
    proof = json.loads((tmp_path / "small" / CERTIFICATE).read_text("utf-8"))
    assert proof["read_again"]["passed"] and proof["recorded"][0]["layers"]["gone"]
    assert model_folder(tmp_path / "small") == tmp_path / "small" / "model"
    finetune(tmp_path / "healed", data=place / "data", model=tmp_path / "small", **HOW)
    before, after = (Model.load(tmp_path / name / "model") for name in ("small", "healed"))
    assert after.changes.records() == before.changes.records()
    moved = {name for name, tensor in after.state_dict().items() if not torch.equal(tensor, before.state_dict()[name])}
    assert moved >= {name for name, _ in before.named_parameters() if "attention.key.bias" not in name}
    with pytest.raises(PenjingError) as caught:
        after.changes.drop()
    assert caught.value.code == "P-CHANGE-061"
    with pytest.raises(PenjingError) as caught:
        merge(tmp_path / "folded", model=tmp_path / "healed", data=place / "data")
    assert caught.value.code == "P-MODEL-021"  # BERT's config has no width of heads


def test_a_pruned_vocabulary_is_counted_and_read_by_others(place, tmp_path):
    """The step says how many tokens there were and are, and what share of the texts is among them."""
    write_records(place / "few" / "train.jsonl", RECORDS[:3])
    write_records(place / "few" / "test.jsonl", RECORDS[:3])
    found = shrink(tmp_path, model=place / "whole", change=["vocabulary", "neurons"], data=place / "few")
    small = Model.load(tmp_path / "model")
    assert found["vocabulary"] == {"tokens_before": 107, "tokens": small.tokenizer.size, "covered": 1.0}
    assert found["before"] == found["after"] or found["share"] < 1
    assert small.network.config.vocab_size == small.tokenizer.size < 107


def test_neurons_that_went_make_a_plain_model(place, tmp_path):
    """Other programs open the folded one: its config says how many are left."""
    for name in ("small", "plain"):
        (tmp_path / name).mkdir()
    shrink(tmp_path / "small", model=place / "whole", change=[{"layers": {"gone": ["encoder.blocks.0"]}}, "neurons"])
    small = Model.load(tmp_path / "small" / "model")
    assert small.network.config.encoder_layers == 2
    merge(tmp_path / "plain", model=tmp_path / "small", data=place / "data")
    plain = read_checkpoint(tmp_path / "plain" / "model")
    assert plain.config.encoder_layers == 1 and plain.config.mlp_width == small.network.config.mlp_width // 2


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"change": None}, "P-TRAIN-053"),
        ({"change": ["heads", "lora"]}, "P-TRAIN-054"),
        ({"change": "hats"}, "P-OPTION-004"),
        ({"change": "layers"}, "P-CHANGE-065"),
        ({"change": {"heads": {"by": "taylor"}}}, "P-CHANGE-071"),
        ({"change": {"layers": {"gone": ["encoder.blocks.0", "encoder.blocks.1"]}}}, "P-CHANGE-073"),
        ({"change": {"layers": {"number": 2}}}, "P-CHANGE-010"),
        ({"change": {"layers": {"where": "decoder"}}}, "P-CHANGE-002"),
        ({"change": {"heads": {"kept": {"encoder.blocks.0.attention": [1, 0]}}}}, "P-CHANGE-070"),
        ({"change": {"heads": {"share": 0.1}}}, "P-CHANGE-069"),
        ({"change": {"magnitude": {"pattern": "2:4", "share": 0.3}}}, "P-CHANGE-074"),
        ({"change": "neurons", "data": "untrained"}, "P-TRAIN-111"),
        ({"change": "vocabulary"}, "P-CHANGE-120"),
    ],
)
def test_bad_input_is_one_message(options, code, place, tmp_path):
    write_records(place / "untrained" / "test.jsonl", RECORDS[:4])
    given = {"model": place / "whole"} | options
    with pytest.raises(PenjingError) as caught:
        shrink(tmp_path, **given | ({"data": place / options["data"]} if "data" in options else {}))
    assert caught.value.code == code and not (tmp_path / "model").exists()


def test_options_that_nothing_reads_are_told_at_once():
    usual = {"change": "heads", "data": None, "split": "valid", "calibration": 3}
    assert [error.code for error in check(usual, Path())] == ["P-TRAIN-007", "P-TRAIN-007"]
    assert [error.code for error in check(usual | {"data": Path(), "change": "lora"}, Path())] == ["P-TRAIN-054"]


def test_what_reads_otherwise_is_not_left(place, tmp_path, monkeypatch):
    monkeypatch.setattr(shrinking, "compared", lambda *given: {"passed": False, "distance": 1.0})
    with pytest.raises(PenjingError) as caught:
        shrink(tmp_path, model=place / "whole", change="neurons")
    assert caught.value.code == "P-TRAIN-055" and not (tmp_path / "model").exists()


def test_what_is_no_network_is_told(place, tmp_path):
    (tmp_path / "several").mkdir()
    ensemble(tmp_path / "several", members=[place / "whole", place / "other"])
    with pytest.raises(PenjingError) as caught:
        shrink(tmp_path, model=tmp_path / "several", change="heads")
    assert caught.value.code == "P-TRAIN-056"


def test_an_adapter_is_folded_before(place, tmp_path):
    Model.load(place / "whole").adapt(changes_of("lora")).save(tmp_path / "adapted")
    (tmp_path / "out").mkdir()
    with pytest.raises(PenjingError) as caught:
        shrink(tmp_path / "out", model=tmp_path / "adapted", change="heads")
    assert caught.value.code == "P-CHANGE-068"
