"""Memory that fits: blocks computed again give the same bits, and what a run needs is known before it begins."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from runs import OPTIONS, CutError, halves, run
from toys import PAIRS, same_weights, toy_model, toy_pieces

from penjing.base.errors import TrainError
from penjing.base.progress import listen
from penjing.changes import changes_of
from penjing.train import memory
from penjing.train.fit import Run, fit, plan_of, room
from penjing.train.kept import keep_states
from penjing.train.loop import Copies, backward
from penjing.train.memory import free_memory, held_memory, recomputing, step_peak


def batch_of(model, rows=range(12)):
    pieces = model.task.kept_pieces(model, PAIRS, None) if model.task.name == "seq2seq" else toy_pieces(model)
    return model.task.collate(pieces, np.asarray(rows), model.tokenizer, np.random.default_rng(3))


CASES = [("classify", "bert", None), ("causal", "llama", "lora"), ("seq2seq", "t5", None), ("causal", "llama", "prefix"),
         ("classify", "modernbert", {"adapter": {}}), ("causal", "llama", "prompt")]  # fmt: skip


@pytest.mark.parametrize(("name", "family", "changes"), CASES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_blocks_computed_again_give_the_same_bits_with_less_memory(name, family, changes, dtype):
    model = toy_model(name, family, dropout=0.1, layers=4).adapt(changes_of(changes), 1).train()
    batch, found, peaks = batch_of(model), [], []
    for wanted in (False, True):
        with recomputing(model, wanted):
            torch.manual_seed(5)
            loss, _ = backward(model, [batch], Copies(dtype))
            found.append((loss, {name: p.grad for name, p in model.named_parameters() if p.grad is not None}))
            peaks.append(step_peak(model, batch, dtype, 1e12)[0])
    (loss, plain), (other, again) = found
    assert loss == other and plain.keys() == again.keys() and plain
    assert all(torch.equal(plain[key], again[key]) for key in plain)
    assert peaks[1] < 0.75 * peaks[0] and not any(stack.recompute for stack in memory.stacks_of(model))


def test_a_run_goes_on_with_blocks_computed_again(tmp_path):
    """The memory ran out: the same command with checkpointing ends in the bits that the run would have had."""
    whole, _ = run(tmp_path / "whole")
    with pytest.raises(CutError):
        run(tmp_path / "cut", cut=5)
    again, _ = run(tmp_path / "cut", checkpointing=True)
    assert same_weights(whole, again)


def test_kept_states_and_blocks_computed_again(tmp_path):
    found = []
    for wanted in (False, True):
        model = toy_model("classify", "bert", layers=3).adapt(changes_of({"freeze": {"top": 2}}), 4)
        (folder := tmp_path / str(wanted)).mkdir()
        training, validation = halves(model)
        model.kept = keep_states(model, training, folder / "states.bin", "float32", 128, "toy")
        fit(model, training, validation, replace(OPTIONS, checkpointing=wanted), folder, what="toy")
        assert model.kept.found == 8 and not model.kept.missed
        found.append(model)
    assert same_weights(*found)


def test_an_lstm_has_no_blocks_to_compute_again(tmp_path):
    with pytest.raises(TrainError, match="P-TRAIN-065"):
        run(tmp_path, "causal", "lstm", checkpointing=True)


def planned(folder, changes=None, **options):
    folder.mkdir()
    model = toy_model("classify", "bert", dropout=0.1, layers=3, width=64).adapt(changes_of(changes), 4)
    plan = plan_of(model, *halves(model), replace(OPTIONS, **options), folder, what="finetune")
    assert json.loads((folder / "plan.json").read_text("utf-8"))["memory"] == plan["memory"]
    assert all(p.grad is None for p in model.parameters()) and not model.seen.sums
    return plan


def test_the_plan_counts_each_part(tmp_path):
    full = planned(tmp_path / "full")
    parts = full["memory"]
    assert (
        parts["weights"] == parts["gradients"] == parts["copies"] == parts["optimizer"] // 2 == 4 * full["parameters"]
    )
    assert full["memory_bytes"] > held_memory() / 2 and parts["activations"] > 0
    thin = planned(tmp_path / "thin", "lora")["memory"]
    assert thin["gradients"] == planned(tmp_path / "again", "lora")["trained"] * 4 < parts["gradients"] / 5
    less = planned(tmp_path / "less", checkpointing=True, moments="8bit", average=0.5)["memory"]
    assert less["activations"] < 0.65 * parts["activations"] and less["optimizer"] < 0.4 * parts["optimizer"]
    assert less["copies"] == 3 * parts["copies"]
    assert planned(tmp_path / "muon", optimizer="muon")["memory"]["optimizer"] < parts["optimizer"]
    small = planned(tmp_path / "small", batch_tokens=64)["memory"]
    assert small["activations"] < 0.75 * parts["activations"] and small["optimizer"] == parts["optimizer"]


@pytest.mark.parametrize("free", [5_000_000, 100])
def test_a_run_that_does_not_fit_is_refused_with_what_helps(free, tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "free_memory", lambda: free)
    with pytest.raises(TrainError, match="P-TRAIN-067") as caught:
        planned(tmp_path / "toy", batch_tokens=4096)
    ways = {"change: lora", "moments: 8bit"} | ({"checkpointing: true", "batch_tokens: 2048"} if free > 1e6 else set())
    assert all(way in str(caught.value) for way in ways) and not (tmp_path / "toy" / "plan.json").exists()
    assert ("batch_tokens" in str(caught.value)) == (free > 1e6)


def test_types_are_compared_by_few_rows(tmp_path, monkeypatch):
    """The type that is not used does not decide how much memory a run takes; what is frozen is not copied."""
    cells, twins = [], []
    monkeypatch.setattr("penjing.train.measure.cores", lambda: 1)
    monkeypatch.setattr("penjing.train.fit.FEW", 64)

    def timed(twin, batches, *rest):
        cells.append(max(batch.cell_count for batch in batches))
        twins.append(twin)
        return 1.0 + len(cells)

    monkeypatch.setattr("penjing.train.measure.step_seconds", timed)
    model = toy_model("classify", "bert").adapt(changes_of("lora"), 4)
    options = replace(OPTIONS, dtype="auto", measure_seconds=1.0, batch_tokens=512, threads=None)
    plan = plan_of(model, halves(model)[0], None, options, tmp_path, what="finetune")
    assert len(cells) == 3 and cells[0] == cells[1] <= 64 < cells[2]
    assert plan["choice"]["dtype"] == "float32" and len(plan["choice"]["tried"]) == 3
    for name, value in twins[0].named_parameters():
        assert (value is dict(model.named_parameters())[name]) == (not value.requires_grad)


def test_the_largest_batch_counts_not_that_of_most_rows(tmp_path):
    model = toy_model("classify", "bert")
    run = Run(model, halves(model)[0], None, OPTIONS, tmp_path, "finetune")
    order = np.argsort(run.training.lengths)
    short, long = order[:3], order[-2:]
    assert 3 * run.training.lengths[short].max() < 2 * run.training.lengths[long].max()
    assert room(run, [short, long], "float32") == room(run, [long], "float32") != room(run, [short], "float32")


def test_what_does_not_help_is_not_advised(tmp_path, monkeypatch):
    """Where only small tensors are trained, moments of a byte would be refused."""
    monkeypatch.setattr(memory, "free_memory", lambda: 100)
    monkeypatch.setattr(memory, "SMALLEST", 1_000_000)
    with pytest.raises(TrainError, match="P-TRAIN-067") as caught:
        planned(tmp_path / "toy", "lora")
    assert "one or several of: a smaller model, a machine with more memory." in caught.value.text("en")
    assert "更小的模型" in caught.value.text("zh") and "8bit" not in caught.value.text("en")


def test_a_run_near_the_border_is_told(tmp_path, monkeypatch):
    told = []
    needed = sum(planned(tmp_path / "one")["memory"].values())
    for free in (needed, 10 * needed, None):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        with listen(lambda event: told.append((event.kind, event.text)) if event.text.startswith("memory") else None):
            planned(tmp_path / str(free))
    assert [kind for kind, _ in told] == ["warning", "note"] and "less is needed with" in told[0][1]


def test_free_memory_is_that_of_the_machine_and_of_its_limits(tmp_path):
    about = tmp_path / "meminfo"
    about.write_text("MemTotal: 9 kB\nMemAvailable:   5 kB\nSwapFree: 1 kB\n")
    assert free_memory(tmp_path, about) == 6 * 1024
    for name, text in (
        ("memory.max", "4000"),
        ("memory.current", "3500"),
        ("memory.stat", "anon 1\ninactive_file 500\nactive_file 200"),  # both are let go before anybody is ended
    ):
        (tmp_path / name).write_text(text)
    assert free_memory(tmp_path, about) == 1200
    (tmp_path / "memory.max").write_text("max")
    assert free_memory(tmp_path, about) == 6 * 1024 and free_memory(tmp_path, tmp_path / "none") is None
    assert min(held_memory(tmp_path / "none"), held_memory()) > 1e7


def test_matrices_in_a_librarys_own_form_are_counted():
    """A student that writes in a step packs its matrices for several rows; such a tensor lies in no storage."""
    watched = memory.Watched([], 1e12)
    with watched:
        packed = torch.ops.mkldnn._reorder_linear_weight(torch.ones(64, 64), 8)
    assert packed.is_mkldnn and watched.now == 64 * 64 * 4
    del packed
    assert watched.now == 0
