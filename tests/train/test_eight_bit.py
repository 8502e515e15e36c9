"""Moments in bytes: near the true ones, a quarter of their memory, the same losses, the same bits on resume."""

import pytest
import torch
from runs import CutError, run
from toys import same_weights, teach, toy_model

from penjing.base.errors import TrainError
from penjing.train.eight_bit import BLOCK, EightBitAdamW, code, decoded, encoded
from penjing.train.optimizers import Optimizers


@pytest.mark.parametrize("signed", [True, False])
def test_bytes_name_the_nearest_values(signed):
    torch.manual_seed(0)
    x = torch.randn(64, BLOCK) * torch.logspace(-30, 20, 64)[:, None]
    x = x if signed else x.abs()
    codes, scales = encoded(x, signed)
    assert codes.dtype == (torch.int8 if signed else torch.uint8) and torch.equal(scales, x.abs().amax(1))
    off = ((decoded(codes, scales) - x) / scales[:, None]).abs()
    values = code(signed).values
    nearest = (values[None] - (x / scales[:, None]).view(-1, 1)).abs().amin(1).view(x.shape)
    assert (off - nearest).max() < 2e-3 and off.max() < 0.012  # a search by eight bits of the mantissa
    assert torch.equal(encoded(decoded(codes, scales), signed)[0], codes)
    assert not decoded(*encoded(torch.zeros(1, BLOCK), signed)).any()


def test_roots_never_round_to_nothing():
    x = torch.full((1, BLOCK), 1e-30)
    x[0, 0], x[0, 1] = 1.0, 0.0
    found = decoded(*encoded(x, False))
    assert (found[0, 2:] > 0).all() and found[0, 1] == 0


def pair(start, rate=1e-2, decay=0.1):
    """A tensor and its twin, with their optimizers: float32, and bytes."""
    both = [torch.nn.Parameter(start.clone()) for _ in range(2)]
    plain = torch.optim.AdamW([both[0]], lr=rate, betas=(0.9, 0.98), weight_decay=decay)
    return both, (plain, EightBitAdamW([{"params": [both[1]]}], rate, (0.9, 0.98), weight_decay=decay))


@pytest.mark.parametrize("shape", [(70, 100), (5001,)])
def test_the_same_way_as_adamw(shape):
    torch.manual_seed(0)
    both, made = pair(torch.randn(shape))
    start, scales = both[0].detach().clone(), torch.logspace(-3, 1, shape[-1])
    for _ in range(20):
        gradient = (torch.randn(shape) + 0.5) * scales
        for parameter, optimizer in zip(both, made, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    way = both[0].detach() - start
    assert (
        both[1].detach() - both[0].detach()
    ).norm() < 0.1 * way.norm()  # of gradients with four powers of ten in a block


def test_gradients_that_become_small_beside_others_cause_no_leap():
    both, made = pair(torch.zeros(2, BLOCK // 2), rate=1e-2, decay=0.0)
    for step in range(30):
        gradient = torch.full((2, BLOCK // 2), 1.0)
        gradient[1] = 1e-4 if step == 3 else 0.0
        before = both[1].detach().clone()
        both[1].grad = gradient
        made[1].step()
        assert (both[1].detach() - before).abs().max() < 0.1


def state_bytes(optimizers):
    return sum(tensor.numel() * tensor.element_size() for tensor in optimizers.state().values())


def test_a_toy_reaches_the_same_loss_with_a_quarter_of_the_memory():
    losses, sizes = [], []
    for moments in ("float32", "8bit"):
        model = toy_model("classify", "bert", width=64)
        made = Optimizers(model, name="adamw", learning_rate=1e-2, weight_decay=0.01, moments=moments)
        losses.append(teach(model, 40, optimizers=made))
        sizes.append(state_bytes(made))
        large = sum(p.numel() for p in model.parameters() if p.numel() >= 4096) / sum(
            p.numel() for p in model.parameters()
        )
    ends = [sum(found[-8:]) / 8 for found in losses]
    assert ends[0] < losses[0][0] / 2 and abs(ends[1] - ends[0]) < 0.05
    assert sizes[1] / sizes[0] < 1 - large + 0.26 * large


def test_killed_and_resumed_to_the_same_bits(tmp_path):
    whole, _ = run(tmp_path / "whole", moments="8bit")
    with pytest.raises(CutError):
        run(tmp_path / "cut", cut=5, moments="8bit")
    again, _ = run(tmp_path / "cut", moments="8bit")
    assert same_weights(whole, again)


def test_moments_that_are_all_small_are_told():
    with pytest.raises(TrainError, match="P-TRAIN-066"):
        Optimizers(toy_model(width=8), name="adamw", learning_rate=1e-3, weight_decay=0.0, moments="8bit")
