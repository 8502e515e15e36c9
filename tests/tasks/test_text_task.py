"""R-Drop and cut-off, as classification has them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from toys import LABELS, RECORDS, SEVERAL, toy_model, toy_pieces

from penjing.base.errors import TaskError
from penjing.tasks import task_named
from penjing.tasks.text_task import runs


def model_with(several=False, dropout=0.2, **options):
    return toy_model(task=task_named("classify", labels=LABELS, several=several, **options), dropout=dropout)


@pytest.mark.parametrize("several", [False, True])
def test_r_drop_is_the_mean_of_both_losses_and_of_both_divergences(several):
    model, plain = model_with(several, rdrop=3.0), model_with(several)
    records = SEVERAL if several else RECORDS
    batch = model.task.collate(toy_pieces(model, records), np.arange(8), model.tokenizer, None)
    with torch.no_grad():
        assert float(model.eval()(batch)) == float(plain.eval()(batch))
        model.train()
        torch.manual_seed(3)
        scores = [model.task.class_scores(model, batch) for _ in range(2)]
        torch.manual_seed(3)
        found = float(model(batch))
    if several:
        chances = [torch.stack([s.sigmoid(), 1 - s.sigmoid()], -1) for s in scores]
        losses = [F.binary_cross_entropy_with_logits(s, batch.labels, reduction="none").mean(-1).sum() for s in scores]
    else:
        chances = [s.softmax(-1) for s in scores]
        losses = [F.cross_entropy(s, batch.labels, reduction="sum") for s in scores]
    parts = [F.kl_div(one.log(), other, reduction="none") for one, other in (chances, chances[::-1])]
    divergence = sum(part.sum(-1).mean(-1).sum() if several else part.sum() for part in parts) / 2
    assert found == pytest.approx(float(sum(losses) / 2 + 1.5 * divergence), rel=1e-4)


def test_r_drop_without_dropout_is_an_error():
    model = model_with(dropout=0.0, rdrop=1.0)
    with pytest.raises(TaskError, match="P-TASK-111"):
        model.task.pieces(model, RECORDS, True)
    model.task.validating().pieces(model, RECORDS, True)


def test_cut_off_hides_one_run_of_plain_tokens():
    model = model_with(cut_off=0.3)
    pieces, cutter = toy_pieces(model), model.tokenizer
    plain = model.task.collate(pieces, np.arange(64), cutter, None)
    batch = model.task.collate(pieces, np.arange(64), cutter, np.random.Generator(np.random.PCG64(0)))
    changed = (batch.tokens != plain.tokens).numpy()
    special = np.isin(plain.tokens.numpy(), sorted(cutter.special))
    assert not (changed & special).any() and (batch.tokens.numpy()[changed] == cutter.mask).all()
    assert 0.25 < changed.sum() / (~special).sum() < 0.35
    for row in changed:
        places = np.flatnonzero(row)
        assert len(places) == 0 or np.ptp(places) + 1 == len(places)
    kept = model.task.validating().collate(pieces, np.arange(64), cutter, np.random.Generator(np.random.PCG64(0)))
    assert torch.equal(kept.tokens, plain.tokens)


def test_runs_of_rows_without_a_plain_token():
    chance = np.random.Generator(np.random.PCG64(0))
    assert not runs(np.zeros((3, 4), bool), 0.9, chance).any()
    assert runs(np.ones((50, 1), bool), 0.5, chance).mean() == pytest.approx(0.5, abs=0.2)
