"""Training what changes leave to train: its gradients, optimizer memory and saved states, and nothing else's."""

import json
from dataclasses import replace

import pytest
import torch
from runs import CutError, halves, run
from test_resume import OPTIONS
from toys import same_weights, toy_model

from penjing.base.errors import OptionError, TrainError
from penjing.base.progress import listen
from penjing.changes import changes_of
from penjing.train.fit import fit
from penjing.train.optimizers import Optimizers
from penjing.train.prove import prove_resume
from penjing.train.resume import load_state

STACK = [{"lora": {"rank": 2, "dropout": 0.2, "start": "pissa"}}, {"freeze": {"top": 0, "where": "embedding_norm"}}]


@pytest.mark.parametrize(("name", "family"), [("classify", "bert"), ("causal", "lstm")])
def test_killed_and_resumed_to_the_same_bits(name, family, tmp_path):
    changes = STACK if family == "bert" else "lora"
    whole, _ = run(tmp_path / "whole", name, family, changes=changes, average=0.5)
    with pytest.raises(CutError):
        run(tmp_path / "cut", name, family, changes=changes, average=0.5, cut=5)
    again, _ = run(tmp_path / "cut", name, family, changes=changes, average=0.5)
    assert same_weights(whole, again)


def test_a_state_holds_what_is_trained_and_nothing_else(tmp_path):
    base = toy_model("classify", "bert", dropout=0.1)
    with pytest.raises(CutError):
        run(tmp_path, changes=STACK, cut=5, average=0.5)
    trained = {"network." + name for name in base.adapt(changes_of(STACK), 4).changes.trained()}
    trained |= {"head." + name for name, _ in base.head.named_parameters()}
    _, tensors = load_state(tmp_path)
    for group in ("model", "best", "average"):
        assert {name.partition("/")[2] for name in tensors if name.startswith(f"{group}/")} == trained
    moments = {name.partition("/")[2].partition("|")[0] for name in tensors if name.startswith("optimizer/")}
    assert moments == trained
    plan = json.loads((tmp_path / "plan.json").read_text("utf-8"))
    assert plan["trained"] == sum(p.numel() for p in base.parameters() if p.requires_grad) < plan["parameters"] / 2
    assert all(p.grad is None for p in base.parameters())


def test_a_state_of_other_changes_is_refused(tmp_path):
    with pytest.raises(CutError):
        run(tmp_path, changes="lora", cut=3)
    with pytest.raises(TrainError, match="P-TRAIN-004"):
        run(tmp_path, changes={"lora": {"alpha": 3.0}})


GRADUAL = {"freeze": {"top": 2, "where": "embedding", "gradual": 0.5}}


def gradual():
    return toy_model("classify", "bert", dropout=0.1, layers=3).adapt(changes_of(GRADUAL), 4)


def test_blocks_join_one_after_another(tmp_path):
    """The top one first, at its own step; what has not joined does not move, and costs no gradient."""
    model = gradual()
    states = [{name: p.detach().clone() for name, p in model.named_parameters()}]

    def watch(event):
        if event.kind == "step":
            states.append({name: p.detach().clone() for name, p in model.named_parameters()})
            assert all(p.requires_grad == (name in trained) for name, p in model.named_parameters())

    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    training, _ = halves(model)
    with listen(watch):
        fit(model, training, None, OPTIONS, tmp_path, what="toy")
    starts = {
        name: next(number for number in range(8) if not torch.equal(states[number][name], states[number + 1][name]))
        for name in trained if "attention.query.weight" in name or "embedding." in name
    }  # fmt: skip
    query = "network.encoder.blocks.{}.attention.query.weight"
    assert starts == {query.format(2): 0, query.format(1): 2, "network.embedding.weight": 4}


def test_a_gradual_run_that_was_cut_ends_in_the_same_bits(tmp_path):
    def taught(folder, cut=None):
        def look(event):
            if event.kind == "step" and event.done == cut:
                raise CutError

        model = gradual()
        folder.mkdir(exist_ok=True)
        with listen(look):
            fit(model, *halves(model), replace(OPTIONS, average=0.5), folder, what="toy")
        return model

    whole = taught(tmp_path / "whole")
    for cut in (2, 6):
        with pytest.raises(CutError):
            taught(tmp_path / "cut", cut)
    assert same_weights(whole, taught(tmp_path / "cut"))


@pytest.mark.parametrize("top", [0, 1])
def test_nothing_that_could_join_later_is_an_error(top):
    with pytest.raises(OptionError, match="P-CHANGE-095"):
        toy_model("causal", "llama", layers=2).adapt(changes_of({"freeze": {"gradual": 0.5, "top": top}}))


def test_the_certificate_of_an_adapted_run(tmp_path):
    model = toy_model("classify", "bert", dropout=0.1).adapt(changes_of(STACK), 4)
    training, validation = halves(model)
    assert prove_resume(model, training, validation, OPTIONS, tmp_path, what="toy")["identical"]


def test_rates_by_change():
    model = toy_model("masked", "bert").adapt(
        changes_of([{"lora": {"ratio": 16.0}}, {"freeze": {"falling": 0.5, "where": "embedding"}}])
    )
    made = Optimizers(model, name="adamw", learning_rate=1e-2, weight_decay=0.0)
    made.set_rate(0.5)
    rates = {made.names[id(p)]: group["lr"] for one in made.all for group in one.param_groups for p in group["params"]}
    ends = {
        end: {rate for name, rate in rates.items() if name.endswith(end)} for end in (".up", ".down", "query.weight")
    }
    assert ends == {".up": {0.08}, ".down": {0.005}, "query.weight": {0.005}}
    assert rates["network.embedding.weight"] == 0.0025


def test_frozen_rows_cost_no_gradient():
    from penjing.model.entropy import cross_entropy

    states, rows, labels = torch.randn(6, 4, requires_grad=True), torch.randn(9, 4), torch.arange(6)
    bias = torch.zeros(9, requires_grad=True)
    cross_entropy(states, rows, bias, labels).backward()
    plain, other = states.detach().requires_grad_(), bias.detach().clone().requires_grad_()
    torch.nn.functional.cross_entropy(plain @ rows.T + other, labels, reduction="sum").backward()
    torch.testing.assert_close(states.grad, plain.grad)
    torch.testing.assert_close(bias.grad, other.grad)
    cross_entropy(states.detach(), rows.requires_grad_(), None, labels).backward()

    assert rows.grad is not None
