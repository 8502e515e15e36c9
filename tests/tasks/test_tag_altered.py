"""Tagging learns from texts read otherwise: labels at the right pieces, in windows, never for validation, exact on resume."""

import numpy as np
import pytest
import torch
from tagged import RECORDS, task
from toys import toy_model

from penjing.tasks import made_task
from penjing.tasks.task import IGNORED
from penjing.train.fit import FitOptions
from penjing.train.prove import prove_resume

SWAP = {"swap": {"share": 0.9}}


def model_with(augment=SWAP, max_tokens=64, **more):
    return toy_model("tag", "bert", task=task(augment=augment, crf=True), max_tokens=max_tokens, **more)


def asked(batch):
    """The pieces at which tokens are asked for, each with its label, row by row."""
    kept = batch.labels != IGNORED
    pieces = batch.tokens.gather(1, batch.places)
    return [sorted(zip(pieces[row][kept[row]].tolist(), batch.labels[row][kept[row]].tolist(), strict=True))
            for row in range(len(kept))]  # fmt: skip


def test_labels_stand_at_the_pieces_of_their_tokens():
    model = model_with()
    pieces = model.task.pieces(model, RECORDS, True)
    rows = np.arange(len(pieces))
    plain = model.task.collate(pieces, rows, model.tokenizer, None)
    one, again, other = (
        model.task.collate(pieces, rows, model.tokenizer, np.random.Generator(np.random.PCG64(seed)))
        for seed in (0, 0, 1)
    )
    assert torch.equal(one.tokens, again.tokens) and not torch.equal(one.tokens, other.tokens)
    assert not torch.equal(one.tokens, plain.tokens) and asked(one) == asked(plain) and one.records == plain.records
    assert torch.equal(one.weights, plain.weights)
    valid = model.task.validating().pieces(model, RECORDS, True)
    assert valid.altered is None and model.task.pieces(model, RECORDS, False).altered is None
    assert valid.fingerprint() != pieces.fingerprint()


@pytest.mark.parametrize("augment", [{"delete": {"share": 0.6}}, SWAP])
def test_windows_of_a_long_text(augment):
    long = {"tokens": RECORDS[0]["tokens"] * 9, "tags": RECORDS[0]["tags"] * 9}
    model = model_with(augment, max_tokens=16)
    pieces = model.task.pieces(model, [long, *RECORDS[:2]], True)
    batch = model.task.collate(pieces, np.arange(len(pieces)), model.tokenizer, np.random.Generator(np.random.PCG64(3)))
    assert len(pieces) > 5 and batch.tokens.shape[1] <= 16 and (batch.labels != IGNORED).any(1).all()
    assert torch.isfinite(model.task.loss(model, batch))


def test_a_cut_run_goes_on_in_the_same_bits(tmp_path):
    model = model_with({"swap": {}, "delete": {}}, dropout=0.1)
    how = FitOptions(steps=8, batch_tokens=128, threads=1, dtype="float32", measure_seconds=0, validate_times=1)
    assert prove_resume(model, model.task.pieces(model, RECORDS, True), None, how, tmp_path, what="toy")["identical"]


def test_files_are_kept_by_name(tmp_path):
    (tmp_path / "words.tsv").write_text("tree\tbush\n", "utf-8")
    made = made_task("tag", RECORDS, {"augment": {"synonyms": {"file": str(tmp_path / "words.tsv")}}})
    assert made.record()["augment"]["synonyms"] == {"file": "words.tsv", "share": 0.1}
