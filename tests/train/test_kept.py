"""States of frozen blocks, computed once: the same losses, the same bits on resume, and what cannot be kept is told."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from runs import OPTIONS, CutError, halves
from toys import same_weights, toy_model

from penjing.base.errors import TrainError
from penjing.base.progress import listen
from penjing.changes import changes_of
from penjing.train.fit import fit
from penjing.train.kept import first_trained, keep_states

FREEZE = {"freeze": {"top": 1}}


def adapted(name="classify", family="bert", changes=FREEZE, dropout=0.0):
    return toy_model(name, family, dropout=dropout, layers=2).adapt(changes_of(changes), 4)


def taught(folder, model, kept=None, cut=None, **options):
    """Losses of a run, with states kept in that type."""
    folder.mkdir(exist_ok=True)
    training, validation = halves(model)
    if kept:
        model.kept = keep_states(model, training, folder / "states.bin", kept, 128, "toy")
    losses = []

    def look(event):
        if event.what == "toy" and "loss" in event.values:
            losses.append(event.values["loss"])
            if len(losses) == cut:
                raise CutError

    with listen(look):
        fit(model, training, validation, replace(OPTIONS, **options), folder, what="toy")
    return losses


@pytest.mark.parametrize(("name", "family"), [("classify", "bert"), ("causal", "llama"), ("classify", "modernbert")])
def test_the_losses_are_the_same(name, family, tmp_path):
    plain, kept, half = (adapted(name, family) for _ in range(3))
    wanted = taught(tmp_path / "plain", plain)
    torch.testing.assert_close(taught(tmp_path / "kept", kept, "float32"), wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(taught(tmp_path / "half", half, "float16"), wanted, atol=2e-2, rtol=1e-2)
    assert kept.kept.found == len(wanted) and not kept.kept.missed


def test_what_training_alters_is_computed_anew(tmp_path):
    model = adapted()
    model.task = replace(model.task, token_dropout=0.5)
    taught(tmp_path, model, "float32")
    assert model.kept.missed


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_run_that_was_cut_ends_in_the_same_bits(dtype, tmp_path):
    whole, cut, again = (adapted(dropout=0.1) for _ in range(3))
    taught(tmp_path / "whole", whole, dtype)
    with pytest.raises(CutError):
        taught(tmp_path / "cut", cut, dtype, cut=5)
    taught(tmp_path / "cut", again, dtype)
    assert same_weights(whole, again)


def test_half_precision_takes_the_states_as_they_are(tmp_path):
    model = adapted()
    assert all(loss == loss for loss in taught(tmp_path, model, "float32", dtype="bfloat16"))


def test_the_first_trained_block():
    assert first_trained(adapted()) == 1
    for changes in ("lora", "bitfit", {"freeze": {"top": 1, "where": "embedding_norm"}}):
        with pytest.raises(TrainError, match="P-TRAIN-051"):
            first_trained(adapted(changes=changes))
    for family in ("t5", "lstm"):
        with pytest.raises(TrainError, match="P-TRAIN-050"):
            first_trained(adapted("causal" if family == "lstm" else "classify", family))
    with pytest.raises(TrainError, match="P-TRAIN-050"):
        first_trained(adapted(changes=["prompt", FREEZE]))


def test_no_room_is_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(TrainError, match="P-TRAIN-052"):
        taught(tmp_path, adapted(), "float32")
    assert not (tmp_path / "states.bin").exists()
