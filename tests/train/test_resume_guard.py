"""An unfinished run goes on only as what it was begun as."""

import json

import pytest
from toys import RECORDS, toy_model, toy_pieces

from penjing.base.errors import TrainError
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
