"""An unfinished run goes on only as what it was begun as."""

import json

import pytest
import torch
from toys import RECORDS, toy_model, toy_pieces

from penjing.base.errors import TrainError
from penjing.train import arena
from penjing.train.fit import FitOptions, plan_of

HOW = FitOptions(steps=4, measure_seconds=0)


def planned(folder, model, **more):
    return plan_of(model, toy_pieces(model, **more), None, HOW, folder, what="toy")


def test_an_unfinished_run_keeps_its_plan_its_start_and_its_data(tmp_path):
    first = planned(tmp_path, toy_model())
    (tmp_path / "resume.json").write_text(json.dumps({}))
    assert planned(tmp_path, toy_model())["made_from"] == first["made_from"]
    for model, more in (
        (toy_model(seed=1), {}),
        (toy_model(dropout=0.3), {}),
        (toy_model(), {"records": RECORDS[::-1]}),
    ):
        with pytest.raises(TrainError, match="P-TRAIN-004"):
            planned(tmp_path, model, **more)
    (tmp_path / "plan.json").unlink()
    with pytest.raises(TrainError, match="P-TRAIN-004"):
        planned(tmp_path, toy_model())


def test_batches_put_together_otherwise_are_another_run(tmp_path, monkeypatch):
    planned(tmp_path, toy_model())
    (tmp_path / "resume.json").write_text(json.dumps({}))
    monkeypatch.setattr("penjing.train.fit.POOL", 7)
    with pytest.raises(TrainError, match="batches_sorted_together"):
        planned(tmp_path, toy_model())


def test_tensors_lie_where_torch_puts_them_after_a_run_that_was_refused(tmp_path):
    (tmp_path / "resume.json").write_text(json.dumps({}))
    with pytest.raises(TrainError, match="P-TRAIN-004"):
        planned(tmp_path, toy_model())
    before, _large = arena.used(), torch.empty(1 << 20)
    assert arena.used() == before
