"""SimCSE: what two readings of a text differ in is dropout alone, and it is what is learnt from."""

import dataclasses

import numpy as np
import pytest
import torch
from toys import TEXTS, same_weights, teach, toy_model, toy_pieces

from penjing.base.errors import TaskError
from penjing.tasks import task_named
from penjing.tasks.model import Model


def model_of(family="bert", dropout=0.1, **options):
    return toy_model(family=family, task=task_named("contrast", **options), dropout=dropout)


def batch_of(model, rows):
    return model.task.collate(toy_pieces(model), np.asarray(rows), model.tokenizer, np.random.default_rng(0))


@pytest.mark.parametrize("family", ["bert", "llama", "lstm"])
def test_it_learns_from_raw_text(family, tmp_path):
    model = model_of(family, 0.3)
    before = float(model.eval()(batch_of(model, range(64))).detach())
    teach(model, 40, 3e-3)
    assert float(model.eval()(batch_of(model, range(64))).detach()) < 0.8 * before
    model.save(tmp_path / "model")
    again = Model.load(tmp_path / "model")
    assert same_weights(model, again) and again.task == model.task and (tmp_path / "model" / "modules.json").exists()
    assert np.allclose(again.task.vectors(again, TEXTS), model.task.vectors(model, TEXTS), atol=1e-6)


def test_texts_spread_out():
    """After training the vectors of different texts are further apart than before."""

    def spread(model):
        vectors = model.task.vectors(model, sorted(set(TEXTS)))
        return float((vectors @ vectors.T).mean())

    model = model_of()
    before = spread(model)
    teach(model, 30, 3e-3)
    assert spread(model) < before


def test_without_dropout_there_is_nothing_to_learn():
    model = model_of(dropout=0.0)
    with pytest.raises(TaskError, match="P-TASK-098"):
        model(batch_of(model, [0, 1]))
    attentive = dataclasses.replace(model.network.config, attention_dropout=0.1)
    model.network = type(model.network).new(attentive, 0, vocabulary=False)
    assert torch.isfinite(model(batch_of(model, [0, 1])))


def test_validation_draws_the_same_each_time():
    """And leaves the draws of training as they were."""
    model = model_of().eval()
    batch = batch_of(model, range(8))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    first, second = float(model(batch).detach()), float(model(batch).detach())
    assert first == second and torch.equal(torch.rand(2), expected) and not model.network.training
    model.train()
    assert float(model(batch).detach()) != float(model(batch).detach()) and model.network.training


def test_equal_texts_are_not_told_apart():
    model = model_of()
    pieces = toy_pieces(model, [{"text": "tree box", "label": "good"}] * 2 + [{"text": "late", "label": "bad"}])
    both = model.task.collate(pieces, np.asarray([0, 1]), model.tokenizer, None)
    assert float(model(both).detach()) == 0  # each is the other's text
    one = model.task.collate(pieces, np.asarray([0, 2]), model.tokenizer, None)
    assert float(model(one).detach()) > 0 and one.label_count == 2


def test_a_text_alone_is_given_company():
    model = model_of()
    batch = batch_of(model, [5])
    assert len(batch.tokens) == 2 and batch.records[0] == 5 != batch.records[1] and batch.label_count == 2
    alone = model.task.collate(toy_pieces(model), np.asarray([5]), model.tokenizer, None)
    assert alone.label_count == 0


def test_options_change_losses():
    def first(**options):
        torch.manual_seed(0)
        return teach(model_of(**options), 2)

    assert len({str(first(**options)) for options in ({}, {"temperature": 0.5}, {"pooling": "max"})}) == 3


def test_it_goes_on_as_embed():
    """Pooling of the objective is kept by the task that follows it."""
    model = model_of(pooling="first")
    following = model.with_task(task_named("embed", objective="cosent"), 0)
    assert following.task.pooling == "first" and torch.equal(
        following.network.embedding.weight, model.network.embedding.weight
    )
