"""Sizes: presets, the dial, exact counts, and what a fresh network of every family can be exported as."""

import pytest

from penjing.base.errors import ModelError
from penjing.model.families import FAMILIES, family_of
from penjing.model.size import PRESETS, fresh_config, parameters, sizes_of

MORE = dict(vocab_size=8192, max_tokens=512)


def raised(code, call, *given, **options):
    with pytest.raises(ModelError) as error:
        call(*given, **options)
    assert error.value.code == code and error.value.text("en") and error.value.text("zh")
    return error.value


@pytest.mark.parametrize("size", ["3M", "20m", "0.1b"])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_dial_comes_near_the_wish(family, size):
    wish = {"3M": 3e6, "20m": 20e6, "0.1b": 100e6}[size]
    config = fresh_config(family, **MORE, **sizes_of(family, size, **MORE))
    assert abs(parameters(config) / wish - 1) < 0.04
    assert config.width % 32 == 0 and not family_of(family).changed(config)
    if family != "lstm":
        layers = config.encoder_layers + config.decoder_layers
        assert config.width // config.heads in (32, 64) and 16 <= config.width / layers <= 256


def test_a_preset_is_what_the_field_calls_it():
    config = fresh_config("bert", vocab_size=30522, **sizes_of("bert", "base", vocab_size=30522))
    assert (config.width, config.encoder_layers, config.heads, config.mlp_width) == (768, 12, 12, 3072)
    assert parameters(config) == 109_514_298  # BERT base with its head of hidden words
    for name in PRESETS:
        assert fresh_config("llama", **MORE, **sizes_of("llama", name, **MORE)).inner == 64


def test_queries_share_keys():
    sizes = sizes_of("llama", "5M", key_heads=2, **MORE)
    config = fresh_config("llama", key_heads=2, **MORE, **sizes)
    assert config.keys == 2 and config.heads % 2 == 0 and abs(parameters(config) / 5e6 - 1) < 0.04
    assert family_of("gpt2").changed(fresh_config("gpt2", width=64, layers=1, heads=4, key_heads=1, vocab_size=64))


def test_sizes_that_cannot_be():
    assert raised("P-MODEL-034", sizes_of, "llama", "smal", **MORE).nearest == "small"
    raised("P-MODEL-034", sizes_of, "llama", "20 apples", **MORE)
    raised("P-MODEL-033", sizes_of, "llama", "100k", **MORE)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("tied", [True, False])
def test_the_output_shares_the_embeddings_or_not(family, tied):
    own = fresh_config(family, vocab_size=64, width=32, layers=1)
    if "tie_word_embeddings" in family_of(family).only and not tied:
        raised("P-MODEL-070", fresh_config, family, vocab_size=64, width=32, layers=1, tied=tied)
        return
    config = fresh_config(family, vocab_size=64, width=32, layers=1, tied=tied)
    assert config.tied_output is tied and not family_of(family).changed(config)
    more = parameters(config) - parameters(own)
    assert more == 64 * 32 * (own.tied_output - config.tied_output)


def test_dropout_of_attention():
    config = fresh_config("llama", vocab_size=64, width=32, layers=1, attention_dropout=0.3)
    assert config.attention_dropout == 0.3 and config.dropout == 0.0 and not family_of("llama").changed(config)
    raised("P-MODEL-060", fresh_config, "lstm", vocab_size=64, width=32, layers=1, attention_dropout=0.3)
