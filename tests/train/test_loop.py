"""One step: the gradient, what is refused, the rates, the optimizers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as some
from toys import same_weights, teach, toy_model, toy_pieces

from penjing.base.errors import TrainError
from penjing.changes import changes_of
from penjing.tasks.batches import Position
from penjing.train import optimizers as muons
from penjing.train.loop import Copies, LoopOptions, backward, train
from penjing.train.optimizers import Optimizers, newton_schulz, rate_at


def batch_of(model, rows):
    chance = np.random.Generator(np.random.PCG64(3))
    return model.task.collate(toy_pieces(model), np.asarray(rows), model.tokenizer, chance)


def gradients(model, batches):
    model.zero_grad()
    total, labels = backward(model.train(), batches, Copies(torch.float32))
    return total, labels, {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize(("name", "family"), [("classify", "bert"), ("several", "modernbert"), ("causal", "llama")])
def test_accumulation_gives_the_gradient_of_one_big_batch(name, family):
    model = toy_model(name, family)
    whole = gradients(model, [batch_of(model, range(12))])
    parts = gradients(model, [batch_of(model, [0, 1]), batch_of(model, range(2, 9)), batch_of(model, range(9, 12))])
    assert whole[1] == parts[1] and whole[0] == pytest.approx(parts[0], rel=1e-5)
    for key, gradient in whole[2].items():
        assert torch.allclose(gradient, parts[2][key], atol=1e-5, rtol=1e-3), key


def test_accumulation_of_masked_batches():
    model = toy_model("masked")
    batches = [batch_of(model, rows) for rows in ([0, 1, 2], [3], range(4, 9))]
    each = [gradients(model, [batch]) for batch in batches]
    together = gradients(model, batches)
    assert together[1] == sum(labels for _, labels, _ in each)
    for key, gradient in together[2].items():
        mean = sum(found[key] * labels for _, labels, found in each) / together[1]
        assert torch.allclose(gradient, mean, atol=1e-5), key


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_a_weight_moves(poison, monkeypatch):
    model = toy_model("classify")
    optimizers = Optimizers(model, name="adamw", learning_rate=1e-2, weight_decay=0.1)
    plain, calls = type(model.task).loss, []

    def loss(task, network, batch):
        calls.append(1)
        return plain(task, network, batch) * (poison if len(calls) == 3 else 1.0)

    monkeypatch.setattr(type(model.task), "loss", loss)
    stream = ((Position(0, i + 1), batch_of(model, [5 * i, 5 * i + 1])) for i in range(9))
    steps = train(model, stream, optimizers, LoopOptions(9))
    next(steps), next(steps)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(TrainError, match="P-TRAIN-001") as caught:
        next(steps)
    assert "10, 11" in str(caught.value) and "step 3" in str(caught.value)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_gradient_that_is_not_finite_stops_too(monkeypatch):
    model = toy_model("classify")
    plain = type(model.task).loss

    def loss(task, network, batch):  # a finite value with an infinite slope
        return plain(task, network, batch) + (network.head.output.weight.sum() * 0).clamp(min=0).sqrt()

    monkeypatch.setattr(type(model.task), "loss", loss)
    optimizers = Optimizers(model, name="adamw", learning_rate=1e-2, weight_decay=0.1)
    with pytest.raises(TrainError, match="P-TRAIN-001") as caught:
        next(train(model, [(Position(), batch_of(model, [0, 1]))], optimizers, LoopOptions(1)))
    assert "gradient" in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(some.integers(1, 500), some.floats(0, 1), some.sampled_from(["cosine", "linear", "constant"]))
def test_rates_rise_then_fall(steps, warmup, schedule):
    rates = [rate_at(step, steps, warmup, schedule) for step in range(steps)]
    rise = max(1, round(warmup * steps))
    assert all(0 < rate <= 1 for rate in rates)
    assert rates[:rise] == sorted(rates[:rise]) and rates[rise - 1] == 1.0
    assert rates[rise:] == sorted(rates[rise:], reverse=True)
    if schedule == "constant":
        assert set(rates[rise:]) <= {1.0}


def test_schedules_at_their_middle():
    assert rate_at(5, 100, 0.1, "linear") == 0.6
    assert rate_at(55, 100, 0.1, "cosine") == pytest.approx(0.5)
    assert rate_at(55, 100, 0.1, "linear") == pytest.approx(0.5)
    assert rate_at(99, 100, 0.1, "cosine", floor=0.1) == pytest.approx(0.1, abs=1e-3)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("shape", [(32, 32), (16, 64), (96, 32), (3, 24, 8), (2, 2, 8, 24)])
def test_newton_schulz_makes_singular_values_alike(shape, dtype):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(newton_schulz(torch.randn(shape) * 7, dtype))
    assert values.min() > 0.5 and values.max() < 1.3


def test_newton_schulz_of_a_known_spectrum():
    """What is above 0.003 of the norm becomes nearly 1, below it grows alike, and nothing is no number."""
    values = torch.tensor([1.0, 0.3, 0.05, 0.01, 0.0032, 1e-4, 0.0])
    made = newton_schulz(torch.diag(values) / values.norm(), torch.float32).diagonal()
    assert made[:5].min() > 0.78 and made[:5].max() < 1.22
    assert 0 < made[5] < 0.1 and made[6] == 0
    alone = newton_schulz(torch.full((8, 40), 1e-3), torch.bfloat16)  # all its norm in one direction, rounded
    assert 0.7 < float(torch.linalg.matrix_norm(alone.float(), 2)) < 1.25
    assert not newton_schulz(torch.zeros(4, 4)).any()


def test_muon_moves_matrices_together_as_alone(monkeypatch):
    """Whatever is orthogonalised in one product: shapes mixed, one without a gradient, few at a time."""

    def moved(together: int) -> list[torch.Tensor]:
        monkeypatch.setattr(muons, "TOGETHER", together)
        torch.manual_seed(0)
        held = [torch.nn.Parameter(torch.randn(shape)) for shape in ((8, 8), (4, 12), (8, 8), (12, 4), (8, 8), (8, 8))]
        muon = muons.Muon(held, lr=0.1, weight_decay=0.1, dtype=torch.float32)
        for _ in range(3):
            for number, parameter in enumerate(held):
                parameter.grad = torch.randn_like(parameter) if number != 2 else None
            muon.step()
        assert len(muon.state) == 5 and not muon.state.get(held[2])
        return [parameter.detach() for parameter in held]

    for alone, two, all_of_them in zip(moved(1), moved(130), moved(10_000), strict=True):
        assert torch.allclose(alone, two, atol=1e-6) and torch.allclose(alone, all_of_them, atol=1e-6)


def test_muon_moves_the_matrices_of_the_blocks_only():
    model = toy_model("masked")
    optimizers = Optimizers(model, name="muon", learning_rate=1e-3, weight_decay=0.0, muon_rate=1e-2)
    adam, muon = optimizers.all
    names = {optimizers.names[id(p)] for p in muon.param_groups[0]["params"]}
    assert names and all(".blocks." in name for name in names) and not any("embedding" in name for name in names)
    covered = [optimizers.names[id(p)] for group in (*adam.param_groups, *muon.param_groups) for p in group["params"]]
    assert sorted(covered) == sorted(name for name, _ in model.named_parameters())
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    torch.manual_seed(0)
    for parameter in model.parameters():
        parameter.grad = torch.randn_like(parameter)
    optimizers.set_rate(0.5)
    optimizers.step()
    for name, parameter in model.named_parameters():
        if name in names:
            move = (parameter.detach() - before[name]) / (0.5 * 1e-2 * 0.2 * math.sqrt(max(parameter.shape)))
            values = torch.linalg.svdvals(move)
            assert values.max() < 1.4 and values.median() > 0.5, name


@pytest.mark.parametrize(("family", "share"), [("t5", 8**-0.5), ("marian", 1.0)])
def test_muon_moves_queries_by_the_scale_that_they_carry(family, share):
    """T5 has no scale in attention: its queries start and move smaller by as much."""
    model = toy_model("seq2seq", family, width=16)
    optimizers = Optimizers(model, name="muon", learning_rate=1e-3, weight_decay=0.0, muon_rate=1e-2)
    rates = {optimizers.names[id(p)]: group["lr"] for group in optimizers.all[1].param_groups for p in group["params"]}
    queries = [rate for name, rate in rates.items() if name.endswith("query.weight")]
    assert len(queries) >= 3 and all(rate == pytest.approx(1e-2 * share) for rate in queries)
    assert all(rate == 1e-2 for name, rate in rates.items() if not name.endswith("query.weight"))
    lora = toy_model("seq2seq", family, width=16).adapt(changes_of("lora"), 0)
    optimizers = Optimizers(lora, name="muon", learning_rate=1e-3, weight_decay=0.1, muon_rate=1e-2)
    groups = {optimizers.names[id(p)]: group for group in optimizers.all[-1].param_groups for p in group["params"]}
    queries = {name: group["lr"] for name, group in groups.items() if ".query." in name}
    assert len(queries) >= 6
    assert all(rate == pytest.approx(1e-2 * (share if name.endswith(".up") else 1)) for name, rate in queries.items())
    assert all(group["lr"] * group["weight_decay"] == pytest.approx(1e-3) for group in groups.values())


def test_muon_decays_what_it_moves():
    moved = []
    for decay in (0.0, 0.5):
        model = toy_model("masked")
        muon = Optimizers(model, name="muon", learning_rate=1e-3, weight_decay=decay, muon_rate=1e-2).all[1]
        matrices = muon.param_groups[0]["params"]
        before = [matrix.detach().clone() for matrix in matrices]
        for matrix in matrices:
            matrix.grad = torch.ones_like(matrix)
        muon.step()
        moved.append([matrix.detach() for matrix in matrices])
    for start, plain, decayed in zip(before, *moved, strict=True):
        assert torch.allclose(plain - decayed, start * 1e-2 * 0.5, atol=1e-6)


def test_biases_and_norms_do_not_decay():
    optimizers = Optimizers(toy_model("classify"), name="adamw", learning_rate=1e-3, weight_decay=0.3)
    for group in optimizers.all[0].param_groups:
        assert all((p.dim() > 1) == (group["weight_decay"] == 0.3) for p in group["params"])


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_optimizer_state_there_and_back(name):
    def step(model, optimizers, rows):
        backward(model.train(), [batch_of(model, rows)], Copies(torch.float32))
        optimizers.step()
        model.zero_grad()

    one, two = toy_model("classify"), toy_model("classify", seed=9)
    first = Optimizers(one, name=name, learning_rate=1e-2, weight_decay=0.1)
    for rows in ([0, 1], [2, 3]):
        step(one, first, rows)
    two.load_state_dict(one.state_dict())
    second = Optimizers(two, name=name, learning_rate=1e-2, weight_decay=0.1)
    second.load(first.state())
    assert first.state().keys() == second.state().keys()
    for model, optimizers in ((one, first), (two, second)):
        step(model, optimizers, [4, 5, 6])
    assert same_weights(one, two)


def test_clip_bounds_the_gradient():
    bounded = []
    for clip in (0.0, 1e-3):
        model = toy_model("classify")
        optimizers = Optimizers(model, name="adamw", learning_rate=1e-2, weight_decay=0.0)
        norms = []
        optimizers.step = lambda model=model, norms=norms: norms.append(
            math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None))
        )
        found = next(train(model, [(Position(), batch_of(model, [0, 1]))], optimizers, LoopOptions(1, clip=clip)))
        bounded.append((found.gradient_norm, norms[0]))
    assert bounded[0][0] == pytest.approx(bounded[0][1], rel=1e-4)
    assert bounded[1][0] == pytest.approx(bounded[0][0]) and bounded[1][1] <= 1.01e-3


@pytest.mark.parametrize("change", [None, "lora"])
def test_half_precision_copies_trained_weights_for_each_step_and_keeps_the_others(change):
    model = toy_model("classify").adapt(changes_of(change), 0).train()
    batches, copies = [batch_of(model, range(4)), batch_of(model, range(4, 12))], Copies(torch.bfloat16)
    total, _ = backward(model, batches, copies)
    grads = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    alone = [backward(model, [batch], Copies(torch.bfloat16))[0] for batch in batches]  # adds its gradients
    assert total == sum(alone) and grads and all(grad.dtype == torch.float32 for grad in grads.values())
    frozen = [p for p in model.parameters() if not p.requires_grad]
    assert len(copies.kept) == len(frozen) and bool(frozen) == bool(change)
    first, second = copies.of(model), copies.of(model)
    for name, parameter in model.named_parameters():
        assert (first[name] is second[name]) != parameter.requires_grad, name
    for parameter in frozen[1:2]:
        parameter.requires_grad_(True)  # its turn has come
        assert copies.copy(parameter).requires_grad and len(copies.kept) == len(frozen) - 1
    for parameter in frozen[:1]:
        with torch.no_grad():
            parameter.add_(1.0)
        again = copies.copy(parameter)
        assert torch.equal(again, parameter.bfloat16()) and again is copies.copy(parameter)


def test_bfloat16_arithmetic_keeps_float32_weights():
    model = toy_model("classify")
    found = teach(model, 30, dtype=torch.bfloat16)
    assert np.mean(found[-5:]) < np.mean(found[:5]) and {p.dtype for p in model.parameters()} == {torch.float32}


def test_the_same_seed_gives_the_same_bits_and_another_does_not():
    def taught(seed):
        model = toy_model("classify", dropout=0.2)
        teach(model, 4, seed=seed)
        return model

    assert same_weights(taught(0), taught(0)) and not same_weights(taught(0), taught(1))


def test_the_own_weights_of_a_model_in_half_precision_are_never_marked():
    """Nothing is copied there: frozen once and trained later, they get their gradients."""
    model = toy_model("classify").bfloat16()
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    batch, copies = batch_of(model, range(4)), Copies(torch.bfloat16)
    backward(model.train(), [batch], copies)
    assert not any(hasattr(weight, "stays") for weight in model.parameters())
    model.requires_grad_(True)
    backward(model, [batch], copies)
    assert all(weight.grad is not None for name, weight in model.named_parameters() if ".blocks." in name)
