"""A run in a folder: how long, the plan and the outcome, validation, early stop."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from runs import OPTIONS, CutError, halves, run, steps_in
from toys import same_weights, toy_model

from penjing.base.errors import TrainError
from penjing.tasks.pieces import InMemory, Pieces
from penjing.train.fit import Run, fit
from penjing.train.resume import INDEX


@pytest.mark.parametrize("given", [{"steps": None}, {"epochs": 1.0}, {"minutes": 1.0, "epochs": 2.0}])
def test_exactly_one_of_steps_epochs_minutes(given, tmp_path):
    with pytest.raises(TrainError, match="P-TRAIN-005"):
        run(tmp_path, **given)


def test_steps_epochs_and_minutes_become_steps(tmp_path):
    _, by_steps = run(tmp_path / "a", steps=3)
    _, by_epochs = run(tmp_path / "b", steps=None, epochs=1.5, accumulate=2)
    plan = json.loads((tmp_path / "b" / "plan.json").read_text(encoding="utf-8"))
    assert by_steps["steps"] == 3
    assert by_epochs["steps"] == plan["steps"] == round(1.5 * plan["steps_per_epoch"])
    assert plan["epochs"] == pytest.approx(1.5, abs=0.5)
    _, by_minutes = run(tmp_path / "c", steps=None, minutes=0.001, measure_seconds=0.01)
    plan = json.loads((tmp_path / "c" / "plan.json").read_text(encoding="utf-8"))
    assert by_minutes["steps"] == plan["steps"] >= 1 and plan["seconds"] == pytest.approx(0.06, rel=0.9)
    assert plan["choice"]["tokens_per_second"] > 0 and plan["choice"]["tried"]


def test_nothing_to_train_on(tmp_path):
    model = toy_model("classify")
    nothing = Pieces(InMemory([]), model.tokenizer, 64)
    with pytest.raises(TrainError, match="P-TRAIN-003"):
        fit(model, nothing, None, OPTIONS, tmp_path, what="toy")


def test_plan_outcome_and_log(tmp_path):
    model, outcome = run(tmp_path)
    plan = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert plan["steps"] == 8 and plan["parameters"] == sum(p.numel() for p in model.parameters())
    assert plan["choice"]["dtype"] == "float32" and plan["choice"]["threads"] == 1
    assert 0 <= plan["padding"] < 0.2 and plan["memory_bytes"] > 0
    assert json.loads((tmp_path / "outcome.json").read_text(encoding="utf-8")) == outcome
    assert outcome["steps"] == 8 and outcome["planned"]["steps"] == 8 and outcome["tokens"] > 0
    steps, validations = steps_in(tmp_path)
    assert steps == list(range(1, 9)) and validations == [4, 8]


def test_the_planned_padding_is_the_padding_of_an_epoch(tmp_path):
    run(tmp_path, steps=None, epochs=1.0, valid=False)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    cells = [(line["tokens"] - before) / (1 - line["padding"])
             for line, before in zip(lines, [0, *(one["tokens"] for one in lines)], strict=False)]  # fmt: skip
    plan = json.loads((tmp_path / "plan.json").read_text(encoding="utf-8"))
    assert 1 - lines[-1]["tokens"] / sum(cells) == pytest.approx(plan["padding"], abs=1e-6)


def scripted(values, kept):
    """A score that says `values` one after another and keeps the weights it saw."""
    left = iter(values)

    def score(model):
        kept.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return next(left)

    return score


def test_early_stopping_restores_the_best_weights(tmp_path):
    kept = []
    model, outcome = run(tmp_path, score=scripted([0.1, 0.9, 0.2, 0.9, 1.0], kept), validate_times=8, patience=2)
    assert outcome["steps"] == 4 and outcome["best_step"] == 2 and outcome["best_score"] == 0.9
    assert all(torch.equal(kept[1][name], tensor) for name, tensor in model.state_dict().items())
    assert steps_in(tmp_path)[1] == [1, 2, 3, 4]


def test_without_patience_the_run_goes_on_and_the_best_is_restored(tmp_path):
    kept = []
    model, outcome = run(tmp_path, score=scripted([0.1, 0.9, 0.2, 0.3], kept), validate_times=4)
    assert outcome["steps"] == 8 and outcome["best_step"] == 4
    assert all(torch.equal(kept[1][name], tensor) for name, tensor in model.state_dict().items())


def test_a_run_that_had_stopped_early_stays_stopped(tmp_path):
    def at_the_end(event):
        if event.kind == "end":
            raise CutError

    def score():
        return scripted([0.9, 0.1, 0.2, 0.95, 1.0], [])

    whole, _ = run(tmp_path / "whole", score=score(), validate_times=8, patience=2)
    with pytest.raises(CutError):
        run(tmp_path / "cut", score=score(), validate_times=8, patience=2, watch=at_the_end)
    again, outcome = run(tmp_path / "cut", score=score(), validate_times=8, patience=2)
    assert outcome["steps"] == 3 and same_weights(whole, again)


def test_a_finished_run_is_not_trained_again(tmp_path):
    one, _ = run(tmp_path)
    told = []
    two, outcome = run(tmp_path, watch=lambda event: told.append(event.kind))
    assert same_weights(one, two) and outcome["steps"] == 8 and "step" not in told


def test_validation_is_without_token_dropout(tmp_path):
    from penjing.tasks import task_named

    losses = []
    for share in (0.0, 0.9):
        model = toy_model(task=task_named("classify", labels=["bad", "good"], token_dropout=share))
        training, validation = halves(model)
        folder = tmp_path / str(share)
        folder.mkdir()
        fit(model, training, validation, replace(OPTIONS, steps=1, learning_rate=1e-12), folder, what="toy")
        line = json.loads((folder / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
        losses.append(line["valid_loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_other_options_do_not_go_on_with_an_unfinished_run(tmp_path):
    with pytest.raises(CutError):
        run(tmp_path, cut=4)
    with pytest.raises(TrainError, match="P-TRAIN-004") as caught:
        run(tmp_path, learning_rate=1e-4)
    assert "learning_rate" in str(caught.value)
    run(tmp_path, save_seconds=9.0)  # this one changes no weight


def test_a_broken_state_is_told(tmp_path):
    with pytest.raises(CutError):
        run(tmp_path, cut=4)
    state = next(tmp_path.glob("state-*.safetensors"))
    index = (tmp_path / INDEX).read_text(encoding="utf-8")
    (tmp_path / INDEX).write_text("{}", "utf-8")
    with pytest.raises(TrainError, match="P-TRAIN-004"):
        run(tmp_path)
    (tmp_path / INDEX).write_text(index, "utf-8")
    state.write_bytes(state.read_bytes()[:99])
    with pytest.raises(TrainError, match="P-TRAIN-004"):
        run(tmp_path)


def test_weights_of_another_shape_are_told(tmp_path):
    with pytest.raises(CutError):
        run(tmp_path, cut=4)
    model = toy_model("classify", width=16, dropout=0.1)
    training, validation = halves(model)
    with pytest.raises(TrainError, match="P-TRAIN-004"):
        fit(model, training, validation, OPTIONS, tmp_path, what="toy")


def test_widths_in_half_precision_end_where_the_network_does(tmp_path):
    """An example of several texts is longer than any of its rows."""
    model = toy_model("classify")
    groups = SimpleNamespace(lengths=np.asarray([model.window * 3, 2]))
    assert Run(model, groups, None, OPTIONS, tmp_path, "toy").longest == model.window
    short = SimpleNamespace(lengths=np.asarray([5, 2]))
    assert Run(model, short, None, OPTIONS, tmp_path, "toy").longest == 5
