"""The mean of the weights: what it is, when it is judged, and that a run goes on with it to the same bits."""

import json

import pytest
import torch
from runs import CutError, run
from torch import nn
from toys import same_weights

from penjing.train.average import Average
from penjing.train.resume import load_state


def stepped(reach, values):
    """A number that took these values, and its mean after each."""
    model, average, found = nn.Linear(1, 1, bias=False), Average(reach), []
    for step, value in enumerate(values, 1):
        nn.init.constant_(model.weight, value)
        average.add(model, step)
        found.append(float(average.values["weight"]))
    return model, average, found


def test_a_plain_mean_and_then_an_exponential_one():
    _, _, found = stepped(3.0, [1.0, 3.0, 5.0, 9.0, 0.0])
    assert found == pytest.approx([1.0, 2.0, 3.0, 5.0, 10 / 3])


def test_the_model_carries_the_mean_only_inside():
    model, average, found = stepped(2.0, [1.0, 3.0, 7.0])
    with pytest.raises(ZeroDivisionError), average.within(model):
        assert model.weight.item() == found[-1] == 4.5
        raise ZeroDivisionError
    assert model.weight.item() == 7.0
    average.put(model)
    assert model.weight.item() == 4.5
    nothing = Average()
    nothing.add(model, 1)
    with nothing.within(model):
        nothing.put(model)
    assert not nothing.values and model.weight.item() == 4.5


@pytest.mark.parametrize("valid", [True, False])
def test_a_run_ends_with_the_mean_of_its_steps(valid, tmp_path):
    last, _ = run(tmp_path / "plain", valid=False)
    kept, judged = [], []

    def score(model):
        judged.append({name: tensor.clone() for name, tensor in model.state_dict().items()})
        return float(len(judged))

    model, _ = run(tmp_path / "mean", average=1.0, valid=valid, score=score)
    for steps in range(1, 9):  # the same path, stopped after each step
        with pytest.raises(CutError):
            run(tmp_path / "steps", cut=steps + 1, valid=False, validate_times=0) if steps < 8 else stop()
        kept.append(load_state(tmp_path / "steps")[1] if steps < 8 else None)
    kept[-1] = {f"model/{name}": tensor for name, tensor in last.state_dict().items()}
    for name, tensor in model.state_dict().items():
        mean = torch.stack([one[f"model/{name}"] for one in kept]).double().mean(0)
        assert torch.allclose(tensor.double(), mean, atol=1e-6)
    if valid:
        assert len(judged) == 2 and all(torch.equal(judged[1][n], t) for n, t in model.state_dict().items())


def stop():
    raise CutError


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_killed_and_resumed_with_the_mean(optimizer, tmp_path):
    options = {"average": 0.5, "optimizer": optimizer, "validate_times": 4}
    whole, outcome = run(tmp_path / "whole", "causal", "llama", **options)
    with pytest.raises(CutError):
        run(tmp_path / "cut", "causal", "llama", cut=6, **options)
    assert any(name.startswith("average/") for name in load_state(tmp_path / "cut")[1])
    again, resumed = run(tmp_path / "cut", "causal", "llama", **options)
    assert same_weights(whole, again) and resumed["best_score"] == outcome["best_score"]
    plain, _ = run(tmp_path / "plain", "causal", "llama", **options | {"average": 0.0})
    assert not same_weights(whole, plain)
    text = (tmp_path / "cut" / "log.jsonl").read_text("utf-8")
    valid = [line["valid_loss"] for line in map(json.loads, text.splitlines()) if "valid_loss" in line]
    assert len(valid) == 4


def test_a_mean_of_one_step_would_be_none(tmp_path):
    plain, _ = run(tmp_path / "plain", valid=False)
    mean, _ = run(tmp_path / "mean", valid=False, average=1e-6)  # of two steps, as the fewest
    assert not same_weights(plain, mean)
