"""Pre-training goes on with a given network, under the same objective or another one."""

import json

import pytest
import torch
from toys import TEXTS, tokenizer, toy_model, toy_task

import penjing
from penjing.base.errors import ModelError, PenjingError
from penjing.recipe.check import check_step
from penjing.recipe.stages import BUILT_IN
from penjing.tasks.model import Model

SHORT = {"steps": 3, "measure_seconds": 0, "threads": 1, "dtype": "float32", "baselines": False}


@pytest.fixture
def place(tmp_path):
    lines = [json.dumps({"text": text}, ensure_ascii=False) for text in TEXTS]
    (tmp_path / "raw.jsonl").write_text("\n".join(lines), "utf-8")
    (tmp_path / "cutter").mkdir()
    tokenizer().save(tmp_path / "cutter")
    return tmp_path


def pretrain(place, name, **options):
    penjing.pretrain(place / name, data=place / "raw.jsonl", **SHORT, **options)
    return Model.load(place / name / "model")


def codes(place, **options):
    try:
        check_step("pretrain", BUILT_IN["pretrain"], {"data": "raw.jsonl", **SHORT, **options}, place)
    except PenjingError as error:
        return [one.code for one in (error, *error.others)]
    return []


def test_words_then_sentences(place):
    sizes = {"width": 32, "layers": 1, "max_tokens": 64}
    words = pretrain(place, "words", tokenizer=place / "cutter", dropout=0.2, **sizes)
    more = pretrain(place, "more", model=place / "words")
    assert more.task == words.task and more.network.config == words.network.config
    assert not torch.equal(more.network.embedding.weight, words.network.embedding.weight)
    assert more.lineage["pretrain"]["before"] == words.lineage and "before" not in words.lineage["pretrain"]
    told = pretrain(place, "told", model=place / "words", task="contrast", dropout=0.3)
    assert told.task.name == "contrast" and told.network.config.dropout == 0.3 and told.network.output is None
    assert told.tokenizer.fingerprint == words.tokenizer.fingerprint
    near = (told.network.embedding.weight - words.network.embedding.weight).abs().max()
    assert 0 < float(near.detach()) < 0.1  # three steps away


def test_what_is_refused(place):
    toy_model("masked", dropout=0.0).save(place / "still")
    assert codes(place, model="still") == [] == codes(place, tokenizer="cutter")
    assert codes(place) == ["P-OPTION-003"]
    assert codes(place, model="still", width=64, tokenizer="cutter") == ["P-TRAIN-007"] * 2
    assert codes(place, tokenizer="cutter", task="contrast") == ["P-TASK-098"]
    assert codes(place, tokenizer="cutter", task="contrast", dropout=0.1) == []
    with pytest.raises(PenjingError, match="P-TASK-098"):
        pretrain(place, "none", model=place / "still", task="contrast")
    with pytest.raises(PenjingError, match="P-MODEL-005"):
        pretrain(place, "long", model=place / "still", window=500)


def test_a_network_that_cannot_is_told_at_once():
    """An LSTM that reads from left to right guesses no hidden words, though others of its family do."""
    with pytest.raises(ModelError, match="P-MODEL-013"):
        toy_model("causal", "lstm").with_task(toy_task("masked"), 0)
