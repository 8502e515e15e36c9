"""Bits per byte: every token is scored once, and a model that guesses blindly needs the bits of its vocabulary."""

import math

import pytest
import torch
from toys import TEXTS, toy_model

from penjing.base.errors import TextError
from penjing.evaluate.bits import bits_per_byte
from penjing.tasks.bits import windows


@pytest.mark.parametrize("tokens", [0, 1, 2, 7, 8, 9, 50])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.9])
def test_every_token_but_the_first_is_scored_once(tokens, overlap):
    scored = []
    for begin, end, first in windows(tokens, 8, overlap):
        assert 0 <= begin < first < end <= tokens and end - begin == min(8, tokens)
        assert begin == 0 or first - begin >= int(8 * overlap)
        scored += range(first, end)
    assert scored == list(range(1, tokens))


@pytest.mark.parametrize("family", ["llama", "lstm"])
def test_a_blind_guess_costs_the_bits_of_the_vocabulary(family):
    model = toy_model("causal", "llama", max_tokens=16) if family == "llama" else blind("lstm")
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.zero_()
    text = " ".join(TEXTS[:20])
    tokens = len(model.tokenizer.encode(text))
    expected = tokens * math.log2(model.tokenizer.size) / len(text.encode("utf-8"))
    assert bits_per_byte(model, [text]) == pytest.approx(expected, rel=1e-5)
    assert bits_per_byte(model, [text, "", text]) == pytest.approx(expected, rel=1e-5)


def blind(family):
    """A toy of another family with a tokenizer that loses nothing."""
    from penjing.model.size import fresh_config
    from penjing.tasks import task_named
    from penjing.tasks.model import Model

    cutter = toy_model("causal", "llama").tokenizer
    config = fresh_config(family, vocab_size=cutter.size, width=16, layers=1, max_tokens=16, purpose="causal")
    return Model.new(config, family, task_named("causal"), cutter, 0)


def test_one_window_equals_the_plain_loss():
    model = toy_model("causal", "llama", max_tokens=64)
    text = TEXTS[0]
    tokens = torch.tensor([model.tokenizer.encode(text)])
    with torch.no_grad():
        from penjing.model.batch import Batch

        scores = model.eval().network.logits(model.network(Batch(tokens)))[0, :-1]
    loss = torch.nn.functional.cross_entropy(scores, tokens[0, 1:], reduction="sum")
    expected = (float(loss) / math.log(2) + math.log2(model.tokenizer.size)) / len(text.encode("utf-8"))
    assert bits_per_byte(model, [text]) == pytest.approx(expected, rel=1e-4)


def test_a_tokenizer_that_loses_text():
    with pytest.raises(TextError, match="P-TEXT-086"):
        bits_per_byte(toy_model("causal", "lstm"), ["The  Parcel"])
