"""Bits per byte of a causal model as the protocol has them: by blocks, in any company, beside n-grams."""

import numpy as np
import pytest
from toys import TEXTS, toy_model

from penjing.base.errors import TextError
from penjing.evaluate.answers import answers_certificate
from penjing.evaluate.bits import bits_per_byte
from penjing.evaluate.classical.ngram_lm import Baseline
from penjing.tasks.blocks import BLOCK

LONG = " ".join(TEXTS * 4)
RECORDS = [{"text": LONG}, {"text": TEXTS[1]}, {"text": ""}]


def test_blocks_add_up_to_the_bits_of_the_text():
    model = toy_model("causal", "llama", max_tokens=32)
    answers = model.task.answer(model, RECORDS)
    assert len(LONG) > 2 * BLOCK and [len(answer["bits"]) for answer in answers] == [-(-len(LONG) // BLOCK), 1, 1]
    for record, answer in zip(RECORDS, answers, strict=True):
        assert sum(answer["bytes"]) == len(record["text"].encode()) and answer["spelled"]
        assert answer["bits_per_byte"] == pytest.approx(bits_per_byte(model, [record["text"]]), rel=1e-6)
    whole = model.task.score(answers, RECORDS)["bits_per_byte"]
    assert whole == pytest.approx(bits_per_byte(model, [record["text"] for record in RECORDS]), rel=1e-6)


def test_company_and_batches_change_no_answer():
    model = toy_model("causal", "llama", max_tokens=32)
    together, small = (model.task.answer(model, RECORDS, size) for size in (4096, 16))
    alone = [model.task.answer(model, [record])[0] for record in RECORDS]
    for one, other, third in zip(together, small, alone, strict=True):
        np.testing.assert_allclose(one["bits"], other["bits"], rtol=1e-5)
        np.testing.assert_allclose(one["bits"], third["bits"], rtol=1e-5)


def test_the_certificate_of_one_long_text_has_an_interval_and_a_verdict():
    model, records = toy_model("causal", "llama", max_tokens=32), RECORDS[:1]
    rival = Baseline.fit(model.task, [{"text": " ".join(TEXTS)}])
    answers = {"model": model.task.answer(model, records), "ngram_lm": rival.answer(records)}
    found = answers_certificate(model.task, answers, {}, records, split="test", resamples=200)
    score = found["candidates"]["model"]["scores"]["bits_per_byte"]
    assert score["low"] < score["value"] < score["high"]
    assert found["best_baseline"] == "ngram_lm" and found["verdict"]["outcome"] == "not_worth_it"
    short = [RECORDS[1]]  # one block: no interval, no proof
    answers = {"model": model.task.answer(model, short), "ngram_lm": rival.answer(short)}
    found = answers_certificate(model.task, answers, {}, short, split="test", resamples=200)
    assert found["verdict"]["outcome"] == "no_clear_difference"


def test_a_tokenizer_that_loses_text_is_told_when_it_is_measured():
    model, records = toy_model("causal", "lstm"), [{"text": "The  Parcel"}]
    answers = model.task.answer(model, records)
    assert not answers[0]["spelled"] and np.isfinite(answers[0]["bits"]).all()
    with pytest.raises(TextError, match="P-TEXT-086"):
        model.task.score(answers, records)
